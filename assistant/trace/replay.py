"""Replaying recorded clips in real time: what would this conversation have felt like?"""

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass
from time import process_time

import numpy as np
from numpy.typing import NDArray

from asr.audio import RATE
from assistant.audio import FRAME_MS, Clip, Resampler, frames, read_clip
from assistant.config import Config
from assistant.models.pool import ModelPool
from assistant.runtime import Clock, LagProbe, Recorder
from assistant.session.ring import Frame
from assistant.session.session import Input, Session, SessionConfig
from assistant.session.sink import PacedSink
from assistant.trace.recording import Recording
from assistant.trace.turns import ReplayedTurn, Turns

_SILENCE_AFTER_MS = 500  # at the least; a microphone does not stop when the speaker does
_LIMIT_S = 120  # of silence: no reply is longer


@dataclass(frozen=True)
class Replay:
    """All turns of a replay, and what the event loop and the processor did meanwhile."""

    turns: tuple[ReplayedTurn, ...]
    lags_ms: tuple[float, ...]
    dropped_frames: int
    failures: int = 0
    sessions: int = 1
    cpu: float | None = None
    """Processor time over elapsed time: 2.0 is two cores busy all the while."""


Line = Sequence[Sequence[Clip]]
"""Conversations that are held one after the other."""


def dealt(clips: Sequence[Clip], *, conversation: bool = False, sessions: int = 1) -> list[Line]:
    """`clips` dealt out to so many `sessions`; each is a conversation, or all of a session are one."""
    hands = [clips[number::sessions] for number in range(min(sessions, len(clips)))]
    return [[hand] if conversation else [[clip] for clip in hand] for hand in hands]


class Replayer:
    """Plays clips to sessions of a pool in real time, and keeps what came of them."""

    def __init__(
        self,
        pool: ModelPool,
        config: Config,
        clock: Clock,
        recorder: Recorder,
        *,
        recording: Recording | None = None,
        on_turn: Callable[[ReplayedTurn], None] = lambda _: None,
    ) -> None:
        """`recording` is of the pool whose tap it has."""
        self._recording = recording
        self._pool, self._clock, self._recorder = pool, clock, recorder
        self._settings = SessionConfig(config.llm.system_prompt, config.turn, config.asr)
        self._on_turn = on_turn
        self._turns: list[ReplayedTurn] = []
        self._dropped = self._failures = 0

    async def replay(self, lines: Sequence[Line]) -> Replay:
        """Play all `lines` side by side, in each its conversations one after the other.

        Raises AudioError and PoolBusy.
        """
        probe = LagProbe(self._clock, self._recorder)
        lag = asyncio.create_task(probe.run(), name="lag")
        start_s, cpu_s = self._clock.now_ns() / 1e9, process_time()
        try:
            async with asyncio.TaskGroup() as group:
                for number, line in enumerate(lines):
                    group.create_task(self._play_all(line, f"line-{number}"), name=f"line-{number}")
        finally:
            lag.cancel()
        elapsed_s = self._clock.now_ns() / 1e9 - start_s
        cpu = (process_time() - cpu_s) / elapsed_s if elapsed_s else None
        lags_ms = tuple(probe.lags_ms)
        return Replay(tuple(self._turns), lags_ms, self._dropped, self._failures, len(lines), cpu)

    async def _play_all(self, conversations: Line, name: str) -> None:
        for number, clips in enumerate(conversations):
            await self.play(clips, PacedSink(self._clock), f"{name}.{number}" if number else name)

    async def play(self, clips: Sequence[Clip], sink: PacedSink, name: str = "") -> None:
        """Play `clips` to one session, one after the other."""
        stages = self._pool.open(name)
        try:
            session = Session(stages, self._settings, self._clock, self._recorder, name)
            source = self._source(clips, session, name)
            if self._recording is None:
                await session.run(source, sink)
            else:
                await self._recording.run(session, name, source, sink)
            self._dropped += session.dropped_frames
        finally:
            await stages.close()

    async def _source(self, clips: Sequence[Clip], session: Session, name: str) -> AsyncIterator[Input]:
        """Frames of all clips as a microphone would deliver them, and silence until each is answered.

        A clip that is said over a reply begins when that has sounded for so long, if there is one.
        """
        turns = Turns(name, self._clock.now_ns)
        session.attach(turns)
        line, told = _Line(self._clock), 0
        for clip, following in zip(clips, [*clips[1:], None], strict=True):
            audio, rate = await asyncio.to_thread(read_clip, clip)
            turns.clip(clip, line.now_ns, rate)
            if self._recording is not None:
                self._recording.clip(name, clip, line.now_ns, rate)
            async for frame in line.clip(audio, rate):
                yield frame
            async for frame in line.silence(session, turns, following.over_reply_ms if following else None):
                yield frame
            if session.idle:
                for turn in turns.all()[told:]:
                    self._turns.append(turn)
                    self._on_turn(turn)
                told = len(turns.all())
        self._failures += turns.failures


class _Line:
    """Frames in real time: each comes when its last sample is over."""

    def __init__(self, clock: Clock) -> None:
        self._clock, self._sent, self._start_ns = clock, 0, clock.now_ns()

    @property
    def now_ns(self) -> int:
        """When the last sample sent was over."""
        return self._start_ns + self._sent * 1_000_000_000 // RATE

    async def clip(self, audio: NDArray[np.float32], rate: int) -> AsyncIterator[Frame]:
        """The audio of a clip."""
        resampler, start_ns = Resampler(rate), self.now_ns
        for index, piece in enumerate(frames(audio, rate), 1):
            await self._clock.sleep_until(start_ns + index * FRAME_MS * 1_000_000)
            yield self._frame(resampler.push(piece))
        yield self._frame(resampler.flush())

    async def silence(
        self, session: Session, turns: Turns, over_reply_ms: int | None
    ) -> AsyncIterator[Frame]:
        """Silence until the session is idle, or a reply has sounded for so long."""
        silent = np.zeros(RATE * FRAME_MS // 1000, np.float32)
        for index in range(_LIMIT_S * 1000 // FRAME_MS):
            await self._clock.sleep_until(self.now_ns + FRAME_MS * 1_000_000)
            if turns.sounds_for(over_reply_ms) or (index * FRAME_MS >= _SILENCE_AFTER_MS and session.idle):
                return
            yield self._frame(silent)

    def _frame(self, audio: NDArray[np.float32]) -> Frame:
        self._sent += len(audio)
        return Frame(audio, self.now_ns)
