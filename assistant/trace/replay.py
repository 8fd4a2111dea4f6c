"""Replaying recorded clips in real time: what would this conversation have felt like?"""

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from asr.stabilize import Partial
from assistant.audio.clips import Clip, read_clip
from assistant.audio.files import FRAME_MS, Resampler, frames
from assistant.config import Config
from assistant.runtime.clock import Clock
from assistant.runtime.lag import LagProbe
from assistant.runtime.spans import Recorder
from assistant.session.parts import Part, split
from assistant.session.playback import PacedSink
from assistant.session.ring import RATE, Frame
from assistant.session.session import Observed, Session, SessionConfig, TurnRecord
from assistant.session.stages import Stages

_SILENCE_AFTER_MS = 500  # at the least; a microphone does not stop when the speaker does
_LIMIT_S = 120  # of silence: no reply is longer


@dataclass
class ClipRun:
    """One clip while and after it is replayed."""

    clip: Clip
    start_ns: int = 0
    sample_rate: int = RATE
    records: list[TurnRecord] = field(default_factory=list)
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
    """All turns of a replay, and what the event loop did meanwhile."""

    turns: tuple[ReplayedTurn, ...]
    lags_ms: tuple[float, ...]
    dropped_frames: int


async def replay(
    clips: Sequence[Clip],
    stages: Stages,
    config: Config,
    clock: Clock,
    recorder: Recorder,
    *,
    conversation: bool = False,
    sink: PacedSink | None = None,
    on_partial: Callable[[Partial], None] = lambda _: None,
    on_turn: Callable[[ReplayedTurn], None] = lambda _: None,
) -> Replay:
    """Feed every clip in real time, each to a fresh session or all to one; raises AudioError."""
    probe = LagProbe(clock, recorder)
    lag = asyncio.create_task(probe.run(), name="lag")
    sink = sink or PacedSink(clock)
    turns: list[ReplayedTurn] = []
    dropped = 0
    try:
        for group in [list(clips)] if conversation else [[clip] for clip in clips]:
            line = _Line(group, clock, on_partial, lambda run: _end_clip(run, turns, on_turn))
            settings = SessionConfig(config.llm.system_prompt, config.turn, config.asr)
            session = Session(stages, settings, clock, recorder, line.observe)
            await session.run(line.source(session), sink)
            dropped += session.dropped_frames
    finally:
        lag.cancel()
    return Replay(tuple(turns), tuple(probe.lags_ms), dropped)


def _end_clip(run: ClipRun, turns: list[ReplayedTurn], on_turn: Callable[[ReplayedTurn], None]) -> None:
    turns.append(summarize(run))
    on_turn(turns[-1])


class _Line:
    """Plays clips into a session, one after the other, and keeps the line open until it is idle."""

    def __init__(
        self,
        clips: list[Clip],
        clock: Clock,
        on_partial: Callable[[Partial], None],
        on_clip: Callable[[ClipRun], None],
    ) -> None:
        self._clips, self._clock = clips, clock
        self._on_partial, self._on_clip = on_partial, on_clip
        self._run = ClipRun(clips[0])
        self._sent = 0
        self._start_ns = 0

    def observe(self, event: Observed) -> None:
        """Note what the session made of the clip that is playing."""
        if isinstance(event, TurnRecord):
            self._run.records.append(event)
        else:
            self._run.partials.append(event)
            self._on_partial(event)

    async def source(self, session: Session) -> AsyncIterator[Frame]:
        """Frames of all clips as a microphone would deliver them: each when its last sample is over."""
        self._start_ns = self._clock.now_ns()
        for clip in self._clips:
            audio, rate = await asyncio.to_thread(read_clip, clip)
            self._run = ClipRun(clip, self._start_ns + self._sent * 1_000_000_000 // RATE, rate)
            resampler = Resampler(rate)
            for index, piece in enumerate(frames(audio, rate)):
                await self._clock.sleep_until(self._run.start_ns + (index + 1) * FRAME_MS * 1_000_000)
                yield self._frame(resampler.push(piece))
            yield self._frame(resampler.flush())
            async for frame in self._silence(session):
                yield frame
            self._on_clip(self._run)

    async def _silence(self, session: Session) -> AsyncIterator[Frame]:
        silent = np.zeros(RATE * FRAME_MS // 1000, np.float32)
        for index in range(_LIMIT_S * 1000 // FRAME_MS):
            end_ns = self._start_ns + (self._sent + len(silent)) * 1_000_000_000 // RATE
            await self._clock.sleep_until(end_ns)
            if index * FRAME_MS >= _SILENCE_AFTER_MS and session.idle:
                return
            yield self._frame(silent)

    def _frame(self, audio: NDArray[np.float32]) -> Frame:
        self._sent += len(audio)
        return Frame(audio, self._start_ns + self._sent * 1_000_000_000 // RATE)


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


def _parts(run: ClipRun, record: TurnRecord) -> tuple[Part, ...]:
    if record.boundaries is None:
        return ()
    voice_end_ns = record.voice_end_ns if run.voice_end_ns is None else run.voice_end_ns
    return tuple(split(voice_end_ns, record.boundaries))
