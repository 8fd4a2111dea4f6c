"""What the simulated models of one session have in common: calls, streams, and the time that they take."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TypeVar, cast

from assistant.runtime import Later, VirtualLoop
from assistant.trace.answers import Recorded, Times
from assistant.trace.costs import part
from assistant.trace.items import Json
from assistant.trace.unrecorded import Stream, Unrecorded

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
    tells_ends: bool
    """Whether the language model does."""

    def answer(
        self, stage: str, given: str, work: float, read: Callable[[Json], T], real: Callable[[], T]
    ) -> T:
        """A call on a worker: as recorded, or as the real model answers."""
        call = self.recorded.take(stage, given)
        if call is not None:
            self.loop.spend(self.times.recorded_ms(call, 0, work), stage)
            return read(call.steps[0].gave)
        self.loop.spend(self.times.fitted_ms(stage, work), stage)
        return self.unrecorded.answer(stage, given, real)

    def answer_on_loop(self, stage: str, given: str, read: Callable[[Json], T], real: Callable[[], T]) -> T:
        """A call on the event loop, which does nothing else meanwhile."""
        call = self.recorded.take(stage, given)
        if call is not None:
            self.loop.block(self.times.recorded_ms(call, 0), stage)
            return read(call.steps[0].gave)
        self.loop.block(self.times.fitted_ms(stage), stage)
        return self.unrecorded.answer(stage, given, real)

    def recorded_on_loop(self, stage: str, given: str) -> Json | None:
        """What a call on the event loop gave in the recording; None, in no time, if there was none."""
        call = self.recorded.take(stage, given)
        if call is None:
            return None
        self.loop.block(self.times.recorded_ms(call, 0), stage)
        return call.steps[0].gave

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
            self.loop.spend(self.times.recorded_ms(call, index, work), part(call, index))
            yield read(step.gave)
        if call is not None and call.whole:
            return
        really: list[Stream[T]] = []

        def go_on(index: int) -> T:
            if not really:
                really.append(self.unrecorded.stream(stage, given, real))
            return really[0].item(index)

        index = len(steps)
        while True:
            kind, work = kinds[min(index, len(kinds) - 1)]
            self.loop.spend(self.times.fitted_ms(kind, work), kind)
            yield cast("T", Later(partial(go_on, index)))
            index += 1
