"""A session in a scene, on fakes and on virtual time, and the checks that hold for any scene."""

from collections.abc import AsyncIterator
from typing import Protocol

from fakes import (
    PER_MS,
    VOICE_RATE,
    Scene,
    ScriptedReader,
    ScriptedScorer,
    ScriptedSpeaker,
    ScriptedVad,
    ScriptedWriter,
    microphone,
)
from virtual import VirtualLoop, VirtualWorker, run_virtual

from asr.stabilize import Partial
from asr.stream import StreamConfig
from assistant.runtime.spans import Recorder
from assistant.session.parts import split, ttfa_ms
from assistant.session.playback import PacedSink
from assistant.session.reply import FALLBACK
from assistant.session.ring import Frame
from assistant.session.session import Observed, Session, SessionConfig, TurnRecord
from assistant.session.stages import Audio, Stages
from assistant.session.turn import TurnConfig
from llm.text.chat import Message

SYSTEM = "Be brief."


class Checked(Protocol):
    """A fake that can say whether its script was used up."""

    def check(self) -> None: ...


class WatchedSink(PacedSink):
    """Notes when it was given what."""

    def __init__(self, loop: VirtualLoop) -> None:
        super().__init__(loop.clock)
        self._now_ns = loop.clock.now_ns
        self.given: list[tuple[int, Audio]] = []

    async def write(self, audio: Audio, sample_rate: int) -> int:
        self.given.append((self._now_ns(), audio))
        return await super().write(audio, sample_rate)


class World:
    """A session in a scene: after `run`, what came of it."""

    def __init__(
        self,
        scene: Scene,
        turn: TurnConfig | None = None,
        loop: VirtualLoop | None = None,
        workers: tuple[VirtualWorker, ...] = (),
    ) -> None:
        self.scene, self.loop = scene, loop or VirtualLoop()
        self.records: list[TurnRecord] = []
        self.partials: list[Partial] = []
        self.recorder = Recorder()
        self.sink = WatchedSink(self.loop)
        self.vad, self.scorer = ScriptedVad(scene, self.loop), ScriptedScorer(scene, self.loop)
        self.reader, self.speaker = ScriptedReader(scene, self.loop), ScriptedSpeaker(scene, self.loop)
        self.writer = ScriptedWriter(scene, self.loop, self.spoken_history)
        self.strict: list[ScriptedVad | ScriptedReader | ScriptedWriter] = [
            self.vad,
            self.reader,
            self.writer,
        ]
        self._workers = workers or start_workers(self.loop)
        self._owns_workers = not workers
        models = (self.vad, self.scorer, self.reader, self.writer, self.speaker)
        self.stages = Stages(*models, *self._workers)
        config = SessionConfig(SYSTEM, turn or TurnConfig(), StreamConfig(partial_ms=480))
        self.session = Session(self.stages, config, self.loop.clock, self.recorder, self._observe)
        self.start_ns = 0

    def _observe(self, event: Observed) -> None:
        if isinstance(event, TurnRecord):
            self.records.append(event)
        else:
            self.partials.append(event)

    def run(self) -> "World":
        """The whole scene on virtual time, then every check that holds for any scene."""
        try:
            run_virtual(self.converse(), self.loop)
        finally:
            if self._owns_workers:
                self.stages.close()
        return self

    async def converse(self) -> None:
        """The same on a loop that runs already."""
        self.start_ns = self.loop.clock.now_ns()
        await self.session.run(self.frames(), self.sink)
        self.check()

    async def frames(self) -> AsyncIterator[Frame]:
        """What the microphone records, 20 ms at a time, as it is recorded."""
        for end_ms in range(20, self.scene.end_ms + 1, 20):
            end_ns = self.start_ns + end_ms * 1_000_000
            await self.loop.clock.sleep_until(end_ns)
            if self.scene.idle_end_ms is not None and end_ms > self.scene.idle_end_ms and self.session.idle:
                return
            assert self.session.history == self.spoken_history(), "something unsaid is in the history"
            yield Frame(microphone((end_ms - 20) * PER_MS, 20 * PER_MS), end_ns)

    def spoken_history(self) -> list[Message]:
        """The history that the turns recorded so far must have left."""
        history = [Message("system", SYSTEM)]
        for record in self.records:
            if not record.reopened:
                history.append(Message("user", record.transcript))
            if record.heard and not record.reopened:
                history.append(Message("assistant", record.heard))
        return history

    def check(self) -> None:
        """The scene was played to its end, and nobody was given what had not been committed."""
        for model in self.strict:
            model.check()
        assert self.session.history == self.spoken_history()
        assert [r.number for r in self.records] == sorted({r.number for r in self.records})
        for record in self.records:
            if record.boundaries is not None:
                parts = split(record.voice_end_ns, record.boundaries)
                whole_ms = (record.boundaries.ends_ns["playback.start"] - record.voice_end_ns) / 1e6
                assert abs(ttfa_ms(parts) - whole_ms) < 1e-6

    def check_sink(self) -> None:
        """Every word that the sink was given belongs to a recorded turn, and came after its commit."""
        for now_ns, audio in self.sink.given:
            begun = [record for record in self.records if record.decided_ns <= now_ns]
            assert begun, f"{self.speaker.word(audio)!r} before anything was committed"
            assert self.speaker.word(audio).strip() in f"{begun[-1].reply} {FALLBACK}"

    def sounded(self) -> list[tuple[str, int, int]]:
        """What became sound: each word, when it began and when it was over or cut off, in ms."""
        pieces = []
        for start_ns, audio in self.sink.recorded:
            start_ms = (start_ns - self.start_ns) / 1e6
            length_ms = len(audio) * 1000 / VOICE_RATE
            pieces.append((self.speaker.word(audio).strip(), round(start_ms), round(start_ms + length_ms)))
        return pieces

    def ms(self, time_ns: int) -> float:
        """A time of the session in milliseconds since it began."""
        return (time_ns - self.start_ns) / 1e6


def start_workers(loop: VirtualLoop) -> tuple[VirtualWorker, ...]:
    """The four threads of `Stages`; `loop` waits for them."""
    workers = tuple(VirtualWorker(name) for name in ("vad", "asr", "llm", "tts"))
    loop.workers.extend(workers)
    return workers
