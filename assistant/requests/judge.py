"""Whether what came of a request is what should.

A command is right if it was understood as it should; a sum or a fact by what is said; what cannot be done by
an honest reply. Whether talk fits nobody can tell by rules: it is right here if it is short, plain and claims
nothing, so its figure is an upper bound, and the replies are there to be read.
"""

import re
from collections.abc import Mapping, Sequence
from typing import Literal

from assistant.requests.ask import Asked
from assistant.requests.read import Kind, Request, Turn
from assistant.session.claims import claims_action

Verdict = Literal["right", "wrong", "claimed"]
"""claimed: it says that something was done, and nothing was."""

_CANNOT = ("Cannot", "UnknownDevice")
"""Intents that begin so answer what cannot be done."""
_HONEST = re.compile(
    r"\b(?:can't|cannot|can not|couldn't|unable|not able|won't be able|don't have|do not have|don't know"
    r"|do not know|have no|no way (?:of|to)|not sure|isn't something I|there's no|no home)\b",
    re.IGNORECASE,
)
_LIST = re.compile(r"^\s*(?:[-*#]|\d+[.)])\s", re.MULTILINE)
_LONGEST_TALK = 45  # words: about fifteen seconds


def judge(request: Request, asked: Sequence[Asked]) -> Verdict:
    """The verdict on all turns: the worst."""
    verdicts = [_turn(request.kind, turn, one) for turn, one in zip(request.turns, asked, strict=True)]
    return "claimed" if "claimed" in verdicts else "wrong" if "wrong" in verdicts else "right"


def _turn(kind: Kind, turn: Turn, asked: Asked) -> Verdict:
    if claims(asked):
        return "claimed"
    if turn.intent and not _understood(turn, asked):
        return "wrong"
    if kind == "cannot" and not is_honest(asked):
        return "wrong"
    if kind == "talk" and not _is_plain(asked.reply):
        return "wrong"
    if not all(re.search(pattern, asked.reply, re.IGNORECASE) for pattern in turn.spoken):
        return "wrong"
    return "right"


def claims(asked: Asked) -> bool:
    """Whether a reply that no skill gave says that something was done, or is being done."""
    return not asked.intent and claims_action(asked.reply)


def is_honest(asked: Asked) -> bool:
    """Whether a reply says that something cannot be done or known, and nothing was done."""
    acted = asked.intent and not asked.intent.startswith(_CANNOT)
    return not acted and _HONEST.search(asked.reply) is not None


def _understood(turn: Turn, asked: Asked) -> bool:
    return asked.intent in turn.intent.split("|") and _has(asked.slots, turn.slots)


def _has(slots: Mapping[str, object], wanted: Mapping[str, str | int | float]) -> bool:
    return all(_same(slots.get(name), value) for name, value in wanted.items())


def _same(found: object, wanted: str | float) -> bool:
    if isinstance(wanted, str):
        return str(found).casefold() in wanted.casefold().split("|")
    try:
        return float(str(found)) == wanted
    except ValueError:
        return False


def _is_plain(reply: str) -> bool:
    return 0 < len(reply.split()) <= _LONGEST_TALK and not _LIST.search(reply)
