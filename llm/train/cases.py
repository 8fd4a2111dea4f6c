"""The examples of training and of evaluation, which share neither templates nor contents.

Prompts of a section, words of an open list, rows of a table and single facts are each put into three parts
by the hash of their text: about a sixth for the report, an eighth for choosing settings, the rest to fit. An
example of a part has its template and all its open words from that part. Of three or four one is for the
report, and the others are for both other parts; fewer serve all. Facts are judged twice: learnt ones asked in
new words ("fact/seen") and facts that were never in the training ("fact/unseen").
"""

import random
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import cache
from hashlib import sha256
from typing import Literal, TypeVar

from llm.text.message import Message
from llm.train.grammar import Draw, Example
from llm.train.sections import Kind, Section, Words, read_facts, read_sections, read_words

Part = Literal["fit", "choose", "report"]
PARTS: tuple[Part, ...] = ("fit", "choose", "report")
_T = TypeVar("_T")

MOST: Mapping[Kind, Mapping[Part, int]] = {
    "command": {"fit": 260, "choose": 8, "report": 20},
    "cannot": {"fit": 130, "choose": 6, "report": 20},
    "unknown": {"fit": 130, "choose": 6, "report": 20},
    "fact": {"fit": 180, "choose": 6, "report": 12},
    "talk": {"fit": 90, "choose": 5, "report": 10},
    "follow_up": {"fit": 60, "choose": 4, "report": 10},
}
"""Examples of a section in each part, at most; facts of the report as many seen and as many unseen."""

_WITH_MORE = 0.25  # of the examples come later in a conversation
_MISSES = 100  # drawings in a row that bring nothing new: a short section has no more


def parted(values: Sequence[_T], text: Mapping[_T, str] | None = None) -> dict[Part, list[_T]]:
    """Values in three parts by the hash of their `text` (or of themselves), as the module says."""
    order = sorted(values, key=lambda value: _hash(text[value] if text else str(value)))
    if len(order) < 3:
        return dict.fromkeys(PARTS, order)
    if len(order) < 5:
        return {"fit": order[1:], "choose": order[1:], "report": order[:1]}
    reported, chosen = max(1, len(order) // 6), max(1, len(order) // 8)
    return {
        "report": order[:reported],
        "choose": order[reported : reported + chosen],
        "fit": order[reported + chosen :],
    }


def examples(seed: int = 0) -> dict[Part, list[Example]]:
    """All examples but replay; no conversation is in two parts, or twice in one."""
    said: set[tuple[str, ...]] = set()
    found: dict[Part, list[Example]] = {}
    for part in reversed(PARTS):  # what is reported is drawn first, and never repeated
        rng = random.Random(f"{seed} {part}")
        drawn = [example for example in _part(part, rng) if not _is_known(example, said)]
        found[part] = list(_in_conversations(drawn, rng))
    return found


def replay_prompts(count: int, seed: int = 0) -> list[Example]:
    """Prompts, half of them under the assistant's system prompt, half under the model's own."""
    found = _replay(count, seed, lambda section: section.key != "text")
    return [replace(example, system=i % 2 == 0) for i, example in enumerate(found)]


def replay_beginnings(count: int, seed: int = 0) -> list[str]:
    """First sentences of texts that are no conversations."""
    return [example.prompt for example in _replay(count, seed, lambda section: section.key == "text")]


def _replay(count: int, seed: int, wanted: Callable[[Section], bool]) -> list[Example]:
    rng = random.Random(f"{seed} replay")
    sections = [section for section in read_sections() if section.kind == "replay" and wanted(section)]
    found: dict[str, Example] = {}
    for _ in range(count * 4):
        section = rng.choice(sections)
        example = Draw(rng, _words("fit"), {}).example(section, rng.choice(section.prompts))
        found.setdefault(example.prompt, example)
    return list(found.values())[:count]


def _in_conversations(found: Sequence[Example], rng: random.Random) -> Iterator[Example]:
    """Some of the examples behind one or two exchanges of the same part that have nothing to do with them."""
    earlier = [e for e in found if e.kind in ("fact", "talk", "cannot") and len(e.messages) == 1]
    for example in found:
        count = rng.choice((1, 2)) if rng.random() < _WITH_MORE else 0
        before = [
            message
            for other in rng.sample(earlier, count)
            for message in (*other.messages, Message("assistant", other.reply))
        ]
        yield replace(example, messages=(*before, *example.messages))


def _is_known(example: Example, said: set[tuple[str, ...]]) -> bool:
    key = tuple(message.content.lower().rstrip(".?!") for message in example.messages)
    known = key in said
    said.add(key)
    return known


def _part(part: Part, rng: random.Random) -> Iterator[Example]:
    for section in read_sections():
        if section.kind == "replay":
            continue
        if section.kind == "fact":
            yield from _table(section, part, rng)
        else:
            yield from _drawn(section, part, part, rng)
    yield from _facts(part, rng)


def _table(section: Section, part: Part, rng: random.Random) -> Iterator[Example]:
    yield from _named(_drawn(section, part, "fit", rng), "fit" if part == "fit" else "seen")
    if part != "fit":
        yield from _named(_drawn(section, part, part, rng), "unseen")


def _drawn(section: Section, part: Part, rows: Part, rng: random.Random) -> Iterator[Example]:
    """Up to MOST different examples, their rows from the part `rows`."""
    prompts, words = parted(section.prompts)[part], _words(part)
    texts = {i: str(row) for i, row in enumerate(section.rows)}
    chosen = [section.rows[i] for i in parted(list(texts), texts)[rows]] if texts else [{}]
    most, found, misses = MOST[section.kind][part], set[str](), 0
    while len(found) < most and misses < _MISSES:
        example = Draw(rng, words, rng.choice(chosen)).example(section, rng.choice(prompts))
        misses += 1
        if (key := str([message.content for message in example.messages]).lower()) not in found:
            found.add(key)
            misses = 0
            yield example


def _facts(part: Part, rng: random.Random) -> Iterator[Example]:
    """Single facts: one in six that are learnt keeps its last wording for another part."""
    facts = {section.prompts[0]: section for section in read_facts()}
    parts = parted(list(facts))
    for question in parts["fit"]:
        section, held = facts[question], _held(question)
        if part == "fit":
            yield from _named(_asked(section, section.prompts[: -1 if held else None], rng), "fit")
        elif part == held:
            yield from _named(_asked(section, section.prompts[-1:], rng), "seen")
    if part != "fit":
        for question in parts[part]:
            yield from _named(_asked(facts[question], [question], rng), "unseen")


def _held(question: str) -> Part | None:
    """The part for which a fact keeps its last wording."""
    return {0: "report", 1: "choose"}.get(int(_hash(question)[:8], 16) % 6)  # type: ignore[return-value]


def _asked(section: Section, prompts: Iterable[str], rng: random.Random) -> Iterator[Example]:
    yield from (Draw(rng, {}, {}).example(section, prompt) for prompt in prompts)


def _named(found: Iterable[Example], what: str) -> Iterator[Example]:
    yield from (replace(example, group=f"{example.kind}/{what}") for example in found)


@cache
def _words(part: Part) -> dict[str, Words]:
    """The lists, of open ones only what this part may use."""
    return {
        name: replace(words, words=tuple(parted(words.words)[part])) if words.open else words
        for name, words in read_words().items()
    }


def _hash(text: str) -> str:
    return sha256(text.encode()).hexdigest()
