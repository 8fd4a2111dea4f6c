"""What a skill may change about how the user hears the assistant."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Protocol, runtime_checkable

from assistant.session.request import ReplySettings
from assistant.session.sink import Sink


@runtime_checkable
class _Loudspeaker(Protocol):
    volume: float


@dataclass
class SessionDevice:
    """The sink and the voice of a session; see `stages.Device`."""

    sink: Callable[[], Sink | None]
    settings: Callable[[], ReplySettings]
    configure: Callable[[ReplySettings], None]

    @property
    def volume(self) -> float | None:
        """Percent; None where the sink has none: a remote client turns its own."""
        sink = self.sink()
        return sink.volume if isinstance(sink, _Loudspeaker) else None

    @volume.setter
    def volume(self, percent: float) -> None:
        sink = self.sink()
        if isinstance(sink, _Loudspeaker):
            sink.volume = min(100.0, max(0.0, percent))

    @property
    def speed(self) -> float:
        """Of the voice, from 0.25 to 1.5."""
        return self.settings().speed or 1.0

    @speed.setter
    def speed(self, speed: float) -> None:
        self.configure(replace(self.settings(), speed=min(1.5, max(0.25, speed))))
