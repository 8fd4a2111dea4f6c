"""What is asked of a timer: durations and names out of the words that sentences leave open."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace

from assistant.skills.skill import Intent, Value
from assistant.skills.timers.spans import UNITS, Span, span

_LONGEST_NAME = 4  # words
_LONGEST = 25
"""Words of a duration and a name; they are looked for at each word, and sentences find many such places."""
_OPEN = frozenset(("duration", "explicit", "asked", "more", "followed", "patience", "change", "another"))
"""Slots of our sentences that hold a duration. What they ask for beside it is in `Timers`."""
_PATIENCE_S = 120
"""Who says "give me a minute" asks for no timer."""
_NO_NAME = re.compile(
    r"\d|(?<![\w'-])(?:"
    r"a|an|the|my|your|his|her|their|our|its|that|this|these|those|it|i|you|he|she|we|"
    r"they|me|him|us|them|is|are|was|were|be|been|do|does|did|has|have|had|will|would|"
    r"can|could|should|about|from|with|into|what|which|who|when|where|why|how|if|not|no|"
    r"to|at|by|as|than|then|there|here|timer|timers|alarm|alarms|reminder|second|seconds|"
    r"minute|minutes|hour|hours|day|days|week|half|quarter|am|pm|today|tomorrow|tonight|"
    r"noon|midnight|o'clock|all|any|some|every|each|both|of|never|always|just|off|on|up|"
    r"out|again|last|first|next|new|time|times|long|left|longer|more|pause|stop|cancel|"
    r"extend|resume|add|increase|decrease|reset|restart|check|delete|remove|end|kill|continue|"
    r"hold|unpause|abort|clear|shorten|change|use|used|using|set|start|started|run|runs|"
    r"need|needs|want|wants|like|go|goes|went|make|put|give|get|got|buy"
    r")(?![\w'-])"
)
_ARTICLE = re.compile(r"^(?:(?:the|my|our|a|an|another|new|quick|short|that|this) )+")
_MARKED = re.compile(
    r"^(?:(?:to go off|to ring|that goes off|to end|to run) )?"
    r"(?:for|of|to|in|at|lasting|that lasts|called|named|labell?ed|to time) "
)


@dataclass(frozen=True)
class Request:
    """What an intent says of a timer."""

    length: Span | None = None
    name: str = ""
    start: Span | None = None
    """The timer is known by how long it was to run."""
    that: bool = False
    """It is the one that was spoken of last: "cancel it"."""

    def slots(self) -> dict[str, Value]:
        """As Home Assistant names them."""
        said: dict[str, Value] = {"name": self.name} if self.name else {}
        for length, prefix in ((self.length, ""), (self.start, "start_")):
            said |= {f"{prefix}{unit}": count for unit, count in _without_days(length).items()}
        return said


def request(intent: Intent) -> Request | None:
    """What is asked; None if the words in the open places of a sentence are of another kind."""
    slots = intent.slots
    if slots.keys() & {"area", "conversation_command"}:
        return None
    asked = Request(_length(slots, ""), "", _length(slots, "start_"), "that" in slots)
    for slot in _OPEN.intersection(slots):
        asked = replace(asked, length=span(str(slots[slot])))
        if asked.length is None or (slot == "more" and not asked.length.more):
            return None
        if slot == "another" and asked.length.more:
            return None
        if slot == "explicit" and asked.length.bare:
            return None
        if slot == "patience" and (
            asked.length.total_s < _PATIENCE_S or asked.length.bare or asked.length.more
        ):
            return None
    if slots.keys() & {"head", "rest"}:
        return _started(str(slots.get("head", "")), str(slots.get("rest", "")))
    if "chosen" in slots:
        return _named(asked, str(slots["chosen"])) or asked
    name = str(slots.get("name", slots.get("known", "")))
    return _named(asked, name) if name else asked


def _length(slots: Mapping[str, Value], prefix: str) -> Span | None:
    said = {unit: int(slots.get(f"{prefix}{unit}", 0)) for unit in UNITS}
    return Span(said["days"], said["hours"], said["minutes"], said["seconds"]) if any(said.values()) else None


def _without_days(length: Span | None) -> dict[str, int]:
    if length is None:
        return {}
    return replace(length, days=0, hours=length.hours + 24 * length.days).slots


def _named(asked: Request, words: str) -> Request | None:
    """With a timer's name, or with the time that it was to run if that is what it is called by."""
    start = span(_ARTICLE.sub("", words.casefold()))
    if start is not None and not start.bare and asked.start is None:
        return replace(asked, start=start)
    name = timer_name(words)
    return replace(asked, name=name) if name else None


def timer_name(words: str) -> str:
    """The name in these words, without its article; "" if they are none."""
    name = _ARTICLE.sub("", words.casefold().strip())
    return "" if len(name.split()) > _LONGEST_NAME or _NO_NAME.search(name) or span(name) else name


def _started(head: str, rest: str) -> Request | None:
    """A new timer, from the words before "timer" and after it."""
    if len(head.split()) + len(rest.split()) > _LONGEST:
        return None
    for asked in (_with_rest(asked, rest) for asked in _heads(head)):
        if asked is not None:
            return asked
    return None


def _heads(head: str) -> Iterator[Request]:
    """A name, a duration, or both in either order; those with a duration first."""
    words = _ARTICLE.sub("", f"{head.casefold().strip()} ").split()
    if not words:
        return iter(() if head else (Request(),))
    sides = [(" ".join(words[:place]), " ".join(words[place:])) for place in range(len(words) + 1)]
    sides += [(second, first) for first, second in sides]
    readings = [_both(Request(), length, name) for length, name in sides]
    said = [asked for asked in readings if asked and not (asked.length and asked.length.bare)]
    return iter(sorted(said, key=lambda asked: asked.length is None))


def _with_rest(asked: Request, rest: str) -> Request | None:
    """With what follows: "for ten minutes for the eggs", "called eggs for ten minutes"."""
    if not rest:
        return asked
    words = _MARKED.sub("", rest)
    sides = [(words[: at.start()], words[at.end() :]) for at in re.finditer(" ", words)]
    for first, second in [(words, ""), *sides]:
        bare = _MARKED.sub("", second)
        # A name has "for" or "called" before it.
        named_first = _both(asked, bare, first) if words != rest else None
        named_last = _both(asked, first, bare) if bare != second or not second else None
        if both := named_last or named_first:
            return both
    return None


def _both(asked: Request, length: str, name: str) -> Request | None:
    """With a duration and a name, either of which may be ""; None if they are no such, or too many."""
    said, called = span(length) if length else None, timer_name(name)
    if bool(length) != bool(said) or bool(name) != bool(called):
        return None
    if (said and asked.length) or (called and asked.name):
        return None
    return replace(asked, length=said or asked.length, name=called or asked.name)
