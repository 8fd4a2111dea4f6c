"""One session of a trace, fed again with what came in; and the turns of it, recorded or simulated."""

import math
from collections.abc import AsyncIterator, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from asr.audio import RATE
from asr.vad import WINDOW
from assistant.audio import FRAME_MS, Clip
from assistant.config import Config
from assistant.models.pool import ModelPool
from assistant.runtime import Clock, Recorder
from assistant.session import turn
from assistant.session.events import ReplyDone
from assistant.session.parts import Boundaries
from assistant.session.ring import Frame
from assistant.session.session import Input, Session, SessionConfig, Typed
from assistant.session.sink import PacedSink
from assistant.trace.errors import TraceError
from assistant.trace.trace import RecordedSession
from assistant.trace.turns import ClipRun, ReplayedTurn, Turns, summarize

_FRAME_NS = FRAME_MS * 1_000_000
_SILENT = np.zeros(RATE * FRAME_MS // 1000, np.float32)
_ALIGNED = math.lcm(len(_SILENT), WINDOW) // len(_SILENT)  # so many frames move no window of the detector
_LIMIT = 120_000 // FRAME_MS  # frames of silence, where a reply lasts longer than it did
_INPUTS = {of.__name__: of for of in (Typed, turn.AudioCommitted, turn.AudioCleared, turn.ReplyCancelled)}


def clip_of(line: Mapping[str, Any]) -> Clip:
    """A clip as a line of a trace tells it; traces of earlier versions lack some labels."""
    return Clip(
        Path(line["file"]),
        line["text"],
        line.get("speech_start_sample"),
        line["speech_end_sample"],
        pauses=tuple((start, end) for start, end in line.get("pauses", ())),
        pause_kinds=tuple(line.get("pause_kinds", ())),
        over_reply_ms=line.get("over_reply_ms"),
    )


def recorded_turns(session: RecordedSession) -> list[ReplayedTurn]:
    """The turns of a session as they were."""
    return [summarize(run) for run in recorded_runs(session)]


def recorded_runs(session: RecordedSession) -> list[ClipRun]:
    """The turns of a session with the records of all their replies."""
    turns = Turns(session.name)
    for line in session.clips:
        turns.clip(clip_of(line), line["at"], line["rate"])
    for line in session.replies:
        turns.push(_reply(line))
    return turns.runs


def _reply(line: Mapping[str, Any]) -> ReplyDone:
    return ReplyDone(
        number=line["number"],
        transcript=line["transcript"],
        reply=line["reply"],
        heard=line["heard"],
        voice_end_ns=line["voice_end"],
        decided_ns=line["decided"],
        boundaries=Boundaries(line["ends"], line["starts"]) if line["ends"] else None,
        interrupted=line["interrupted"],
        reopened=line["reopened"],
        underruns=line["underruns"],
    )


class Run:
    """A recorded session on models that answer as they did."""

    def __init__(self, recorded: RecordedSession, config: Config, pool: ModelPool, clock: Clock) -> None:
        """Raises TraceError: an input that cannot be given again."""
        self.turns = Turns(recorded.name, clock.now_ns)
        self.dropped_frames = 0
        self._recorded, self._pool, self._clock = recorded, pool, clock
        self._settings = SessionConfig(config.llm.system_prompt, config.turn, config.asr)
        self._inputs = sorted([*_frames(recorded), *_inputs(recorded)], key=lambda timed: timed[0])
        self._clips = list(recorded.clips)
        self._late_ns = 0  # by which everything comes later than it did
        self._end_ns = 0  # of the last frame

    async def run(self) -> None:
        """Run the session from when it began to its end."""
        name = self._recorded.name
        await self._clock.sleep_until(self._recorded.at_ns)
        stages = self._pool.open(name)
        try:
            session = Session(stages, self._settings, self._clock, Recorder(0), name)
            session.attach(self.turns)
            await session.run(self._source(session), PacedSink(self._clock, keep=False))
            self.dropped_frames = session.dropped_frames
        finally:
            await stages.close()

    async def _source(self, session: Session) -> AsyncIterator[Input]:
        """What came in, when it came; a clip waits for the reply behind or over which it was."""
        for came_ns, item in self._inputs:
            while self._clips and isinstance(item, Frame) and item.end_ns > self._clips[0]["at"]:
                line = self._clips.pop(0)
                clip = clip_of(line)
                if self._end_ns:
                    async for frame in self._silence(session, clip.over_reply_ms):
                        yield frame
                self.turns.clip(clip, line["at"] + self._late_ns, line["rate"])
            await self._clock.sleep_until(came_ns + self._late_ns)
            yield self._later(item) if isinstance(item, Frame) else item
        async for frame in self._silence(session):
            yield frame

    def _later(self, frame: Frame) -> Frame:
        self._end_ns = frame.end_ns + self._late_ns
        return Frame(frame.audio, self._end_ns, frame.detect)

    async def _silence(self, session: Session, over_reply_ms: int | None = None) -> AsyncIterator[Frame]:
        """Silence until the session is idle, or a reply has sounded for so long, give or take a frame.

        What follows falls into the same windows as when it was recorded, so its voice is known.
        """
        for number in range(_LIMIT):
            await self._clock.sleep_until(self._end_ns + _FRAME_NS)
            sounds = over_reply_ms is not None and self.turns.sounds_for(over_reply_ms - FRAME_MS)
            if number % _ALIGNED == 0 and (session.idle or sounds):
                return
            self._end_ns += _FRAME_NS
            self._late_ns += _FRAME_NS
            yield Frame(_SILENT, self._end_ns)


def _frames(recorded: RecordedSession) -> Iterator[tuple[int, Input]]:
    at = 0
    for came_ns, recorded_ns, samples in recorded.frames:
        audio, detected = recorded.audio[at : at + samples], recorded.detected
        yield came_ns, Frame(audio, recorded_ns, None if detected is None else detected[at : at + samples])
        at += samples


def _inputs(recorded: RecordedSession) -> Iterator[tuple[int, Input]]:
    for line in recorded.inputs:
        of = _INPUTS.get(line["what"])
        if of is None:
            raise TraceError(f"session {recorded.name}: an input {line['what']} cannot be simulated")
        yield line["at"], of(**line["fields"])
