"""What the simulated models of one session have in common: calls, streams, and the time that they take."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import TypeVar, cast

from assistant.runtime import Later, VirtualLoop
from assistant.trace.answers import Recorded, Times, Unrecorded
from assistant.trace.items import Json

T = TypeVar("T")

Kind = tuple[str, float | None]
"""A kind of step, and its work; None: as much as is usual."""


@dataclass(frozen=True)
class Scene:
    """A session's recorded calls on virtual time, and what answers where there is none."""

    loop: VirtualLoop
    recorded: Recorded
    times: Times
    unrecorded: Unrecorded

    def answer(
        self, stage: str, given: str, work: float, read: Callable[[Json], T], real: Callable[[], T]
    ) -> T:
        """A call on a worker: as recorded, or as the real model answers."""
        call = self.recorded.take(stage, given)
        if call is not None:
            self.loop.spend(self.times.recorded_ms(call, 0, work))
            return read(call.steps[0].gave)
        self.unrecorded.note(stage)
        self.loop.spend(self.times.fitted_ms(stage, work))
        return real()

    def answer_on_loop(self, stage: str, given: str, read: Callable[[Json], T], real: Callable[[], T]) -> T:
        """A call on the event loop, which does nothing else meanwhile."""
        call = self.recorded.take(stage, given)
        if call is not None:
            self.loop.advance(self.times.recorded_ms(call, 0) / 1e3)
            return read(call.steps[0].gave)
        self.unrecorded.note(stage)
        self.loop.advance(self.times.fitted_ms(stage) / 1e3)
        return real()

    def stream(
        self,
        stage: str,
        given: str,
        kinds: Sequence[Kind],
        read: Callable[[Json], T],
        real: Callable[[], Iterator[T]],
    ) -> Iterator[T]:
        """A call that streams. `kinds` are those of its first steps; the last is that of all that follow.

        Behind what was recorded of a call that was cancelled the real model goes on, if anyone still waits.
        """
        call = self.recorded.take(stage, given)
        steps = call.steps if call else ()
        for index, step in enumerate(steps):
            work = kinds[index][1] if index < len(kinds) - 1 else None
            assert call is not None, "it has steps"
            self.loop.spend(self.times.recorded_ms(call, index, work))
            yield read(step.gave)
        if call is not None and call.whole:
            return
        really: list[Iterator[T]] = []

        def go_on() -> T:
            if not really:
                self.unrecorded.note(stage)
                really.append(islice(real(), len(steps), None))
            return next(really[0])

        index = len(steps)
        while True:
            self.loop.spend(self.times.fitted_ms(*kinds[min(index, len(kinds) - 1)]))
            yield cast("T", Later(go_on))
            index += 1
