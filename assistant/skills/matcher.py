"""From what was said to intents: sentence templates, matched by `hassil`."""

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from hassil import Intents, recognize_all
from hassil.intents import SlotList, TextSlotList
from hassil.recognize import RecognizeResult

from assistant.skills.sentences import shared
from assistant.skills.skill import Choice, Intent, Value
from assistant.skills.written import as_spoken

_ADDRESS = (
    r"(?:hey|hi|hello|okay|ok|so|well|um|uh|now|just|then|also|assistant|computer|please)\s+"
    r"|(?:(?:can|could|would|will) (?:you|we)|do me a favor and|go ahead and|let's|why don't (?:you|we))\s+"
    r"|you (?:can|could|may)\s+|(?:maybe|perhaps|quickly)\s+"
    r"|i (?:need|want) you to\s+|i(?:'d| would) like(?: you)?(?: to)?\s+|(?:can|could|may) i\s+"
)
_REMARK = (
    r"(?:(?:oh|ah|hm+|right|al(?:l ?)?right|actually|sorry|excuse me|yes|yeah|yep|no|wait|great|good|perfect"
    r"|cool|fine|thanks|thank you|let's see|let me see|quick question|one more thing|by the way|hey there"
    r"|hi there)"
    r"(?:\s+and)?)\s+"
)
"""Some templates begin with one of these, so that what is said is matched with it as well."""
_BEFORE = re.compile(rf"^(?:{_ADDRESS})+", re.IGNORECASE)
_ALL_BEFORE = re.compile(rf"^(?:{_REMARK}|{_ADDRESS})+(?=\S+\s)", re.IGNORECASE)
_BEHIND = re.compile(
    r"(?<!\bsay)(?:[\s,]+(?:please|now|right now|right away|quickly|if you can|if you could|for me"
    r"|thanks(?: a lot| so much)?|thank you(?: so much| very much)?)"
    r"|,\s*(?:assistant|computer|okay|ok|cheers))+[\s.?!]*$",
    re.IGNORECASE,
)
"""Said around a request, and no part of it."""
_MIND = re.compile(r"^(?:(?:would|do) you )?mind ([a-z]+ing)\b", re.IGNORECASE)
_BASE = {
    "turning": "turn", "switching": "switch", "setting": "set", "putting": "put", "adding": "add",
    "starting": "start", "stopping": "stop", "opening": "open", "closing": "close", "locking": "lock",
    "dimming": "dim", "making": "make", "reminding": "remind", "telling": "tell", "repeating": "repeat",
    "waking": "wake", "cancelling": "cancel", "canceling": "cancel", "saying": "say", "giving": "give",
}  # fmt: skip
_EMPTY = TextSlotList.from_strings([])


class Matcher:
    """Templates of all skills, compiled once; a match takes two to ten milliseconds."""

    def __init__(self, sentences: Iterable[Mapping[str, Any]]) -> None:
        table = _merged([shared(), *sentences])
        self._intents = Intents.from_dict({"language": "en", **table})
        self._lists: dict[str, tuple[Sequence[Choice], TextSlotList]] = {}

    def match(self, text: str, lists: Mapping[str, Sequence[Choice]]) -> list[Intent]:
        """All that `text` may mean, the most literal reading first; `lists` are words of slots by name."""
        slots: dict[str, SlotList] = {name: self._list(name, choices) for name, choices in lists.items()}
        found: list[RecognizeResult] = []
        for spoken in _readings(text):
            found += recognize_all(spoken, self._intents, slot_lists=slots) if spoken else []
        found.sort(key=_free)
        return _unique(_intent(result, text) for result in found)

    def _list(self, name: str, choices: Sequence[Choice]) -> TextSlotList:
        known = self._lists.get(name)
        if known is None or known[0] != choices:
            compiled = TextSlotList.from_tuples(
                [(choice.said, choice.value, dict(choice.context)) for choice in choices],
                allow_template=False,  # "TV (bedroom)" is a name
                name=name,
            )
            known = self._lists[name] = (choices, compiled if choices else _EMPTY)
        return known[1]


def _readings(text: str) -> list[str]:
    """What is said, without what is only said around it; of equal readings the first wins."""
    whole, polite = as_spoken(text), as_spoken(_BEHIND.sub("", text))
    request = _MIND.sub(lambda mind: _BASE.get(mind[1].casefold(), mind[0]), _ALL_BEFORE.sub("", polite))
    return list(dict.fromkeys((_BEFORE.sub("", polite), whole, request)))


def _merged(tables: Iterable[Mapping[str, Any]]) -> dict[str, Any]:
    """One table of all: the templates of an intent that several have are put one behind the other."""
    merged: dict[str, Any] = {"intents": {}, "lists": {}, "expansion_rules": {}, "skip_words": []}
    for table in tables:
        for name, intent in table.get("intents", {}).items():
            merged["intents"].setdefault(name, {"data": []})["data"] += intent["data"]
        merged["lists"].update(table.get("lists", {}))
        merged["expansion_rules"].update(table.get("expansion_rules", {}))
        merged["skip_words"] += table.get("skip_words", [])
    return merged


def _free(result: RecognizeResult) -> tuple[int, int]:
    """How many characters templates leave free, and then in how many slots: less is better."""
    wild = [entity for entity in result.entities_list if entity.is_wildcard]
    return sum(len(entity.text.strip()) for entity in wild), len(result.entities_list)


def _intent(result: RecognizeResult, text: str) -> Intent:
    slots = {name: _value(entity.value) for name, entity in result.entities.items()}
    said = [entity for entity in result.entities_list if entity.text]  # templates set some of their own
    last = said[-1] if said else None
    ends = re.sub(r"\W+$", "", as_spoken(text)).casefold()
    open_ended = last is not None and last.is_wildcard and ends.endswith(last.text_clean.casefold())
    return Intent(result.intent.name, slots, text, open_ended)


def _value(value: object) -> Value:
    """As a slot has it: whole numbers are whole, words have no white space or full stop around them."""
    if isinstance(value, str):
        return value.strip().rstrip(".?!,").strip()
    assert isinstance(value, int | float), "a number or words"
    return int(value) if float(value).is_integer() else float(value)


def _unique(intents: Iterable[Intent]) -> list[Intent]:
    seen: list[Intent] = []
    for intent in intents:
        if intent not in seen:
            seen.append(intent)
    return seen
