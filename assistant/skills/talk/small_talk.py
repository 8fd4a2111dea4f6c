"""Small talk: greetings, feelings, jokes, a coin; short, kind, and plain that a program speaks."""

import random
import re
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from assistant.skills.sentences import our_own
from assistant.skills.skill import Answer, Choice, Intent, Situation
from assistant.skills.talk.spotting import Phrases

_SIDES = ("one", "two", "three", "four", "five", "six")
_PAIR = re.compile(r"\b(?:two|2|pair)\b", re.IGNORECASE)
_TURN_S = 10
"""How long the clock picks the same answer: a transcript that grows keeps its own."""


class SmallTalk:
    """What is said for company; asked after all commands."""

    sentences: Sequence[Mapping[str, Any]] = ()
    lists: Mapping[str, Sequence[Choice]] = {}
    urgent = False

    def __init__(self, rng: random.Random) -> None:
        """`rng` flips coins and rolls dice."""
        self._rng = rng
        self._phrases = Phrases(our_own("small_talk"))
        self._answers: Mapping[str, Sequence[str]] = our_own("small_talk_answers")
        self.names = self._phrases.names

    def recognize(self, text: str) -> Intent | None:
        """What kind of small talk it is."""
        name = self._phrases.find(text)
        return None if name is None else Intent(name, {}, text)

    def answer(self, intent: Intent, situation: Situation) -> Answer | None:
        """One or two short sentences."""
        if intent.name == "SmallTalkCoin":
            return Answer(self._rng.choice(("Heads.", "Tails.")))
        if intent.name == "SmallTalkDie":
            return Answer(self._rolled(2 if _PAIR.search(intent.text) else 1))
        return Answer(_picked(self._answers[intent.name], situation.now, situation.last_reply))

    def _rolled(self, dice: int) -> str:
        return f"{' and '.join(self._rng.choices(_SIDES, k=dice)).capitalize()}."


def _picked(answers: Sequence[str], now: datetime, last: str) -> str:
    """By the clock; not what was said last, if there is another."""
    turn = int(now.timestamp()) // _TURN_S
    answer = answers[turn % len(answers)]
    return answers[(turn + 1) % len(answers)] if answer == last else answer
