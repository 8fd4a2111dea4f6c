"""A session in a scene, on fakes and on virtual time, and the checks that hold for any scene."""

from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field
from itertools import groupby
from typing import Protocol

from fakes import (
    PER_MS,
    VOICE_RATE,
    Scene,
    ScriptedReader,
    ScriptedScorer,
    ScriptedSkills,
    ScriptedSpeaker,
    ScriptedVad,
    ScriptedWriter,
    SharedVad,
    microphone,
)

from asr.stabilize import Partial
from asr.stream import StreamConfig
from assistant.runtime import InlineWorker, Recorder, VirtualLoop, run_virtual
from assistant.session import turn
from assistant.session.events import Failed, ReplyDone, SessionEvent
from assistant.session.parts import split, ttfa_ms
from assistant.session.reply import FALLBACK
from assistant.session.ring import Frame
from assistant.session.scheduled import (
    SessionDetector,
    SessionLanguageModel,
    SessionRecognizer,
    SessionScorer,
    SessionSynthesizer,
    VadBatcher,
)
from assistant.session.session import Input, Session, SessionConfig
from assistant.session.sink import PacedSink
from assistant.session.stages import Audio, Hearing, Stages
from assistant.session.turn import TurnConfig
from llm.text.chat import Message

SYSTEM = "Be brief."
TURN = TurnConfig(patience=0.5, prepare_ms=64, min_silence_ms=250)
"""Where a test says nothing else: the times of many are worked out from it."""


class Checked(Protocol):
    """A fake that can say whether its script was used up."""

    def check(self) -> None: ...


class WatchedSink(PacedSink):
    """Notes when it was given what."""

    def __init__(self, loop: VirtualLoop) -> None:
        super().__init__(loop.clock)
        self._now_ns = loop.clock.now_ns
        self.given: list[tuple[int, Audio]] = []

    @property
    def unscaled(self) -> list[Audio]:
        """What was recorded, at its own loudness."""
        return self._unscaled

    async def write(self, audio: Audio, sample_rate: int) -> int:
        self.given.append((self._now_ns(), audio))
        return await super().write(audio, sample_rate)


@dataclass
class Machine:
    """The workers that sessions share, as `assistant.models.pool` has them."""

    loop: VirtualLoop
    sessions: int = 1
    vad_model: SharedVad = field(default_factory=SharedVad)

    def __post_init__(self) -> None:
        self.vad, self.asr, self.tts = (InlineWorker(name, self.loop) for name in ("vad", "asr", "tts"))
        self.llm = InlineWorker("llm", self.loop, threads=self.sessions)
        self.batcher: VadBatcher[ScriptedVad] = VadBatcher(self.vad_model, self.vad)


def letters(text: str) -> str:
    """The letters and digits of `text`."""
    return "".join(filter(str.isalnum, text))


class World:
    """A session in a scene: after `run`, what came of it."""

    def __init__(
        self,
        scene: Scene,
        turn: TurnConfig | None = None,
        loop: VirtualLoop | None = None,
        machine: Machine | None = None,
        name: str = "",
        inputs: Mapping[int, Input] | None = None,
        skills: ScriptedSkills | None = None,
    ) -> None:
        """`inputs` come besides the audio, each behind the frame that ends at so many milliseconds."""
        self.skills = skills
        self.inputs = inputs or {}
        self.scene, self.loop = scene, loop or VirtualLoop()
        self.machine = machine or Machine(self.loop)
        self.events: list[SessionEvent] = []
        self.recorder = Recorder()
        self.sink = WatchedSink(self.loop)
        self.vad, self.scorer = ScriptedVad(scene, self.loop), ScriptedScorer(scene, self.loop)
        self.reader, self.speaker = ScriptedReader(scene, self.loop), ScriptedSpeaker(scene, self.loop)
        self.writer = ScriptedWriter(scene, self.loop, self.spoken_history)
        self.strict: list[Checked] = [self.vad, self.reader, self.writer]
        config = SessionConfig(SYSTEM, turn or TURN, StreamConfig(partial_ms=480))
        self.session = Session(self._stages(), config, self.loop.clock, self.recorder, name)
        self._listener = self.session.subscribe()
        self.start_ns = 0

    def _stages(self) -> Stages:
        machine, clock = self.machine, self.loop.clock
        hearing = Hearing(
            SessionDetector(machine.batcher, self.vad),
            SessionScorer(self.scorer, machine.asr, clock),
            SessionRecognizer(self.reader, machine.asr, clock),
        )
        language = SessionLanguageModel(self.writer, machine.llm, clock)
        return Stages(language, hearing, SessionSynthesizer(self.speaker, machine.tts), self.skills)

    @property
    def records(self) -> list[ReplyDone]:
        """The replies that are over."""
        self.events += self._listener.drain()
        return [event for event in self.events if isinstance(event, ReplyDone)]

    @property
    def partials(self) -> list[Partial]:
        """The partial transcripts."""
        self.events += self._listener.drain()
        return [event for event in self.events if isinstance(event, Partial)]

    @property
    def failures(self) -> list[Failed]:
        """What a model failed in."""
        self.events += self._listener.drain()
        return [event for event in self.events if isinstance(event, Failed)]

    def run(self) -> "World":
        """The whole scene on virtual time, then every check that holds for any scene."""
        run_virtual(self.converse(), self.loop)
        return self

    def run_unchecked(self) -> "World":
        """The same where turns end without a reply, which the checks do not expect."""
        run_virtual(self._converse(), self.loop)
        return self

    async def _converse(self) -> None:
        self.start_ns = self.loop.clock.now_ns()
        await self.session.run(self.frames(), self.sink)

    async def converse(self) -> None:
        """The same as `run` on a loop that runs already."""
        await self._converse()
        self.check()

    async def frames(self) -> AsyncIterator[Input]:
        """What the microphone records, 20 ms at a time, as it is recorded."""
        for end_ms in range(20, self.scene.end_ms + 1, 20):
            end_ns = self.start_ns + end_ms * 1_000_000
            await self.loop.clock.sleep_until(end_ns)
            if self.scene.idle_end_ms is not None and end_ms > self.scene.idle_end_ms and self.session.idle:
                return
            self.check_history()
            yield Frame(microphone((end_ms - 20) * PER_MS, 20 * PER_MS), end_ns)
            if end_ms in self.inputs:
                yield self.inputs[end_ms]

    def history(self) -> list[Message]:
        """The conversation as the language model reads it."""
        return list(self.session.conversation.messages())

    def spoken_history(self) -> list[Message]:
        """The history that the replies which are over must have left, and one that is held so far."""
        history = self._over()
        return [*history, *self._under_way()] if self.holds else history

    @property
    def holds(self) -> bool:
        """Whether a reply is held: silent, and it may go on."""
        state = self.session._state
        return isinstance(state, turn.Speaking | turn.Pausing) and state.held is not None

    def _over(self) -> list[Message]:
        history = [Message("system", SYSTEM)]
        for record in self.records:
            if not record.reopened and record.transcript:  # what is announced answers nothing
                history.append(Message("user", record.transcript))
            if record.heard and not record.reopened:
                history.append(Message("assistant", record.heard))
        return history

    def check_history(self) -> None:
        """Nothing speculative is in the conversation: while a reply is released, its question and what has
        sounded of it, else nothing but what is over.
        """
        under_way = self._under_way()
        if not (isinstance(self.session._state, turn.Replying) or self.holds):
            assert under_way == [], "something unsaid is in the history"
        unasked = isinstance(self.session._state, turn.Replying) and self.session._state.start_sample is None
        roles = [message.role for message in under_way]
        assert roles == ["user", "assistant"][: len(roles)] or (unasked and roles == ["assistant"])
        if len(under_way) == 2:
            now_ms = self.ms(self.loop.clock.now_ns())
            words = [word for word, _, end_ms in self.sounded() if end_ms <= now_ms + 1]
            sounded = "".join(word for word, _ in groupby(words))  # one that was held is there twice
            assert letters(under_way[1].content) in letters(sounded), "unheard words are in the history"

    def _under_way(self) -> list[Message]:
        """What is in the history behind what is over."""
        history, over = self.history(), self._over()
        assert history[: len(over)] == over, "something unsaid is in the history"
        return history[len(over) :]

    def check(self) -> None:
        """The scene was played to its end, and nobody was given what had not been released."""
        for model in self.strict:
            model.check()
        assert self.history() == self.spoken_history()
        assert [r.number for r in self.records] == sorted({r.number for r in self.records})
        for record in self.records:
            if record.boundaries is not None:
                parts = split(record.voice_end_ns, record.boundaries)
                whole_ms = (record.boundaries.ends_ns["playback.start"] - record.voice_end_ns) / 1e6
                assert abs(ttfa_ms(parts) - whole_ms) < 1e-6

    def check_sink(self) -> None:
        """Every word that the sink was given belongs to a reply that is over, and came after its release."""
        for now_ns, audio in self.sink.given:
            begun = [record for record in self.records if record.decided_ns <= now_ns]
            assert begun, f"{self.speaker.word(audio)!r} before anything was released"
            assert self.speaker.word(audio).strip() in f"{begun[-1].reply} {FALLBACK}"

    def sounded(self) -> list[tuple[str, int, int]]:
        """What became sound: each word, when it began and when it was over or cut off, in ms.

        One that was held in its middle is there twice.
        """
        pieces: list[tuple[Audio, float, float]] = []
        for (start_ns, _), audio in zip(self.sink.recorded, self.sink.unscaled, strict=True):
            start_ms = (start_ns - self.start_ns) / 1e6
            end_ms = start_ms + len(audio) * 1000 / VOICE_RATE
            if not audio.any():
                continue  # the silence before a word, where it was cut behind that
            if pieces and pieces[-1][0].max() == audio.max() and abs(pieces[-1][2] - start_ms) < 0.1:
                start_ms = pieces.pop()[1]
            pieces.append((audio, start_ms, end_ms))
        return [(self.speaker.word(audio).strip(), round(start), round(end)) for audio, start, end in pieces]

    def ms(self, time_ns: int) -> float:
        """A time of the session in milliseconds since it began."""
        return (time_ns - self.start_ns) / 1e6
