"""What a recording puts in the place of each model: the model, with every call and step written down."""

from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, field, is_dataclass
from functools import partial
from threading import current_thread
from typing import Any

from asr.audio import RATE, AudioSpan
from asr.stabilize import Partial
from asr.vad import VadState
from asr.words import Hypothesis
from assistant.models.pool import Tap
from assistant.runtime import Clock, Stopped, asked_ns
from assistant.session.announcement import Announcement
from assistant.session.scheduled import Generator, ScorerModel, Speaker, Transcriber, VadModel
from assistant.session.stages import Audio, Device, Plan, Skills
from assistant.trace.digest import UtteranceDigest, audio_digest, digest
from assistant.trace.items import (
    Json,
    generated_json,
    hypothesis_json,
    message_json,
    partial_json,
    prompt_json,
)
from assistant.trace.reading import Reading
from assistant.trace.writer import Files, Writer
from llm.decode.generate import Generated, Prefilled, Token
from llm.decode.options import AS_CONFIGURED, ReplyOptions
from llm.decode.responder import Prompt
from llm.text.chat import Message
from llm.text.message import Tool
from tts.stream import SpeechChunk

VOICE = "voice-{rate}.flac"


class Notes:
    """Writes lines with times that count from the beginning of the recording."""

    def __init__(self, writer: Writer, clock: Clock) -> None:
        self.writer, self._clock = writer, clock
        self._start_ns = clock.now_ns()

    def now_ns(self) -> int:
        """Nanoseconds since the recording began."""
        return self._clock.now_ns() - self._start_ns

    def since(self, time_ns: int) -> int:
        """A time of the clock as nanoseconds since the recording began."""
        return time_ns - self._start_ns

    def put(self, line: Callable[[Files], dict[str, Any]]) -> None:
        """Write what `line` gives; it is worked out in the writer's thread."""
        self.writer.put(lambda files: files.write(line(files)))

    def input(self, session: str, item: object) -> None:
        """Write what came in besides audio."""
        at, fields = self.now_ns(), asdict(item) if is_dataclass(item) and not isinstance(item, type) else {}
        line = {"is": "input", "session": session, "at": at, "what": type(item).__name__, "fields": fields}
        self.put(lambda _: line)

    def call(
        self, session: str, stage: str, began_ns: int, ended_ns: int, rest: Callable[[Files], dict[str, Json]]
    ) -> None:
        """Write a call that is over, with the `rest` of its line."""
        asked = asked_ns()
        head = {
            "is": "call",
            "stage": stage,
            "session": session,
            "worker": current_thread().name,
            "asked": began_ns if asked is None else min(began_ns, max(0, self.since(asked))),
            "began": began_ns,
            "ended": ended_ns,
        }
        self.put(lambda files: {**head, **rest(files)})


@dataclass(eq=False)
class _NamedState(VadState):
    session: str = field(default="", kw_only=True)


class RecordingTap(Tap):
    """Writes down the calls of all sessions."""

    def __init__(self, notes: Notes) -> None:
        self._notes = notes

    def vad(self, model: VadModel[VadState]) -> VadModel[VadState]:
        """See Tap."""
        return _Vad(model, self._notes)

    def vad_state(self, session: str) -> VadState:
        """See Tap."""
        return _NamedState(session=session)

    def scorer(self, model: ScorerModel, session: str) -> ScorerModel:
        """See Tap."""
        return _Scorer(model, self._notes, session)

    def transcriber(self, model: Transcriber, session: str) -> Transcriber:
        """See Tap."""
        return _Transcriber(model, self._notes, session)

    def generator(self, model: Generator, session: str) -> Generator:
        """See Tap."""
        return _Generator(model, self._notes, session)

    def speaker(self, model: Speaker, session: str) -> Speaker:
        """See Tap."""
        return _Speaker(model, self._notes, session)

    def skills(self, skills: Skills | None, session: str) -> Skills | None:
        """See Tap."""
        return _Skills(skills, self._notes, session) if skills else None


class _Vad:
    def __init__(self, model: VadModel[VadState], notes: Notes) -> None:
        self._model, self._notes = model, notes

    def probabilities(self, windows: Sequence[Audio], states: Sequence[VadState]) -> Sequence[float]:
        began_ns = self._notes.now_ns()
        voices = self._model.probabilities(windows, states)
        ended_ns = self._notes.now_ns()
        for window, state, voice in zip(windows, states, voices, strict=True):
            assert isinstance(state, _NamedState), "a state that the tap made"
            self._note(state.session, began_ns, ended_ns, window, voice, len(windows))
        return voices

    def _note(
        self, session: str, began_ns: int, ended_ns: int, window: Audio, voice: float, batch: int
    ) -> None:
        self._notes.call(
            session,
            "vad",
            began_ns,
            ended_ns,
            lambda _: {"input": audio_digest(window), "work": batch, "gave": voice},
        )


class _Scorer:
    def __init__(self, model: ScorerModel, notes: Notes, session: str) -> None:
        self._model, self._notes, self._session = model, notes, session

    def probability(self, turn: Audio) -> float:
        began_ns = self._notes.now_ns()
        score = self._model.probability(turn)
        ended_ns = self._notes.now_ns()
        self._notes.call(
            self._session,
            "score",
            began_ns,
            ended_ns,
            lambda _: {"input": audio_digest(turn), "work": 1, "gave": score},
        )
        return score


class _Transcriber:
    def __init__(self, model: Transcriber, notes: Notes, session: str) -> None:
        self._model, self._notes, self._session = model, notes, session
        self._heard = UtteranceDigest(0)

    def begin(self, start_sample: int = 0) -> None:
        self._heard = UtteranceDigest(start_sample)
        self._model.begin(start_sample)

    def partial(self, span: AudioSpan) -> Partial:
        began_ns = self._notes.now_ns()
        words = self._model.partial(span)
        self._note("asr.partial", began_ns, span, lambda: partial_json(words))
        return words

    def final(self, span: AudioSpan) -> Hypothesis:
        began_ns = self._notes.now_ns()
        final = self._model.final(span)
        self._note("asr.final", began_ns, span, lambda: hypothesis_json(final))
        return final

    def _note(self, stage: str, began_ns: int, span: AudioSpan, gave: Callable[[], Json]) -> None:
        ended_ns = self._notes.now_ns()
        new = self._heard.push(span)
        heard, start, end = self._heard.hexdigest, self._heard.start_sample, span.end_sample
        work = (self._heard.samples if stage == "asr.final" else new) / RATE
        self._notes.call(
            self._session,
            stage,
            began_ns,
            ended_ns,
            lambda _: {"input": heard, "given": [start, end], "work": round(work, 4), "gave": gave()},
        )


class _Generator:
    def __init__(self, model: Generator, notes: Notes, session: str) -> None:
        self._model, self._notes, self._session = model, notes, session
        self._reading = Reading()

    @property
    def takes_tools(self) -> bool:
        return self._model.takes_tools

    def read_ahead(
        self, history: Sequence[Message], words: str, options: ReplyOptions = AS_CONFIGURED
    ) -> None:
        began_ns = self._notes.now_ns()
        self._model.read_ahead(history, words, options)
        ended_ns = self._notes.now_ns()
        work = self._reading.ahead(history, words)
        self._notes.call(
            self._session,
            "llm.read_ahead",
            began_ns,
            ended_ns,
            lambda _: {"input": asked_digest(history, words, options), "given": words, "work": work},
        )

    @property
    def tells_ends(self) -> bool:
        return self._model.tells_ends

    def closes(
        self, history: Sequence[Message], transcript: str, options: ReplyOptions = AS_CONFIGURED
    ) -> float | None:
        began_ns = self._notes.now_ns()
        closes = self._model.closes(history, transcript, options)
        ended_ns = self._notes.now_ns()
        work = self._reading.ahead(history, transcript)
        self._notes.call(
            self._session,
            "llm.closes",
            began_ns,
            ended_ns,
            lambda _: {
                "input": asked_digest(history, transcript, options),
                "given": transcript,
                "work": work,
                "gave": closes,
            },
        )
        return closes

    def prompt(
        self, history: Sequence[Message], transcript: str | None, options: ReplyOptions = AS_CONFIGURED
    ) -> Prompt:
        began_ns = self._notes.now_ns()
        prompt = self._model.prompt(history, transcript, options)
        ended_ns = self._notes.now_ns()
        self._notes.call(
            self._session,
            "llm.prompt",
            began_ns,
            ended_ns,
            lambda _: {
                "input": asked_digest(history, transcript, options),
                "given": transcript,
                "work": len(prompt.ids),
                "gave": prompt_json(prompt),
            },
        )
        return prompt

    def reply(self, prompt: Prompt, stopped: Stopped) -> Iterator[Generated]:
        given = prompt_digest(prompt)
        unread, text = self._reading.prompt(prompt), ""
        steps = _Steps(self._notes, self._session, "llm.reply", given, len(prompt.ids), stopped)
        try:
            for item in steps.through(self._model.reply(prompt, stopped)):
                if isinstance(item, Token):
                    text += item.text
                steps.note(unread if isinstance(item, Prefilled) else 1, partial(_generated, item))
                yield item
        finally:
            self._reading.reply(text)
            steps.end()


class _Speaker:
    def __init__(self, model: Speaker, notes: Notes, session: str) -> None:
        self._model, self._notes, self._session = model, notes, session

    def speak(
        self, phrase: str, *, speed: float | None = None, should_stop: Stopped
    ) -> Iterator[SpeechChunk]:
        given = speech_digest(phrase, speed)
        steps = _Steps(self._notes, self._session, "tts.speak", given, phrase, should_stop)
        first = True
        try:
            for chunk in steps.through(self._model.speak(phrase, speed=speed, should_stop=should_stop)):
                work = len(phrase) if first else len(chunk.audio) / chunk.sample_rate
                steps.note(round(work, 4), partial(chunk_json, chunk))
                first = False
                yield chunk
        finally:
            steps.end()


class _Skills:
    """Writes down what is understood: what is not is the language model's, and written there."""

    def __init__(self, skills: Skills, notes: Notes, session: str) -> None:
        self._skills, self._notes, self._session = skills, notes, session

    def answer(self, transcript: str, history: Sequence[Message], device: Device) -> Plan | None:
        began_ns = self._notes.now_ns()
        plan = self._skills.answer(transcript, history, device)
        if plan is None:
            return None
        return self._noted("skill", began_ns, transcript, plan)

    async def announcements(self) -> AsyncIterator[str]:
        async for text in self._skills.announcements():
            self._notes.input(self._session, Announcement(text))
            yield text

    async def run(self) -> None:
        await self._skills.run()

    @property
    def tools(self) -> tuple[Tool, ...]:
        return self._skills.tools

    @property
    def calls(self) -> tuple[str, ...]:
        return self._skills.calls

    def call(self, name: str, arguments: str, device: Device) -> Plan | None:
        began_ns = self._notes.now_ns()
        plan = self._skills.call(name, arguments, device)
        return None if plan is None else self._noted("skill.call", began_ns, f"{name}({arguments})", plan)

    def forget(self) -> None:
        self._skills.forget()

    def _noted(self, stage: str, began_ns: int, given: str, plan: Plan) -> Plan:
        gave = {
            "intent": plan.intent,
            "slots": dict(plan.slots),
            "text": plan.text,
            "complete": plan.complete,
        }
        self._note(stage, began_ns, given, gave)
        return _Plan(plan, given, self._notes, self._note)

    def _note(self, stage: str, began_ns: int, transcript: str, gave: Json) -> None:
        self._notes.call(
            self._session,
            stage,
            began_ns,
            self._notes.now_ns(),
            lambda _: {"input": digest(transcript), "given": transcript, "work": 1, "gave": gave},
        )


class _Plan:
    def __init__(
        self, plan: Plan, transcript: str, notes: Notes, note: Callable[[str, int, str, Json], None]
    ) -> None:
        self._plan, self._transcript, self._notes, self._note = plan, transcript, notes, note
        self.intent, self.slots, self.text, self.complete = plan.intent, plan.slots, plan.text, plan.complete

    async def act(self) -> str:
        began_ns = self._notes.now_ns()
        said = await self._plan.act()
        self._note("skill.act", began_ns, self._transcript, said)
        return said

    async def undo(self) -> None:
        await self._plan.undo()


class _Steps:
    """A streamed call: a step is [when it began, when it ended, its work, what it gave]."""

    def __init__(
        self, notes: Notes, session: str, stage: str, given: str, plain: Json, stopped: Stopped
    ) -> None:
        self._notes, self._session, self._stage = notes, session, stage
        self._given, self._plain, self._stopped = given, plain, stopped
        self._began_ns = self._step_ns = notes.now_ns()
        self._ended_ns = self._began_ns
        self._steps: list[tuple[int, int, float, Callable[[Files], Json]]] = []
        self._whole = False

    def through(self, items: Iterator[Any]) -> Iterator[Any]:
        """`items`, each timed."""
        try:
            while True:
                self._step_ns = self._notes.now_ns()
                try:
                    item = next(items)
                except StopIteration:
                    self._whole = not self._stopped()
                    return
                self._ended_ns = self._notes.now_ns()
                yield item
        finally:
            close = getattr(items, "close", None)
            if close is not None:
                close()

    def note(self, work: float, gave: Callable[[Files], Json]) -> None:
        """Keep the step that is over."""
        self._steps.append((self._step_ns, self._ended_ns, work, gave))

    def end(self) -> None:
        """Write the call; one that was cancelled is not `whole`."""
        steps, whole = self._steps, self._whole
        self._notes.call(
            self._session,
            self._stage,
            self._began_ns,
            self._notes.now_ns(),
            lambda files: {
                "input": self._given,
                "given": self._plain,
                "whole": whole,
                "steps": [[began, ended, work, gave(files)] for began, ended, work, gave in steps],
            },
        )


def _generated(item: Generated, _: Files) -> Json:
    return generated_json(item)


def asked_digest(history: Sequence[Message], words: str | None, options: ReplyOptions) -> str:
    """The digest of what a prompt is made of."""
    return digest([message_json(message) for message in history], words, _options(options))


def _options(options: ReplyOptions) -> Json:
    """Without what a model may call of itself, which changes no prompt and came later."""
    return {name: value for name, value in asdict(options).items() if name != "calls"}


def prompt_digest(prompt: Prompt) -> str:
    """The digest of a prompt."""
    return digest([int(token) for token in prompt.ids], _options(prompt.options))


def speech_digest(phrase: str, speed: float | None) -> str:
    """The digest of a phrase and how fast it is to be spoken; None is the configuration's speed."""
    return digest(phrase, 1.0 if speed is None else speed)


def chunk_json(chunk: SpeechChunk, files: Files) -> Json:
    """A chunk of speech: its text, its rate, and where in the file of the voice its audio is."""
    name, rate = audio_digest(chunk.audio), chunk.sample_rate
    start = files.chunk(VOICE.format(rate=rate), name, chunk.audio, rate) if len(chunk.audio) else 0
    return {"text": chunk.text, "rate": rate, "audio": [start, len(chunk.audio)], "digest": name}
