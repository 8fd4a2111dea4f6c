"""The words of lists: from what was said to items, and back to a sentence."""

import re
from collections.abc import Sequence

_ONE = (
    "salt and pepper", "mac and cheese", "macaroni and cheese", "fish and chips", "half and half",
    "peanut butter and jelly", "peanut butter and jam", "ham and cheese", "cheese and onion",
    "sour cream and onion", "salt and vinegar", "gin and tonic", "cookies and cream", "oil and vinegar",
    "sweet and sour", "ben and jerry's", "ben and jerrys", "head and shoulders", "arm and hammer",
    "bread and butter pudding", "steak and kidney pie", "pork and beans",
)  # fmt: skip
"""What is one thing although "and" stands in it."""
_ONE_PATTERN = re.compile("|".join(rf"\b{one}\b" for one in _ONE), re.IGNORECASE)
_BETWEEN = re.compile(
    r"\s*[,;]\s*(?:and\s+|or\s+)?(?:also\s+|then\s+)?|\s+(?:and|&|plus)\s+(?:also\s+)?", re.I
)
_HELD = "\N{WORD JOINER}"  # stands for the spaces of `_ONE` while the rest is split
_ARTICLE = re.compile(r"^(?:an?|the|some|my|our|more|any)\s+", re.IGNORECASE)
_SOME = re.compile(r"^some\s+(?=\w)", re.IGNORECASE)
_NO_ITEM = re.compile(
    r"(?:it|that|this|them|those|these|me|you|him|her|us|myself|everything|something|anything|nothing"
    r"|all|one|another one|more|so|then|now|too|what|who)$",
    re.IGNORECASE,
)
_NO_FOLLOWING_ITEM = re.compile(
    r"(?:me|him|her|us|them|your|what|how|when|who|where|why|which|is|are|am|was|were|can|could|do|does|did|will|would|should|shall"
    r"|have|has|had|set|turn|switch|tell|play|remind|call|read|remove|take|delete|cancel|stop|start|open|close"
    r"|dim|make|show|give|i|i'm|i'll|i've|you|he|she|it|it's|we|they|that|that's|this|there|then|now|so|yes"
    r"|no|not|thanks|thank|my|if|because|but|or|don't|please|let|let's|in|at|on|by|for|with|to)\b",
    re.IGNORECASE,
)
_NEVER_BOUGHT = re.compile(
    r"\b(?:time|luck|ideas?|options?|money|cash|funds|gas|petrol|fuel|breath|energy|patience|words|space|room"
    r"|memory|work|practice|shape|control|order|town|office|sight|touch|tune|date|season|stock|reach|bounds"
    r"|character|excuses|road|coverage|signal|steam|power|charge|data|lives|questions|topics|staff|people"
    r"|hope|sorts|place|here|there|bed|school|danger|hand|fashion|commission|service|action|business)$"
    r"|^(?:an?|the|my|our|his|her|their)\b",
    re.IGNORECASE,
)
"""What somebody is out of, and no shop has."""
_TOLD = re.compile(
    r"\b(?:again|already|yesterday|today|tonight|halfway|before|after|when|while|because|so|last|this|with|for)\b",
    re.IGNORECASE,
)
"""Words of a tale: "we're out of milk because of you"."""
_LONGEST_OUT = 3  # words of an item that has run out
_ELSEWHERE = re.compile(r"\b(?:to|on|onto|in|into|out|from|together)\b", re.IGNORECASE)
_NUMBER = re.compile(
    r"(?:[\d.,]+|zero|one|two|three|four|five|six|seven|eight|nine|ten|eleven|twelve|(?:thir|four|fif|six|seven"
    r"|eigh|nine)teen|(?:twen|thir|for|fif|six|seven|eigh|nine)ty|hundred|thousand|\s|-)+$",
    re.IGNORECASE,
)
_LONGEST = 6  # words that follow "and": more of them are a sentence


def as_written(words: str, text: str) -> str:
    """`words` with the commas that stand between them in `text`: the matcher leaves them out."""
    pattern = r"[\s,;]+".join(re.escape(word) for word in words.split())
    found = re.search(rf"(?<!\w){pattern}(?!\w)", text, re.IGNORECASE)
    return found[0] if found else words


def items(words: str) -> list[str]:
    """ "eggs, butter and milk" are three, "salt and pepper" is one; no item twice."""
    held = _ONE_PATTERN.sub(lambda found: found[0].replace(" ", _HELD), words)
    found: list[str] = []
    for part in _BETWEEN.split(held):
        item = _SOME.sub("", part.replace(_HELD, " ").strip(" ,;.!?\"'"))
        if item and same(item, found) is None:
            found.append(item)
    return found


def same(item: str, listed: Sequence[str]) -> str | None:
    """The one of `listed` that means the same as `item`: "some eggs", "Eggs" and "egg" do."""
    return next((other for other in listed if _key(other) == _key(item)), None)


def _key(item: str) -> str:
    plain = _ARTICLE.sub("", item.casefold().replace("-", " ").strip())
    return re.sub(r"(?<=[^s])s$", "", re.sub(r"(?<=[osx])es$", "", plain))


def is_item(item: str) -> bool:
    """Whether it names a thing: "it" does not."""
    return not _NO_ITEM.match(item)


def may_run_out(words: str) -> bool:
    """Whether "we're out of WORDS" is about something to buy, rather than about time or the woods."""
    parts = items(words)
    return bool(parts) and not any(
        _NEVER_BOUGHT.search(part)
        or _TOLD.search(part)
        or not may_follow(part)
        or len(part.split()) > _LONGEST_OUT
        for part in parts
    )


def may_follow(item: str) -> bool:
    """Whether "and ITEM" goes on with a list, rather than saying something else."""
    said_of_else = _NO_FOLLOWING_ITEM.match(item) or _ELSEWHERE.search(item) or _NUMBER.match(item)
    return is_item(item) and not said_of_else and len(item.split()) <= _LONGEST


def spoken(words: Sequence[str]) -> str:
    """ "eggs", "eggs and butter", "eggs, butter, and milk"."""
    if len(words) < 3:
        return " and ".join(words)
    return f"{', '.join(words[:-1])}, and {words[-1]}"
