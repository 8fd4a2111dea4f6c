"""Listening: frames to voice windows, and, while the user speaks, to partials and a prompt read ahead."""

import asyncio
from collections.abc import Callable, Sequence
from functools import partial as bound

from asr.audio import RATE
from asr.speech_level import SpeechLevel
from asr.stream import StreamConfig
from assistant.runtime import Channel, Urgency
from assistant.session import turn
from assistant.session.context import Context, one_line
from assistant.session.events import Failed
from assistant.session.pipeline import COMMITTED, FRAMES, PARTIALS, SO_FAR, CommittedWords, Due, WordsSoFar
from assistant.session.request import SPECULATIVE, ReplySettings
from assistant.session.ring import AudioRing, Frame
from assistant.session.stages import Hearing, Utterance
from llm.decode.engine import CudaBroken, EngineOutOfMemory
from llm.text.message import Message
from tts.phrases import split


class Listening:
    """The nodes that hear the user. `history` and `settings` are asked when a reply is begun ahead."""

    def __init__(
        self,
        context: Context,
        hearing: Hearing,
        config: StreamConfig,
        history: Callable[[], Sequence[Message]],
        settings: Callable[[], ReplySettings],
        expected: Callable[[str], str] = lambda _: "",
    ) -> None:
        """`expected` is what a skill would say to words; "" if none understands them."""
        self.ring = AudioRing(config.max_turn_s)
        self.frames: Channel[Frame] = Channel(FRAMES, context.tracer)
        self._context, self._hearing, self._config = context, hearing, config
        self._history, self._settings, self._expected = history, settings, expected
        self._partials = Channel(PARTIALS, context.tracer)
        self._committed = Channel(COMMITTED, context.tracer)
        self._so_far = Channel(SO_FAR, context.tracer)
        self.pre_roll_ms = config.pre_roll_ms
        self._speaking: int | None = None  # where the turn begins of which partials are wanted
        self._turn: int | None = None  # where the turn begins that was decoded last
        self._begun = 0  # where its audio does
        self._partial_sample = 0
        self._decoded_sample = 0  # up to which the recognizer has all, at the least
        self._words = ""  # the committed words of the turn
        self._deaf = False

    async def run(self) -> None:
        """Run the nodes until the frames end."""
        async with asyncio.TaskGroup() as group:
            for node in (self._detect, self._recognize, self._read_ahead, self._rehearse):
                group.create_task(node(), name=node.__name__.strip("_"))

    async def _detect(self) -> None:
        level = SpeechLevel()
        async for frame in self.frames:
            self.ring.push(frame)
            for end_sample, window in self.ring.windows():
                try:
                    voice = await self._hearing.detector.probability(window)
                    self._deaf = False
                except Exception as error:  # noqa: BLE001  # a model may raise anything; the session goes on
                    if not self._deaf:  # said once, not for every window
                        self._context.emit(Failed("detect", one_line(error)))
                    voice, self._deaf = 0.0, True
                await self._context.report(turn.Window(end_sample, voice, level.fades(window, voice)))
        self._speaking = None
        self._partials.close()
        self._committed.close()
        self._so_far.close()

    def follow(self, state: turn.State, window: turn.Window) -> None:
        """Ask for a partial when enough is new; a reopened turn goes on where it was."""
        if not isinstance(state, turn.Speaking):
            self._speaking = None
            return
        self._speaking = state.start_sample
        if state.start_sample != self._turn:
            self._begun = self._decoded_sample = self.begin(state.start_sample)
            self._turn, self._partial_sample, self._words = state.start_sample, state.start_sample, ""
        due = window.end_sample - self._partial_sample >= self._config.partial_ms * RATE // 1000
        if due and state.voice_end == window.end_sample and not len(self._partials):
            self._partial_sample = window.end_sample
            self._partials.put_now(Due(state.start_sample))

    def read_history(self) -> None:
        """Let the language model read what there is before the user speaks."""
        self._committed.put_now(CommittedWords(None, ""))

    def begin(self, start_sample: int) -> int:
        """Where the audio of a turn begins: the VAD is late on soft beginnings.

        It stays there until the turn is over, whatever becomes of `pre_roll_ms`.
        """
        if start_sample == self._turn:
            return self._begun
        return max(0, start_sample - self.pre_roll_ms * RATE // 1000)

    def utterance(self, start_sample: int) -> Utterance:
        """All of the turn that the recognizer may not have yet."""
        begin = self.begin(start_sample)
        return Utterance(begin, self.ring.span(self._decoded_sample if start_sample == self._turn else begin))

    async def _recognize(self) -> None:
        async for due in self._partials:
            decoded: list[Utterance] = []

            def latest(due: Due = due, decoded: list[Utterance] = decoded) -> Utterance | None:
                """Called when the recognizer is free: what the user has said by then, if they still speak."""
                if self._speaking != due.start_sample:
                    return None
                decoded.append(self.utterance(due.start_sample))
                return decoded[0]

            try:
                partial = await self._hearing.recognizer.partial(latest)
            except Exception as error:  # noqa: BLE001  # a model may raise anything; the session goes on
                self._context.emit(Failed("recognize", one_line(error)))
                continue
            if partial is None:
                continue
            if due.start_sample == self._turn:
                self._decoded_sample = decoded[0].span.end_sample
            self._context.emit(partial)
            self._so_far.put_now(WordsSoFar(due.start_sample, f"{partial.stable} {partial.unstable}".strip()))
            if partial.stable != self._words and self._speaking == due.start_sample:
                self._words = partial.stable
                if partial.stable:
                    self._committed.put_now(CommittedWords(due.start_sample, partial.stable))

    async def _rehearse(self) -> None:
        """Synthesize how a reply would begin that needs no language model: it is there when the turn ends."""
        async for words in self._so_far:
            synthesizer, settings = self._context.stages.synthesizer, self._settings()
            wanted = settings.spoken and words.start_sample == self._speaking
            if not wanted or synthesizer is None:
                continue
            urgency = SPECULATIVE, self._context.clock.now_ns()
            try:
                for phrase in split(self._expected(words.text))[:1]:
                    await synthesizer.prepare(phrase, bound(_always, urgency), settings.speed)
            except Exception as error:  # noqa: BLE001  # a model may raise anything; the session goes on
                self._context.emit(Failed("rehearse", one_line(error)))

    async def _read_ahead(self) -> None:
        """Let the language model read what will not be taken back, so that little is left at the end.

        Without the memory for it, that is left to the reply.
        """
        async for committed in self._committed:
            start_ns = self._context.clock.now_ns()

            def wanted(start: int | None = committed.start_sample) -> bool:
                return self._speaking == start

            if wanted():
                try:
                    await self._context.stages.language.read_ahead(
                        self._history(), committed.text, wanted, self._settings().options
                    )
                except EngineOutOfMemory as error:
                    self._context.tracer.record("failed", "read_ahead", start_ns, why=str(error))
                except CudaBroken:
                    raise  # no reply will ever come again: the session ends
                except Exception as error:  # noqa: BLE001  # a model may raise anything; the session goes on
                    self._context.emit(Failed("read_ahead", one_line(error)))


def _always(urgency: Urgency) -> Urgency:
    return urgency
