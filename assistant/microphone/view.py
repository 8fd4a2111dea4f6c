"""What one sees of a conversation, without a terminal: (view, event) -> view, and the lines of a turn."""

from dataclasses import dataclass, replace
from typing import Literal

from asr.stabilize import Partial
from assistant.session.events import (
    ReplyContinued,
    ReplyDiscarded,
    ReplyDone,
    ReplyStarted,
    SessionEvent,
    SpeechStarted,
    SpeechStopped,
)
from assistant.session.parts import Part
from assistant.trace.turns import ReplayedTurn

_WORTH_TELLING_MS = 0.5


@dataclass(frozen=True)
class View:
    """The conversation now. What is over is not in it, but for the `wait` of the last turn."""

    state: Literal["starting", "listening", "hearing", "thinking", "speaking"] = "starting"
    stable: str = ""
    unstable: str = ""
    reply: str = ""
    """What of the reply has been heard."""
    wait: tuple[Part, ...] = ()


def follow(view: View, event: SessionEvent) -> View:
    """The view after `event`."""
    match event:
        case SpeechStarted():
            return replace(view, state="hearing", stable="", unstable="", reply="")
        case Partial():
            return replace(view, stable=event.stable, unstable=event.unstable)
        case SpeechStopped() if view.state == "hearing":
            return replace(view, state="listening")
        case ReplyStarted():
            return replace(view, state="thinking", reply="")
        case ReplyContinued():
            return replace(view, state="speaking", stable="", unstable="")
        case ReplyDone() | ReplyDiscarded() if view.state in ("thinking", "speaking"):
            return replace(view, state="listening", stable="", unstable="", reply="")
    return view


def heard(view: View, text: str) -> View:
    """The view when `text` is what has been heard of the reply."""
    if view.state not in ("thinking", "speaking") or not text:
        return view
    return replace(view, state="speaking", reply=text)


def lines(turn: ReplayedTurn) -> list[str]:
    """A turn that is over: what was said, what was heard of the reply, and what the wait was made of."""
    cut = " (interrupted)" if turn.interrupted else ""
    told = [f"you:       {turn.transcript}"] if turn.transcript else []
    told.append(f"assistant: {turn.heard or '(nothing was heard)'}{cut}")
    if turn.ttfa_ms is not None:
        told.append(f"           {split(turn.parts)}")
    return told


def split(parts: tuple[Part, ...]) -> str:
    """The wait on one line, its parts in the order in which they come; of no wait, nothing."""
    if not parts:
        return ""
    named = [f"{part.name} {part.ms:.0f}" for part in parts if abs(part.ms) >= _WORTH_TELLING_MS]
    return f"{sum(part.ms for part in parts):.0f} ms: {', '.join(named)}"
