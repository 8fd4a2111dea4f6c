"""Figures as recognizers write them, as the words that templates have."""

import re

_REWRITTEN = (
    (re.compile(r"[\u2018\u2019]"), "'"),
    (re.compile(r"(?<=\d),(?=\d{3}\b)"), ""),  # 1,000
    (re.compile(r"(?<=\d)\s*%"), " percent"),
    (re.compile(r"\$\s*(\d+(?:\.\d+)?)"), r"\1 dollars"),
    (re.compile(r"£\s*(\d+(?:\.\d+)?)"), r"\1 pounds"),
    (re.compile(r"€\s*(\d+(?:\.\d+)?)"), r"\1 euros"),
    (re.compile(r"(?<=\d)\s*°\s*F\b"), " degrees fahrenheit"),
    (re.compile(r"(?<=\d)\s*°\s*C\b"), " degrees celsius"),
    (re.compile(r"(?<=\d)\s*°"), " degrees"),
    (re.compile(r"(?<=\d)-(?=(?:minute|hour|second|day|week|month|year|degree|percent)s?\b)", re.I), " "),
    (re.compile(r"\b([ap])\.\s?m\b\.?", re.I), r"\1m"),
    (re.compile(r"(?<=\d)(?=[ap]m\b)", re.I), " "),
    (re.compile(r"\bhalf[?.,]? our\b", re.I), "half hour"),  # they sound the same
    (re.compile(r"\bo'?\s?clock\b", re.I), "o'clock"),
    (re.compile(r"[!?;…]+"), " "),
    (re.compile(r",(?=\s|$)"), " "),
    (re.compile(r"(?<![\d])[:](?!\d)|(?<=\w)\.(?=\s|$)"), " "),
)
_SPACES = re.compile(r"\s+")


def as_spoken(text: str) -> str:
    """`text` with signs as words ("30%" is "30 percent") and without punctuation; times stay as "5:45"."""
    for pattern, replacement in _REWRITTEN:
        text = pattern.sub(replacement, text)
    return _SPACES.sub(" ", text).strip()
