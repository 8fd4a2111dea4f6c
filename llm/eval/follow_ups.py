"""Replies to what needs no long one ("Thanks."): whether a model repeats its last reply, or is cut off.

The measure for whatever keeps a small model from repeating itself: how often it does, what that costs in
likelihood and in facts that are known, and how many replies end in the middle of a sentence.
"""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import NamedTuple

from llm.text.chat import Message

CLOSING = ("Thanks.", "Okay.", "Stop.", "Goodbye.")
"""To each of them the first reply is the last one; then the first three follow one another."""
SHARED_WORDS = 8
"""A reply that has so many words in a row from the last one repeats it."""
RETOLD = 0.6
"""A reply with this share of its long words, three at least, from the last one says it in another order."""
_LONG = 4  # letters
FACTS = (
    ("What is the capital of France?", "In what country is Paris?", "france"),
    ("What is the capital of Italy?", "What language do people speak in Rome?", "italian"),
    ("How many days are in a week?", "How many hours are in a day?", "24|twenty"),
    ("What color is the sky?", "What color is grass?", "green"),
    ("Who wrote Romeo and Juliet?", "In what country was Shakespeare born?", "england"),
    ("What is the largest planet?", "Which planet is closest to the sun?", "mercury"),
    ("What is two plus two?", "What is three plus three?", "six|6"),
    ("What is the capital of Japan?", "What is the capital of China?", "beijing"),
    ("What do cows drink?", "What do cows give us to drink?", "milk"),
    ("What is the opposite of hot?", "What is the opposite of up?", "down"),
    ("Where do polar bears live?", "What color are polar bears?", "white"),
    ("What is the tallest mountain?", "In which mountain range is Mount Everest?", "himalaya"),
    ("How many legs does a spider have?", "How many legs does a dog have?", "four|4"),
    ("What is the capital of Spain?", "What is the capital of Portugal?", "lisbon"),
    ("What is water made of?", "At what temperature does water boil?", "100|212"),
    ("Who was the first US president?", "What is the capital of the United States?", "washington"),
    ("Which ocean is the largest?", "Which ocean is between Europe and America?", "atlantic"),
    ("What is the first month of the year?", "What is the last month of the year?", "december"),
    ("What do bees make?", "What do bees collect from flowers?", "nectar|pollen"),
    ("What is the capital of Germany?", "What language is spoken in Germany?", "german"),
)
"""A question, the next on the same subject, and what its answer must hold."""

_SENTENCE = re.compile(r"[.!?\u2026][\"'\u201d\u2019)\]*_]*\Z")


class Answer(NamedTuple):
    """A reply, why it ended (see `Finished`), its tokens, and their log-probability without a penalty."""

    text: str
    reason: str
    tokens: int
    log_prob: float


Ask = Callable[[Sequence[Message], str], Answer]
"""The reply to what the user says after a history."""


@dataclass(frozen=True)
class FollowUps:
    """Shares of replies to follow-ups, `cut` of all replies; `nll` is in nats a token of follow-ups."""

    replies: int
    repeated: float
    retold: float
    cut: float
    mean_words: float
    most_words: int
    nll: float
    facts: int
    of_facts: int


def measure(
    ask: Ask, system: Sequence[Message], prompts: Sequence[str], facts: Sequence[tuple[str, str, str]] = FACTS
) -> FollowUps:
    """Ask each prompt and follow it up, and each pair of questions on facts."""
    firsts: list[Answer] = []
    pairs: list[tuple[Answer, Answer]] = []
    for prompt in prompts:
        first = ask(system, prompt)
        firsts.append(first)
        begun = [*system, *_turn(prompt, first)]
        pairs += [(first, ask(begun, words)) for words in CLOSING]
        last, history = pairs[-len(CLOSING)][1], [*begun, *_turn(CLOSING[0], pairs[-len(CLOSING)][1])]
        for words in CLOSING[1:-1]:
            reply = ask(history, words)
            pairs.append((last, reply))
            last, history = reply, [*history, *_turn(words, reply)]
    known = [_knows(ask, system, *fact) for fact in facts]
    replies = [reply for _, reply in pairs]
    every = [*firsts, *replies]
    return FollowUps(
        len(replies),
        fmean(repeats(before.text, reply.text) for before, reply in pairs),
        fmean(retells(before.text, reply.text) for before, reply in pairs),
        fmean(map(is_cut, every)),
        fmean(len(_words(reply.text)) for reply in every),
        max(len(_words(reply.text)) for reply in every),
        -sum(reply.log_prob for reply in replies) / max(1, sum(reply.tokens for reply in replies)),
        sum(known),
        len(known),
    )


def repeats(before: str, reply: str) -> bool:
    """Whether `reply` says what the one before it did, as a whole or in SHARED_WORDS words in a row."""
    said, again = _words(before), _words(reply)
    if again == said:
        return True
    runs = {tuple(said[at : at + SHARED_WORDS]) for at in range(len(said) - SHARED_WORDS + 1)}
    return any(tuple(again[at : at + SHARED_WORDS]) in runs for at in range(len(again) - SHARED_WORDS + 1))


def retells(before: str, reply: str) -> bool:
    """Whether `reply` is made of words of the one before it, which a ban on runs of words allows."""
    said, again = ({word for word in _words(text) if len(word) >= _LONG} for text in (before, reply))
    return len(again) > 2 and len(again & said) >= RETOLD * len(again)


def is_cut(answer: Answer) -> bool:
    """Whether it was ended, and not by its model, where no sentence ends."""
    return answer.reason in ("length", "stop") and _SENTENCE.search(answer.text.rstrip()) is None


def _knows(ask: Ask, system: Sequence[Message], first: str, second: str, answer: str) -> bool:
    history = [*system, *_turn(first, ask(system, first))]
    return re.search(answer, ask(history, second).text.lower()) is not None


def _turn(words: str, reply: Answer) -> list[Message]:
    return [Message("user", words), Message("assistant", reply.text)]


def _words(text: str) -> list[str]:
    return re.findall(r"[^\W_]+(?:'[^\W_]+)?", text.lower())
