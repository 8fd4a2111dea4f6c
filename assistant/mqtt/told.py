"""What of a session is told to Home Assistant, pure: (state, event) -> (state, messages)."""

from assistant.mqtt.own import Own, Told
from assistant.mqtt.parts import Publication
from assistant.session.conversation import ItemAdded, ItemChanged, UserItem
from assistant.session.events import (
    AudioDelta,
    ReplyContinued,
    ReplyDiscarded,
    ReplyDone,
    ReplyStarted,
    SessionEvent,
    SpeechStarted,
    SpeechStopped,
)
from assistant.session.parts import split, ttfa_ms


def follow(told: Told, event: SessionEvent) -> Told:
    """The state after `event`."""
    match event:
        case SpeechStarted():
            return "listening"
        case SpeechStopped() if told == "listening":
            return "idle"
        case ReplyStarted():
            return "thinking"
        case AudioDelta() if told == "thinking":
            return "speaking"
        case ReplyContinued():
            return "speaking"
        case ReplyDone() | ReplyDiscarded() if told in ("thinking", "speaking"):
            return "idle"
    return told


def messages(own: Own, told: Told, event: SessionEvent) -> tuple[Told, tuple[Publication, ...]]:
    """The state after `event`, and what is published of it."""
    after = follow(told, event)
    published = [] if after == told else [own.state(after)]
    match event:
        case (
            ItemAdded(item=UserItem(text=text, complete=True))
            | ItemChanged(item=UserItem(text=text, complete=True))
        ):
            transcript = own.transcript(text)
            published += [transcript] if text and transcript else []
        case ReplyDone(boundaries=boundaries, voice_end_ns=voice_end_ns) if boundaries is not None:
            parts = split(voice_end_ns, boundaries)
            published.append(own.latency(ttfa_ms(parts), {part.name: part.ms for part in parts}))
    return after, tuple(published)
