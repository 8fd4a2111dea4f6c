"""The Realtime protocol without I/O: (state, event) -> (state, events to send, commands to carry out).

`from_client` has a table of what each of the client's events does, `from_session` one of what the session's
tell the client.
"""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from assistant.server import from_client, from_session
from assistant.server.fields import Fields
from assistant.server.from_session import ReplyAudio
from assistant.server.resume import NOTHING, Resume, begin
from assistant.server.settings import Limits, initial, read
from assistant.server.state import Outcome, State, Step
from assistant.server.wire import WireError
from assistant.session.events import SessionEvent


def open_state(
    name: str,
    model: str,
    instructions: str,
    expires_at: int,
    limits: Limits,
    *,
    can_call: bool,
    speed: float = 1.0,
    session_id: str | None = None,
) -> State:
    """A connection before its first event. `name` stands in all its ids, `expires_at` is in s since 1970.

    The session has another id where it can be resumed by it: the name is in logs, spans and traces.
    """
    session = initial(session_id or f"sess_{name}", model, instructions, expires_at, speed)
    return State(name, session, read(Fields(session), limits), limits, can_call)


def greet(state: State, resume: Resume = NOTHING) -> Outcome:
    """What a client is told first, and the commands that bring back what is resumed."""
    step = Step(state)
    begin(step, resume)
    return step.state, step.events, step.commands


def take(state: State, event: Mapping[str, Any]) -> Outcome:
    """Take an event of the client's, as `wire.read_event` reads it."""
    step = Step(state)
    from_client.take(step, event)
    return step.state, step.events, step.commands


def refuse(state: State, error: WireError) -> Outcome:
    """Tell the client that one of its messages cannot be taken."""
    step = Step(state)
    step.refuse(error)
    return step.state, step.events, step.commands


def refuse_audio(state: State, error: WireError, size: int) -> Outcome:
    """Tell the client that so many bytes of its audio, the last that came, are not kept."""
    return refuse(replace(state, buffered_bytes=max(0, state.buffered_bytes - size)), error)


def tell(state: State, event: SessionEvent | ReplyAudio) -> Outcome:
    """Tell the client of an event of the session's."""
    step = Step(state)
    from_session.tell(step, event)
    return step.state, step.events, step.commands
