"""One reply: transcript -> prompt -> tokens -> phrases -> audio -> sink, a cancel scope of its own.

A reply is prepared while the user may still go on. Nothing of it reaches the sink before
`commit`; cancelling the task that runs it leaves no trace but spans.
"""

import asyncio
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from functools import partial

from asr.words import Stretch
from assistant.runtime.clock import Clock
from assistant.runtime.graph import Channel
from assistant.runtime.spans import Recorder, Span, Value
from assistant.runtime.worker import StopFlag
from assistant.session import turn
from assistant.session.parts import Boundaries
from assistant.session.pipeline import GRAPH
from assistant.session.playback import Playback, Sink
from assistant.session.stages import Stages
from llm.decode.engine import ContextFull, CudaBroken, EngineOutOfMemory
from llm.decode.generate import Finished, Generated, Prefilled, Started, Token
from llm.decode.responder import Prompt
from llm.decode.sample import BrokenLogits
from llm.decode.served import Kernels
from llm.decode.speculate import Speculated
from llm.remote.patience import RemoteError
from llm.text.chat import Message
from tts.phrases import PhraseSplitter
from tts.stream import SpeechChunk

FALLBACK = "Sorry, I have no answer to that."


@dataclass(frozen=True)
class Utterance:
    """The audio of a turn, or as much of it as the reader may not have heard yet."""

    stretch: Stretch


@dataclass(frozen=True)
class Transcript:
    """What the user said."""

    text: str


@dataclass(frozen=True)
class Phrase:
    """A piece of the reply that is spoken as a whole."""

    text: str


class Reply:
    """The nodes of one reply and what is known of it so far."""

    def __init__(
        self,
        number: int,
        history: Sequence[Message],
        stages: Stages,
        sink: Sink,
        clock: Clock,
        recorder: Recorder,
        report: Callable[[turn.Event], Awaitable[None]],
    ) -> None:
        self.number = number
        self.transcript = ""
        self.text = ""
        self.dropped = 0  # messages of the history that no longer fit the context
        self.committed_ns: int | None = None
        self.transcribed = asyncio.Event()
        self.playback = Playback(sink, clock)
        self._history, self._stages, self._clock, self._recorder = history, stages, clock, recorder
        self._report = report
        self._committed = asyncio.Event()
        self._turns: Channel[Utterance] = self._channel("turns")
        self._transcripts: Channel[Transcript] = self._channel("transcripts")
        self._prompts: Channel[Prompt] = self._channel("prompts")
        self._generated: Channel[Generated] = self._channel("generated")
        self._phrases: Channel[Phrase] = self._channel("phrases")
        self._audio: Channel[SpeechChunk] = self._channel("audio")

    def boundaries(self) -> Boundaries | None:
        """When each part of time to first audio began and ended; None before the reply was heard."""
        if self.committed_ns is None or self.playback.audible_ns is None:
            return None
        generated = self._generated.first_ns
        ends = {
            "endpoint.wait": self.committed_ns,
            "asr.final": self._transcripts.first_ns[Transcript],
            "prompt.assemble": self._prompts.first_ns[Prompt],
            "llm.queue": generated[Started],
            "llm.prefill": generated.get(Prefilled, generated[Started]),
            "llm.first_token": generated.get(Token, generated.get(Finished, generated[Started])),
            "llm.first_phrase": self._phrases.first_ns[Phrase],
            "tts.first_chunk": self._audio.first_ns[SpeechChunk],
            "playback.start": self.playback.audible_ns,
        }
        return Boundaries(ends, {"asr.final": self._turns.first_ns[Utterance]})

    def _channel(self, name: str) -> Channel:  # type: ignore[type-arg]  # the attribute says of what
        return Channel(GRAPH.edge(name), self._clock, self._recorder, self.number)

    def commit(self) -> None:
        """The turn has ended: the reply may be heard."""
        self.committed_ns = self._clock.now_ns()
        self._committed.set()

    async def run(self, utterance: Utterance) -> None:
        """Run every node until the reply has sounded to its end, or this task is cancelled."""
        await self._turns.put(utterance)
        await self._turns.close()
        async with asyncio.TaskGroup() as group:
            for node in (
                self._transcribe,
                self._assemble,
                self._think,
                self._phrase,
                self._speak,
                self._play,
            ):
                group.create_task(node(), name=f"reply-{self.number}.{node.__name__.strip('_')}")

    async def _transcribe(self) -> None:
        async for utterance in self._turns:
            hypothesis = await self._stages.asr_worker.run(self._stages.reader.final, utterance.stretch)
            self.transcript = hypothesis.text
            self.transcribed.set()
            if any(c.isalnum() for c in hypothesis.text):
                await self._transcripts.put(Transcript(hypothesis.text))
            else:
                await self._report(turn.NothingSaid(self.number))
        await self._transcripts.close()

    async def _assemble(self) -> None:
        async for transcript in self._transcripts:
            prompt = self._stages.writer.prompt(self._history, transcript.text)
            self.dropped = prompt.dropped
            await self._prompts.put(prompt)
        await self._prompts.close()

    async def _think(self) -> None:
        async for prompt in self._prompts:
            try:
                await self._generate(prompt)
            except CudaBroken as error:
                self._record("broken", {"why": str(error)})
                raise  # no reply will ever come again: the session ends
            except (BrokenLogits, ContextFull, EngineOutOfMemory, RemoteError) as error:
                self._record("failed", {"why": str(error)})
                await self._generated.put(Finished("error", ""))
                await self._report(turn.TextScored(self.number, 1.0))  # nothing to wait for
        await self._generated.close()

    async def _generate(self, prompt: Prompt) -> None:
        writer = self._stages.writer
        tokens = self._stages.llm_worker.stream(lambda stop: writer.reply(prompt, stop.is_set))
        async with aclosing(tokens):
            async for item in tokens:
                await self._generated.put(item)
                if isinstance(item, Prefilled):
                    score = writer.completeness(item)
                    await self._report(turn.TextScored(self.number, score))
                if isinstance(item, Speculated):
                    self._record("speculated", item.to_dict())
                if isinstance(item, Kernels):
                    for served in item.served:
                        self._record("served", served.to_dict())

    def _record(self, name: str, attributes: Mapping[str, Value]) -> None:
        now_ns = self._clock.now_ns()
        self._recorder.record(Span(name, "think", now_ns, now_ns, self.number, attributes))

    async def _phrase(self) -> None:
        splitter = PhraseSplitter()
        async for item in self._generated:
            if isinstance(item, Token | Finished):
                for text in splitter.push(item.text):
                    await self._say(text)
            if isinstance(item, Finished):
                rest = splitter.flush()
                spoken = any(c.isalnum() for c in self.text)
                # A sentence that ran into the limit, or was broken off, is left out.
                for text in [] if spoken and item.reason in ("length", "error") else rest:
                    await self._say(text)
                if not any(c.isalnum() for c in self.text):
                    await self._say(FALLBACK)
        await self._phrases.close()

    async def _say(self, text: str) -> None:
        self.text += text
        await self._phrases.put(Phrase(text))

    async def _speak(self) -> None:
        async for phrase in self._phrases:
            chunks = self._stages.tts_worker.stream(partial(self._synthesize, phrase.text))
            async with aclosing(chunks):
                async for chunk in chunks:
                    await self._audio.put(chunk)
        await self._audio.close()

    def _synthesize(self, text: str, stop: StopFlag) -> Iterator[SpeechChunk]:
        return self._stages.speaker.speak(text, should_stop=stop.is_set)

    async def _play(self) -> None:
        await self._committed.wait()
        async for chunk in self._audio:
            silent_so_far = self.playback.audible_ns is None
            await self.playback.play(chunk)
            if silent_so_far and self.playback.audible_ns is not None:
                await self._report(turn.ReplyHeard(self.number))
        await self._clock.sleep_until(self.playback.end_ns)
