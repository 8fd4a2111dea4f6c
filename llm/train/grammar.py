"""From a section to an example: a template is chosen, its words drawn, and what it means written down."""

import json
import random
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from llm.text.message import Message
from llm.train.sections import Kind, Section, Words
from llm.train.spoken import SPOKEN

_INNERMOST = re.compile(r"\(([^()\[\]]*)\)|\[([^()\[\]]*)\]")
_SLOT = re.compile(r"\{(\w+)\}")
_I = re.compile(r"\bi\b(?=['\s,.?]|$)")
_A = re.compile(r"(?<=\b[Aa])(?= [aeio])")  # "a owl"
# In which order a call's arguments are written.
_ORDER = (
    *("hours", "minutes", "seconds", "name", "area", "text", "time", "day", "item", "brightness", "color"),
    *("temperature", "volume_level", "volume_step", "expression", "value", "from", "to"),
)


@dataclass(frozen=True)
class Example:
    """A conversation and the reply to it.

    group: what it is counted as, "command/HassStartTimer" for instance. pattern: a regular expression that a
    right reply holds, or nothing. system: whether the assistant's own system prompt stands before it.
    """

    kind: Kind
    group: str
    messages: tuple[Message, ...]
    reply: str
    pattern: str = ""
    system: bool = True

    @property
    def prompt(self) -> str:
        """What the user says last."""
        return self.messages[-1].content


def call_text(calls: Sequence[tuple[str, Mapping[str, object]]]) -> str:
    """Calls as the model should write them; see `llm.text.tool_calls`."""
    return "\n".join(
        f"<tool_call>{json.dumps({'name': name, 'arguments': dict(arguments)})}</tool_call>"
        for name, arguments in calls
    )


class Draw:
    """One drawing of an example: the words of its slots, the same wherever a slot occurs."""

    def __init__(self, rng: random.Random, words: Mapping[str, Words], row: Mapping[str, str]) -> None:
        """`words` hold only what may be drawn."""
        self._rng, self._words, self._row = rng, words, row
        self._bound = {column: value.split("|")[0] for column, value in row.items()}
        self._meant: dict[str, object] = {}

    def example(self, section: Section, prompt: str) -> Example:
        """An example of the section with this prompt of it."""
        history = [self._said(text) for _, text in section.history]
        self._meant.clear()  # what was said before fills no slots
        template, _, fixed = prompt.partition(" => ")
        last = self._styled(self._said(template))
        self._meant.update(json.loads(fixed or "{}"))
        roles = [("user" if mark == "u" else "assistant") for mark, _ in section.history]
        messages = [
            Message("user", text) if role == "user" else Message("assistant", text)
            for role, text in zip(roles, history, strict=True)
        ]
        pattern = _SLOT.sub(lambda slot: self._row.get(slot[1], slot[0]), section.pattern)
        return Example(
            section.kind,
            f"{section.kind}/{section.key}",
            (*messages, Message("user", last)),
            self._reply(section),
            pattern,
        )

    def _reply(self, section: Section) -> str:
        if section.calls:
            return call_text([(name, self._arguments(written)) for name, written in section.calls])
        return self._said(self._rng.choice(section.replies)) if section.replies else ""

    def _arguments(self, written: str) -> dict[str, object]:
        meant = json.loads(_SLOT.sub(lambda slot: self._word(slot[1]), written)) if written else self._meant
        return {name: meant[name] for name in _ORDER if name in meant}

    def _said(self, template: str) -> str:
        text = template
        while match := _INNERMOST.search(text):
            options = match[1].split("|") if match[1] is not None else [*match[2].split("|"), ""]
            text = text[: match.start()] + self._rng.choice(options) + text[match.end() :]
        text = _SLOT.sub(lambda slot: self._word(slot[1]), text)
        text = re.sub(r"\s+([,.?!])", r"\1", " ".join(text.split())).lstrip(", ")
        text = _A.sub("n", text)
        return text[:1].upper() + text[1:]

    def _word(self, slot: str) -> str:
        if slot not in self._bound:
            self._bound[slot] = self._draw(slot)
        return self._bound[slot]

    def _draw(self, slot: str) -> str:
        if slot in SPOKEN:
            spoken = SPOKEN[slot](self._rng)
            self._meant.update(spoken.slots)
            return spoken.words
        listed = self._words[slot.removesuffix("_2")]
        taken = self._bound.get(slot.removesuffix("_2"))
        word = self._rng.choice([word for word in listed.words if word != taken])
        if listed.argument != "-":
            self._meant[listed.argument] = word
        return word

    def _styled(self, text: str) -> str:
        """As a recognizer would write it, mostly; else without punctuation or capitals."""
        text = _I.sub("I", text)
        style = self._rng.random()
        if style < 0.15:
            return text.rstrip(".?!").lower()
        if style < 0.25:
            return text.rstrip(".?!")
        return text if text[-1:] in ".?!" else f"{text}."
