"""Replaying recorded clips in real time: what would this conversation have felt like?"""

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass, field
from time import process_time

import numpy as np
from numpy.typing import NDArray

from asr.audio import RATE
from asr.stabilize import Partial
from assistant.audio import FRAME_MS, Clip, Resampler, frames, read_clip
from assistant.config import Config
from assistant.models.pool import ModelPool
from assistant.runtime import Clock, LagProbe, Recorder
from assistant.session.events import Failed, Listener, ReplyDone
from assistant.session.parts import Part, split
from assistant.session.ring import Frame
from assistant.session.session import Input, Session, SessionConfig
from assistant.session.sink import PacedSink
from assistant.trace.recording import Recording

_SILENCE_AFTER_MS = 500  # at the least; a microphone does not stop when the speaker does
_LIMIT_S = 120  # of silence: no reply is longer


@dataclass
class ClipRun:
    """One clip while and after it is replayed."""

    clip: Clip
    start_ns: int = 0
    sample_rate: int = RATE
    records: list[ReplyDone] = field(default_factory=list)
    partials: list[Partial] = field(default_factory=list)

    @property
    def voice_end_ns(self) -> int | None:
        """When the last voiced sample was recorded, if the clip is labelled."""
        if self.clip.speech_end_sample is None:
            return None
        return self.start_ns + self.clip.speech_end_sample * 1_000_000_000 // self.sample_rate


@dataclass(frozen=True)
class ReplayedTurn:
    """What came of one clip; `ttfa_ms` is None where nothing was said or no reply was heard."""

    file: str
    reference: str | None
    transcript: str
    reply: str
    ttfa_ms: float | None
    parts: tuple[Part, ...]
    cut_in: bool
    interrupted: bool
    heard: str
    underruns: int


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
        on_partial: Callable[[Partial], None] = lambda _: None,
        on_turn: Callable[[ReplayedTurn], None] = lambda _: None,
    ) -> None:
        """`recording` is of the pool whose tap it has."""
        self._recording = recording
        self._pool, self._clock, self._recorder = pool, clock, recorder
        self._settings = SessionConfig(config.llm.system_prompt, config.turn, config.asr)
        self._on_partial, self._on_turn = on_partial, on_turn
        self._turns: list[ReplayedTurn] = []
        self._dropped = self._failures = 0

    async def replay(self, clips: Sequence[Clip], *, conversation: bool = False, sessions: int = 1) -> Replay:
        """Play every clip to a session of its own, or all to one; `sessions` at a time, side by side.

        Raises AudioError and PoolBusy.
        """
        probe = LagProbe(self._clock, self._recorder)
        lag = asyncio.create_task(probe.run(), name="lag")
        start_s, cpu_s = self._clock.now_ns() / 1e9, process_time()
        try:
            async with asyncio.TaskGroup() as group:
                for number in range(min(sessions, len(clips))):
                    line = self._play_all(clips[number::sessions], f"line-{number}", conversation)
                    group.create_task(line, name=f"line-{number}")
        finally:
            lag.cancel()
        elapsed_s = self._clock.now_ns() / 1e9 - start_s
        cpu = (process_time() - cpu_s) / elapsed_s if elapsed_s else None
        return Replay(tuple(self._turns), tuple(probe.lags_ms), self._dropped, self._failures, sessions, cpu)

    async def _play_all(self, clips: Sequence[Clip], name: str, conversation: bool) -> None:
        for number, group in enumerate([clips] if conversation else [[clip] for clip in clips]):
            await self.play(group, PacedSink(self._clock), f"{name}.{number}" if number else name)

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
        """Frames of all clips as a microphone would deliver them, and silence until each is answered."""
        events = session.subscribe()
        line = _Line(self._clock)
        for clip in clips:
            audio, rate = await asyncio.to_thread(read_clip, clip)
            run = ClipRun(clip, line.now_ns, rate)
            if self._recording is not None:
                self._recording.clip(name, clip, run.start_ns, rate)
            async for frame in line.clip(audio, rate):
                self._note(events, run)
                yield frame
            async for frame in line.silence(session):
                self._note(events, run)
                yield frame
            self._note(events, run)
            self._turns.append(summarize(run))
            self._on_turn(self._turns[-1])

    def _note(self, events: Listener, run: ClipRun) -> None:
        for event in events.drain():
            match event:
                case ReplyDone():
                    run.records.append(event)
                case Partial():
                    run.partials.append(event)
                    self._on_partial(event)
                case Failed():
                    self._failures += 1


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

    async def silence(self, session: Session) -> AsyncIterator[Frame]:
        """Silence until the session is idle."""
        silent = np.zeros(RATE * FRAME_MS // 1000, np.float32)
        for index in range(_LIMIT_S * 1000 // FRAME_MS):
            await self._clock.sleep_until(self.now_ns + FRAME_MS * 1_000_000)
            if index * FRAME_MS >= _SILENCE_AFTER_MS and session.idle:
                return
            yield self._frame(silent)

    def _frame(self, audio: NDArray[np.float32]) -> Frame:
        self._sent += len(audio)
        return Frame(audio, self.now_ns)


def summarize(run: ClipRun) -> ReplayedTurn:
    """Fold the records of a clip: turns that were reopened are part of the one after."""
    final = [record for record in run.records if not record.reopened]
    last = final[-1] if final else None
    parts = _parts(run, last) if last else ()
    end_ns = run.voice_end_ns
    return ReplayedTurn(
        file=run.clip.name,
        reference=run.clip.reference,
        transcript=" ".join(record.transcript for record in final),
        reply=last.reply if last else "",
        ttfa_ms=sum(part.ms for part in parts) if parts else None,
        parts=parts,
        cut_in=end_ns is not None and any(record.decided_ns < end_ns for record in run.records),
        interrupted=any(record.interrupted for record in final),
        heard=last.heard if last else "",
        underruns=sum(record.underruns for record in final),
    )


def _parts(run: ClipRun, record: ReplyDone) -> tuple[Part, ...]:
    return tuple(split(wait_from_ns(run, record), record.boundaries)) if record.boundaries else ()


def wait_from_ns(run: ClipRun, record: ReplyDone) -> int:
    """Where the wait for a reply to a clip begins: at the end of the voice, as labelled or as detected."""
    return record.voice_end_ns if run.voice_end_ns is None else run.voice_end_ns
