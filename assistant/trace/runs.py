"""One session of a trace, fed again with what came in; and the turns of it, recorded or simulated."""

from collections.abc import AsyncIterator, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from asr.audio import RATE
from assistant.audio import FRAME_MS, Clip
from assistant.config import Config
from assistant.models.pool import ModelPool
from assistant.runtime import Clock, Recorder
from assistant.session import turn
from assistant.session.events import Failed, Listener, ReplyDone, SessionEvent
from assistant.session.parts import Boundaries
from assistant.session.ring import Frame
from assistant.session.session import Input, Session, SessionConfig, Typed
from assistant.session.sink import PacedSink
from assistant.trace.errors import TraceError
from assistant.trace.replay import ClipRun, ReplayedTurn, summarize
from assistant.trace.trace import RecordedSession

_FRAME_NS = FRAME_MS * 1_000_000
_SILENT = np.zeros(RATE * FRAME_MS // 1000, np.float32)
_LIMIT = 120_000 // FRAME_MS  # frames of silence, where a reply lasts longer than it did
_INPUTS = {of.__name__: of for of in (Typed, turn.AudioCommitted, turn.AudioCleared, turn.ReplyCancelled)}


class Turns(Listener):
    """The turns of a session: one a clip, or, without clips, one a reply."""

    def __init__(self, session: str) -> None:
        super().__init__()
        self._session = session
        self.runs: list[ClipRun] = []
        self._clips = False
        self.failures = 0

    def clip(self, line: Mapping[str, Any], start_ns: int) -> None:
        """A clip begins at `start_ns`; `line` is of the trace."""
        clip = Clip(Path(line["file"]), line["text"], speech_end_sample=line["speech_end_sample"])
        self.runs.append(ClipRun(clip, start_ns, line["rate"]))
        self._clips = True

    def push(self, event: SessionEvent) -> None:
        """See Listener: keeps what is told of replies."""
        if isinstance(event, Failed):
            self.failures += 1
        if not isinstance(event, ReplyDone):
            return
        if not self._clips and (not self.runs or not self.runs[-1].records[-1].reopened):
            self.runs.append(ClipRun(Clip(Path(f"{self._session} turn {len(self.runs) + 1}"))))
        if self.runs:
            self.runs[-1].records.append(event)

    def all(self) -> list[ReplayedTurn]:
        """The turns up to now."""
        return [summarize(run) for run in self.runs]


def recorded_turns(session: RecordedSession) -> list[ReplayedTurn]:
    """The turns of a session as they were."""
    return [summarize(run) for run in recorded_runs(session)]


def recorded_runs(session: RecordedSession) -> list[ClipRun]:
    """The turns of a session with the records of all their replies."""
    turns, clips = Turns(session.name), list(session.clips)
    for line in session.replies:
        while clips and clips[0]["at"] <= line["at"]:
            turns.clip(clips[0], clips.pop(0)["at"])
        turns.push(_reply(line))
    for clip in clips:
        turns.clip(clip, clip["at"])
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
        self.turns = Turns(recorded.name)
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
        """What came in, at the times at which it came; a clip waits until the one before is answered."""
        for came_ns, item in self._inputs:
            while self._clips and isinstance(item, Frame) and item.end_ns > self._clips[0]["at"]:
                if self._end_ns:
                    async for frame in self._silence(session):
                        yield frame
                clip = self._clips.pop(0)
                self.turns.clip(clip, clip["at"] + self._late_ns)
            await self._clock.sleep_until(came_ns + self._late_ns)
            yield self._later(item) if isinstance(item, Frame) else item
        async for frame in self._silence(session):
            yield frame

    def _later(self, frame: Frame) -> Frame:
        self._end_ns = frame.end_ns + self._late_ns
        return Frame(frame.audio, self._end_ns, frame.detect)

    async def _silence(self, session: Session) -> AsyncIterator[Frame]:
        """Silence until the session is idle."""
        for _ in range(_LIMIT):
            await self._clock.sleep_until(self._end_ns + _FRAME_NS)
            if session.idle:
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
