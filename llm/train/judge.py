"""Whether a reply is right: rules that anybody can read, in place of another model's opinion.

- a command: the same calls, names and arguments, in any order; strings are compared without case
- what it cannot do or know: it says so (`REFUSES`), calls no function and claims nothing (`CLAIMS`)
- the rest: what the example's pattern asks for is in it, and it calls nothing
"""

import json
import re
from collections import Counter
from dataclasses import dataclass

from llm.text.tool_calls import ToolCalls
from llm.train.grammar import Example
from llm.train.sections import read_sections

NAMES = frozenset(name for section in read_sections() for name, _ in section.calls)
"""All functions that the data call."""

REFUSES = re.compile(
    r"\b(can't|can not|cannot|unable|not able|don't (know|have)|do not (know|have)|have no|no access|"
    r"no way|not connected|not sure|isn't something i|something i can't|out of my reach|beyond me|"
    r"nobody knows|nobody can|only hear)\b",
    re.IGNORECASE,
)
_DONE = (
    "sent|called|ordered|booked|bought|texted|emailed|messaged|reserved|scheduled|added|played|opened|checked|"
    "found|placed|paid|posted|dialed|locked|cleaned|started|set|looked"
)
_DO = (
    "call|send|order|book|buy|text|email|message|reserve|schedule|play|open|check|find|place|pay|post|dial|lock|clean|"
    "start|look|get|help you (call|send|order|book|find)"
)
_DOING = (
    "calling|sending|ordering|booking|buying|texting|playing|opening|checking|searching|dialing|navigating"
)
CLAIMS = re.compile(
    rf"\bi(('ve| have)( just| already)?| just)? ({_DONE})\b|\bi('ll| will|'m going to) ({_DO})\b|"
    rf"\b(i'm|i am|now) ({_DOING})\b|^({_DOING})\b(?! (things )?is )|\b(has|have) been ({_DONE})\b|"
    r"^(yes|sure|okay|of course|certainly)\b|"
    r"\b(is|are|will be|was) (currently |now )?(sunny|cloudy|rainy|raining|snowing|clear|open|closed|\d)|"
    r"\b\d+(\.\d+)? ?(degrees|dollars|euros|percent|miles|kilometers|°)|[$€£] ?\d|"
    r"\b(won|lost|beat|defeated|scored)\b (the|by|against|with|\d)|"
    r"\byour (order|message|call|email|package) (is|has)\b",
    re.IGNORECASE | re.MULTILINE,
)


@dataclass(frozen=True)
class Verdict:
    """right: as the module says. called: a function was called. claimed: see CLAIMS, or a call."""

    right: bool
    called: bool
    claimed: bool
    words: int


def judge(example: Example, reply: str) -> Verdict:
    """Judge a reply to an example."""
    text, calls = split_calls(reply)
    wanted = split_calls(example.reply)[1]
    claimed = bool(calls or CLAIMS.search(text))
    if wanted:
        right = calls == wanted
    elif example.kind in ("cannot", "unknown"):
        right = bool(REFUSES.search(text)) and not claimed
    else:
        right = not calls and re.search(example.pattern, text, re.IGNORECASE) is not None
    return Verdict(right, bool(calls), claimed, len(text.split()))


def split_calls(reply: str) -> tuple[str, Counter[str]]:
    """The text of a reply, and its calls, each written down in one way."""
    parser = ToolCalls(NAMES)
    text, calls = parser.push(reply)
    more_text, more_calls = parser.flush()
    written = (f"{call.name} {_canonical(json.loads(call.arguments))}" for call in [*calls, *more_calls])
    return text + more_text, Counter(written)


def _canonical(arguments: dict[str, object]) -> str:
    plain = {name: _plain(value) for name, value in arguments.items()}
    return json.dumps(plain, sort_keys=True)


def _plain(value: object) -> object:
    if isinstance(value, str):
        return value.lower().strip()
    return float(value) if isinstance(value, int | float) else value
