"""What the parts of a session share: its stages, its spans, and where to tell what happened."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from assistant.runtime import Clock, Tracer
from assistant.session import turn
from assistant.session.backchannels import is_backchannel
from assistant.session.events import SessionEvent
from assistant.session.sink import Sink
from assistant.session.stages import Stages


@dataclass(frozen=True)
class Context:
    """`report` tells the turn machine, `emit` whoever listens to the session."""

    stages: Stages
    sink: Sink | None
    tracer: Tracer
    report: Callable[[turn.Event], Awaitable[None]]
    emit: Callable[[SessionEvent], None]
    is_echo: Callable[[str], bool] = lambda _: False
    """Whether a transcript is what was just played and not what the user says: nothing was said then."""
    is_backchannel: Callable[[str], bool] = is_backchannel
    """Whether a transcript asks for no answer, said over a reply."""
    sample_at: Callable[[int], int] = lambda _: 0
    """The sample of the user's audio that is recorded at a time (ns); it may be still to come."""

    @property
    def clock(self) -> Clock:
        """The session's clock."""
        return self.tracer.clock


def one_line(error: BaseException) -> str:
    """The first error of a group, or the error, in one line."""
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return " ".join(str(error).split()) or type(error).__name__
