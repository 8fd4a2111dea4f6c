"""What to remind of and when, out of "to call my mother at 3 pm" or "in 20 minutes to check the oven"."""

import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Literal

from assistant.skills.timers.asked import spoken_time
from assistant.skills.timers.times import When, when
from assistant.skills.written import as_spoken

Link = Literal["", "to", "that", "about", "of", "for"]
_LINK = re.compile(
    r"^(?:please )?(?:(?P<link>to|that|about|of|for)\s+|(?=(?:I|I'm|I've|we|we're)\s))"
    r"(?:(?:please|also|just|uh|um) )*(?P<text>\S.*)$",
    re.IGNORECASE | re.DOTALL,
)
_ENDS = re.compile(
    r"[\s,.!?]+$|[\s,]+(?:please|okay)$|(?<!\bsay)(?<!\bsend)(?<!\bwrite)[\s,]+(?:thanks|thank you)$",
    re.IGNORECASE,
)
_AFTER_SOMETHING = re.compile(
    r"^(?P<condition>(?:after|before|when|while|once|if|as soon as|during) .+?) to (?P<text>\S.*)$",
    re.IGNORECASE,
)
"""No clock shows when that is, so it is asked."""
_BEFORE_IT = re.compile(
    r"^.*?\b(?:(?:remind|tell|ping|nudge|alert|notify|prompt) (?:me|us)|reminder|let (?:me|us) forget)\b\s*",
    re.IGNORECASE | re.DOTALL,
)
# A number alone is part of the text, "chapter 7"; after these words it is a time.
_MARKED = re.compile(
    r"^(?:at|in|on|for|after|around|about|tomorrow|today|tonight|this|next|later|every|each|daily|weekdays|weekends"
    r"|the|noon|midnight|midday|(?:mon|tues|wednes|thurs|fri|satur|sun)days?)\b"
    r"|\bfrom now$|[ap]\.? ?m\b|o'clock",
    re.IGNORECASE,
)
_YOURS = {
    "i": "you", "me": "you", "my": "your", "mine": "yours", "myself": "yourself", "i'm": "you're",
    "i've": "you've", "i'll": "you'll", "i'd": "you'd", "am": "are", "we": "you", "us": "you", "our": "your",
    "ours": "yours", "ourselves": "yourselves", "we're": "you're", "we've": "you've", "we'll": "you'll",
}  # fmt: skip
_WORD = re.compile(r"[A-Za-z]+(?:['\u2019][a-z]+)?")


@dataclass(frozen=True)
class Reminder:
    """What was said of a reminder; each part may be missing."""

    text: str = ""
    time: When = When()
    link: Link = ""
    """The word before the text: what people ask to be reminded "of" they may only want to hear about."""


def reminder(ahead: str, rest: str) -> Reminder | None:
    """Out of the words before "remind me" and after it; None if they say neither what nor when."""
    first = spoken_time(ahead) if ahead else When()
    rest = _tidy(rest)
    if first is None:
        return None
    if not rest:
        return Reminder(time=first)
    readings = [_after_time(first, time, more) for time, more in _heads(rest)]
    if (only := when(rest)) is not None:
        readings.append(_with(Reminder(time=first), only))
    if (asked := _AFTER_SOMETHING.match(rest)) is not None:
        readings.append(_linked(first, f"to {asked['text']} {asked['condition']}"))
    return next((reading for reading in [*readings, _linked(first, rest)] if reading), None)


def said_after(text: str) -> str:
    """All that follows "remind me": of slots, words are missing that are politeness elsewhere ("say hi")."""
    return _BEFORE_IT.sub("", as_spoken(text), count=1)


def yours(text: str) -> str:
    """As it is said back: "call my mother" is "call your mother"."""
    return _WORD.sub(_turned, text)


def _turned(match: re.Match[str]) -> str:
    turned = _YOURS.get(match[0].casefold().replace("\u2019", "'"))
    if turned is None or (match[0].isupper() and len(match[0]) > 1):
        return match[0]
    if match[0] == "am" and not re.search(r"\b[Ii] $", match.string[: match.start()]):
        return match[0]
    return (
        turned.capitalize() if match.start() == 0 and match[0][0].isupper() and match[0][0] != "I" else turned
    )


def _tidy(words: str) -> str:
    while (cut := _ENDS.sub("", words)) != words:
        words = cut
    return words.strip(" ,")


def _linked(first: When, rest: str) -> Reminder | None:
    """ "to X", "to X at 3": the longest end that is a time is one."""
    found = _LINK.match(rest)
    if found is None:
        return None
    link: Link = (found["link"] or "that").casefold()  # type: ignore[assignment]
    words = _tidy(found["text"]).split()
    for place in range(1, len(words)):
        end = " ".join(words[place:])
        time = when(end) if _MARKED.search(end) else None
        text = words if words[place - 1] == "by" else words[:place]  # a deadline is part of it
        both = _with(Reminder(_tidy(" ".join(text)), first, link), time) if time else None
        if both is not None:
            return both
    return Reminder(" ".join(words), first, link)


def _heads(rest: str) -> Iterator[tuple[When, str]]:
    """A time at the beginning, and what follows it; the longest first."""
    words = rest.split()
    for place in range(len(words) - 1, 0, -1):
        time = when(" ".join(words[:place]).rstrip(","))
        if time is not None:
            yield time, " ".join(words[place:])


def _after_time(first: When, time: When, more: str) -> Reminder | None:
    linked = _linked(When(), more)
    if linked is None:
        return None
    both = _with(Reminder(linked.text, time, linked.link), linked.time)
    return _with(both, first) if both else None


def _with(said: Reminder, time: When) -> Reminder | None:
    """With what another place of the sentence says of the time; None if both say the same part."""
    mine = said.time
    if (mine.span or time.span) and mine != When() and time != When():
        return None
    if (mine.clock and time.clock) or (mine.day and time.day) or (mine.part and time.part):
        return None
    both = When(
        mine.span or time.span,
        mine.day or time.day,
        mine.part or time.part,
        mine.clock or time.clock,
        mine.days or time.days,
    )
    return replace(said, time=both)
