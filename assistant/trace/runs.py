"""One session of a trace, fed again with what came in; and the turns of it, recorded or simulated."""

import asyncio
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
from assistant.runtime import SESSION, Clock, Recorder
from assistant.session import turn
from assistant.session.announcement import Announcement
from assistant.session.events import ReplyDone
from assistant.session.parts import Boundaries
from assistant.session.ring import Frame
from assistant.session.session import Input, Session, SessionConfig, Typed
from assistant.session.sink import PacedSink
from assistant.session.turn_table import Decide, step
from assistant.trace.copies import SessionCopy, copied
from assistant.trace.errors import TraceError
from assistant.trace.observed import latency_ns
from assistant.trace.trace import RecordedSession
from assistant.trace.turn_log import TurnLog
from assistant.trace.turns import ClipRun, ReplayedTurn, Turns, summarize

_FRAME_NS = FRAME_MS * 1_000_000
_SILENT = np.zeros(RATE * FRAME_MS // 1000, np.float32)
_ALIGNED = math.lcm(len(_SILENT), WINDOW) // len(_SILENT)  # so many frames move no window of the detector
_LIMIT = 120_000 // FRAME_MS  # frames of silence, where a reply lasts longer than it did
_INPUTS = {
    of.__name__: of
    for of in (Typed, Announcement, turn.AudioCommitted, turn.AudioCleared, turn.ReplyCancelled)
}


def clip_of(line: Mapping[str, Any], number: int = 1) -> Clip:
    """A clip as a line tells it, for the `number`-th copy; traces of earlier versions lack some labels."""
    return Clip(
        Path(copied(line["file"], number)),
        line["text"],
        line.get("speech_start_sample"),
        line["speech_end_sample"],
        pauses=tuple((start, end) for start, end in line.get("pauses", ())),
        pause_kinds=tuple(line.get("pause_kinds", ())),
        over_reply_ms=line.get("over_reply_ms"),
    )


def recorded_turns(session: RecordedSession, number: int = 1) -> list[ReplayedTurn]:
    """The turns of a session, or of its `number`-th copy, as they were."""
    return [summarize(run) for run in recorded_runs(session, number)]


def recorded_runs(session: RecordedSession, number: int = 1) -> list[ClipRun]:
    """The turns of a session with the records of all their replies."""
    turns = Turns(copied(session.name, number))
    for line in session.clips:
        turns.clip(clip_of(line, number), line["at"], line["rate"])
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
        boundaries=Boundaries(line["ends"], line["starts"] or {}) if line["ends"] else None,
        interrupted=line["interrupted"],
        reopened=line["reopened"],
        underruns=line["underruns"],
        sounded=line.get("sounded", line["ends"] is not None),
    )


class Run:
    """A recorded session on models that answer as they did."""

    def __init__(
        self,
        copy: SessionCopy,
        config: Config,
        pool: ModelPool,
        clock: Clock,
        *,
        decide: Decide = step,
        brief: bool = False,
    ) -> None:
        """`decide` as for a Session. A `brief` run ends once the last clip is cut into, or answered.

        Raises TraceError: an input that cannot be given again.
        """
        recorded = copy.recorded
        self.copy, self.over = copy, asyncio.Event()
        self.turns = Turns(copy.name, clock.now_ns)
        self.log = TurnLog(clock, config.turn)
        self.dropped_frames = 0
        self._recorded, self._pool, self._clock = recorded, pool, clock
        self._settings = SessionConfig(config.llm.system_prompt, config.turn, config.asr)
        self._inputs = sorted([*_frames(recorded), *_inputs(recorded)], key=lambda timed: timed[0])
        self._clips = list(recorded.clips)
        self._decide, self._brief, self._known = decide, brief, False
        self._late_ns = copy.offset_ns  # by which everything comes later than it did
        self._end_ns = 0  # of the last frame

    async def run(self, behind: "Run | None" = None) -> None:
        """Run the session from when it began, and not before `behind` is over, to its end."""
        name = self.copy.name
        SESSION.set(name)
        await self._clock.sleep_until(self._recorded.at_ns + self._late_ns)
        if behind is not None and not behind.over.is_set():
            await behind.over.wait()
            self._late_ns = self._clock.now_ns() - self._recorded.at_ns
        stages = self._pool.open(name)
        try:
            session = Session(stages, self._settings, self._clock, Recorder(0), name, decide=self._follow)
            session.attach(self.turns)
            await session.run(self._source(session), _sink(self._recorded, self._clock))
            self.dropped_frames = session.dropped_frames
        finally:
            await stages.close()
            self.over.set()

    def _follow(self, state: turn.State, event: turn.Event, config: turn.TurnConfig) -> turn.Step:
        after, commands = self._decide(state, event, config)
        self.log.watch(state, event, commands)
        if self._brief and not self._clips:
            heard = isinstance(event, turn.ReplyHeard) and after != state
            ended = any(isinstance(command, turn.EndTurn) for command in commands)
            self._known |= self.turns.known(self._clock.now_ns(), ended=ended, heard=heard)
        return after, commands

    async def _source(self, session: Session) -> AsyncIterator[Input]:
        """What came in, when it came; a clip waits for the reply behind or over which it was."""
        for came_ns, item in self._inputs:
            while self._clips and isinstance(item, Frame) and item.end_ns > self._clips[0]["at"]:
                line = self._clips.pop(0)
                clip = clip_of(line, self.copy.number)
                if self._end_ns:
                    async for frame in self._silence(session, clip.over_reply_ms):
                        yield frame
                self.turns.clip(clip, line["at"] + self._late_ns, line["rate"])
            await self._clock.sleep_until(came_ns + self._late_ns)
            if self._known:
                return
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
            if self._known:
                return
            sounds = over_reply_ms is not None and self.turns.sounds_for(over_reply_ms - FRAME_MS)
            if number % _ALIGNED == 0 and (session.idle or sounds):
                return
            self._end_ns += _FRAME_NS
            self._late_ns += _FRAME_NS
            yield Frame(_SILENT, self._end_ns)


def _sink(recorded: RecordedSession, clock: Clock) -> PacedSink:
    """One that is as late as the recorded one was, to a millisecond."""
    latency = latency_ns(recorded.sink)
    if latency is None:
        return PacedSink(clock, keep=False)
    return PacedSink(clock, latency_ms=max(0, round(latency / 1e6)), keep=False)


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
        try:
            yield line["at"], of(**line["fields"])
        except TypeError as error:
            raise TraceError(f"session {recorded.name}: an input {line['what']}: {error}") from error
