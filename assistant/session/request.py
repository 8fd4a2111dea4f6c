"""What is asked of a reply: by the settings of its session, or by a client for this one alone."""

from dataclasses import dataclass

from assistant.session.conversation import Item
from llm.decode.options import ReplyOptions

RELEASED, SPECULATIVE, HELD = 0, 1, 2
"""How urgent what a reply needs is, the most urgent first: somebody waits for it, may want it, or speaks."""


@dataclass(frozen=True)
class ReplySettings:
    """How replies are made from now on; one that is being made keeps those that it began with."""

    spoken: bool = True
    """With a voice, if the session has one and somewhere to play it; else as text."""
    speed: float | None = None
    """Of the voice: 1.25 takes 0.8 of the time. None is the configuration's."""
    options: ReplyOptions = ReplyOptions()
    skilled: bool = True
    """Whether skills answer what they understand; else all is the language model's."""
    acted_for: bool = False
    """Whether skills act in the language model's place: then it may not claim to."""


@dataclass(frozen=True)
class ReplyRequest:
    """A reply that is asked for, and where it differs from the others."""

    tag: str = ""
    """The client's, by which it knows its reply."""
    settings: ReplySettings | None = None
    instructions: str | None = None
    """In place of the conversation's."""
    items: tuple[Item, ...] | None = None
    """Answered in place of the conversation."""
    in_conversation: bool = True
    """Whether the reply becomes an item of it."""
    say: str | None = None
    """Said in place of a reply, by the assistant of its own accord: a timer that is over."""
