"""One reply: conversation -> prompt -> tokens -> phrases -> audio -> sink, a cancel scope of its own.

A reply is prepared while the user may still go on. Nothing of it reaches the sink or a listener before
`release`; cancelling the task that runs it leaves no trace but spans.
"""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from contextlib import aclosing

from assistant.runtime import OUTGOING, Channel, Urgency, Value
from assistant.session import turn
from assistant.session.acts import Acts
from assistant.session.claims import claims_action
from assistant.session.context import Context
from assistant.session.conversation import Spoken
from assistant.session.events import AudioDelta, Failed, TextDelta
from assistant.session.parts import Boundaries
from assistant.session.pipeline import AUDIO, GENERATED, PHRASES, PROMPTS, Phrase, Transcript
from assistant.session.playback import Playback
from assistant.session.request import HELD, RELEASED, SPECULATIVE, ReplySettings
from assistant.session.stages import Plan
from llm.decode.engine import ContextFull, CudaBroken, EngineOutOfMemory
from llm.decode.generate import Called, Finished, Generated, Prefilled, Started, Token
from llm.decode.responder import Prompt
from llm.decode.sample import BrokenLogits
from llm.decode.served import Kernels
from llm.decode.speculate import Speculated
from llm.remote import RemoteError
from llm.text.chat import Message
from tts.phrases import PhraseSplitter, split
from tts.stream import SpeechChunk

FALLBACK = "Sorry, I have no answer to that."
UNABLE = "Sorry, I can't do that."

_MOST_CALLS = 4  # of skills in one reply
_ANSWERED_OVER_MS = 1000  # of the end of a question


class Reply:
    """The nodes of one reply and what is known of it so far; `grown` is called as more of it is heard."""

    def __init__(
        self,
        number: int,
        context: Context,
        history: Sequence[Message],
        transcripts: Channel[Transcript | None],
        grown: Callable[["Reply"], None],
        settings: ReplySettings,
        acts: Acts,
        plan_call: Callable[[Called], Plan | None] = lambda _: None,
    ) -> None:
        """`plan_call` is what comes of a call of the skills' functions."""
        tracer = context.tracer.of_reply(number)
        self.number = number
        self.text = ""
        self.dropped = 0  # messages of the history that no longer fit the context
        self.stopped = False  # nothing of it may be heard or told from now on
        self.held = False  # it is silent, and may go on
        self.released_ns: int | None = None
        self.reason = ""  # why the model came to an end, once it has
        self.prompt_tokens = self.tokens = 0
        self.generating_ns = 0  # from the first token to the last
        self.calls: list[Called] = []
        self.plan: Plan | None = None  # of the skill that answers
        self.acts = acts
        spoken = settings.spoken and context.stages.synthesizer is not None
        self.playback = Playback(context.sink, context.clock) if spoken and context.sink else None
        self._context, self._clock, self._tracer = context, context.clock, tracer
        self._history, self._grown, self._settings = history, grown, settings
        self._plan_call, self._skill_calls = plan_call, 0
        self._claims = False  # the model said that it does something
        self._created_ns = context.clock.now_ns()
        self._ahead_ns = 0  # of audio that was synthesized and not yet given to the sink
        self._synthesized = False  # all of it
        self._released = asyncio.Event()
        self._playing: asyncio.Task[None] | None = None
        self._transcripts = transcripts
        self._prompts: Channel[Prompt | Plan] = Channel(PROMPTS, tracer)
        self._generated: Channel[Generated] = Channel(GENERATED, tracer)
        self._phrases: Channel[Phrase] = Channel(PHRASES, tracer)
        self._audio: Channel[SpeechChunk] = Channel(AUDIO, tracer)

    @property
    def spoken(self) -> tuple[Spoken, ...]:
        """What was given to the sink, with when it is over; without a voice, all the text."""
        return tuple(self.playback.spoken) if self.playback else (Spoken(self.text, 0.0),)

    @property
    def heard_ms(self) -> float:
        """How much of its audio has sounded."""
        return self.playback.heard_ms if self.playback else 0.0

    def boundaries(self, transcribing_ns: int | None = None) -> Boundaries | None:
        """When each part of time to first audio began and ended; None before the reply was heard.

        The final transcript was begun at `transcribing_ns`, if there was anything to transcribe.
        """
        if self.released_ns is None or self.playback is None or self.playback.audible_ns is None:
            return None
        generated = self._generated.first_ns
        (transcribed_ns,) = self._transcripts.first_ns.values()
        ends = {
            "endpoint.wait": self.released_ns,
            "asr.final": transcribed_ns,
            "prompt.assemble": min(self._prompts.first_ns.values()),
            "llm.queue": generated[Started],
            "llm.prefill": generated.get(Prefilled, generated[Started]),
            "llm.first_token": generated.get(Token, generated.get(Finished, generated[Started])),
            "llm.first_phrase": self._phrases.first_ns[Phrase],
            "tts.first_chunk": self._audio.first_ns[SpeechChunk],
            "playback.start": self.playback.audible_ns,
        }
        return Boundaries(ends, {"asr.final": transcribed_ns if transcribing_ns is None else transcribing_ns})

    def release(self) -> None:
        """The turn has ended: the reply may be heard."""
        self.released_ns = self._clock.now_ns()
        self._released.set()
        if self.text:
            self._context.emit(TextDelta(self.number, self.text))

    def stop(self) -> None:
        """Silence, now."""
        self.stopped = True
        if self._playing is not None:
            self._playing.cancel()  # else a chunk on its way would still be written: a parent's comes later
        if self.released_ns is not None and self.playback:
            self.playback.stop()

    def duck(self) -> None:
        """Quietly, now."""
        if self.playback:
            self.playback.duck()

    def unduck(self) -> None:
        """At its own loudness again."""
        if self.playback:
            self.playback.unduck()

    def hold(self) -> None:
        """Silence, now; the reply is kept, and what the user says comes before it."""
        self.held = True
        if self.playback:
            self.playback.pause()

    def go_on(self) -> None:
        """Sound again, from the sample where it was held."""
        self.held = False
        if self.playback:
            self.playback.resume()

    @property
    def asks(self) -> bool:
        """Whether it ends with a question of which at most a second is still to be heard."""
        if self.playback is None or not self._synthesized or not self.text.rstrip().endswith("?"):
            return False
        return self.playback.left_ms + self._ahead_ns / 1e6 <= _ANSWERED_OVER_MS

    async def released(self) -> None:
        """Wait until the reply may be heard."""
        await self._released.wait()

    def urgency(self) -> Urgency:
        """When somebody will wait for more of it: at its release, then when its audio runs out.

        Called from any thread. A reply that may still be discarded comes behind all that were released, and
        one that is held behind them all.
        """
        if self.held:
            return HELD, self._created_ns
        if self.released_ns is None:
            return SPECULATIVE, self._created_ns
        if self.playback is None or self.playback.audible_ns is None:
            return RELEASED, self.released_ns
        return RELEASED, self.playback.end_ns + self._ahead_ns

    async def run(self) -> None:
        """Run every node until the reply has sounded to its end, or this task is cancelled."""
        output = (self._phrase, self._speak, self._play) if self.playback else (self._write,)
        async with asyncio.TaskGroup() as group:
            for node in (self._assemble, self._generate, *output):
                group.create_task(node(), name=f"reply-{self.number}.{node.__name__.strip('_')}")

    async def _assemble(self) -> None:
        async for transcript in self._transcripts:
            if transcript and transcript.plan:
                self.plan = transcript.plan
                await self._prompts.put(transcript.plan)
                continue
            text = transcript.text if transcript else None
            prompt = self._context.stages.language.prompt(self._history, text, self._settings.options)
            self.dropped, self.prompt_tokens = prompt.dropped, len(prompt.ids)
            await self._prompts.put(prompt)
        self._prompts.close()

    async def _generate(self) -> None:
        async for prompt in self._prompts:
            if not isinstance(prompt, Prompt):
                await self._carry_out(prompt)
                continue
            try:
                await self._generate_from(prompt)
            except CudaBroken as error:
                self._record("broken", {"why": str(error)})
                raise  # no reply will ever come again: the session ends
            except (BrokenLogits, ContextFull, EngineOutOfMemory, RemoteError) as error:
                self._record("failed", {"why": str(error)})
                self._context.emit(Failed("generate", str(error), self.number))
                self.reason = "error"
                await self._generated.put(Finished("error", ""))
        self._generated.close()

    async def _carry_out(self, plan: Plan) -> None:
        """Synthesize what will probably be said; once the turn is over, do it and tell what came of it."""
        await self._generated.put(Started())
        said, self.reason = await self._act(plan)
        await self._generated.put(Finished("end", said))

    async def _act(self, plan: Plan) -> tuple[str, str]:
        """What is to be said, and why the reply ends."""
        await self._prepare(plan.text)
        await self.released()
        return await self.acts.carry_out(plan)

    async def _call(self, called: Called) -> None:
        """Carry out a call of the skills' functions; a model that goes on and on is stopped from doing so."""
        self._skill_calls += 1
        plan = self._plan_call(called) if self._skill_calls <= _MOST_CALLS else None
        said = UNABLE
        if plan is not None:
            self.plan = plan
            said, _ = await self._act(plan)
        await self._generated.put(Token(-1, said if self._skill_calls == 1 else f" {said}"))

    async def _prepare(self, text: str) -> None:
        synthesizer = self._context.stages.synthesizer
        if self.playback is None or synthesizer is None:
            return
        for phrase in split(text):
            if self.released_ns is not None:
                return  # the rest is synthesized while this one sounds
            try:
                await synthesizer.prepare(phrase, self.urgency, self._settings.speed)
            except Exception:  # noqa: BLE001  # what was asked for is done all the same; speaking it fails, and tells
                return

    async def _generate_from(self, prompt: Prompt) -> None:
        OUTGOING.set(self._tracer.outgoing())  # of this task, which is the reply's own
        language = self._context.stages.language
        async with aclosing(language.reply(prompt, self.urgency)) as items:
            async for item in items:
                if isinstance(item, Called) and item.name in self._settings.options.calls:
                    await self._call(item)
                    continue
                self._note(item)
                await self._generated.put(item)
                if isinstance(item, Speculated):
                    self._record("speculated", item.to_dict())
                if isinstance(item, Kernels):
                    for served in item.served:
                        self._record("served", served.to_dict())

    def _note(self, item: Generated) -> None:
        if isinstance(item, Token):
            self.tokens += 1
            self.generating_ns = self._clock.now_ns() - self._generated.first_ns.get(
                Token, self._clock.now_ns()
            )
        if isinstance(item, Called):
            self.calls.append(item)
        if isinstance(item, Finished):
            self.reason = item.reason

    def _record(self, name: str, attributes: Mapping[str, Value]) -> None:
        self._tracer.record(name, "generate", self._clock.now_ns(), **attributes)

    async def _write(self) -> None:
        """Text output: what is generated, as it comes; by phrases where they have to be looked at."""
        await self.released()
        splitter = PhraseSplitter() if self._settings.acted_for else None
        async for item in self._generated:
            if not isinstance(item, Token | Finished):
                continue
            texts = splitter.push(item.text) if splitter else [item.text]
            if splitter and isinstance(item, Finished):
                texts += splitter.flush()
            for text in map(self._checked, texts):
                if text and not self.stopped:
                    self.text += text
                    self._context.emit(TextDelta(self.number, text))
        self._grown(self)

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
                if not (self.calls or any(c.isalnum() for c in self.text)):
                    await self._say(FALLBACK)
        self._phrases.close()

    async def _say(self, text: str) -> None:
        text = self._checked(text)
        if not text:
            return
        self.text += text
        if self.released_ns is not None and not self.stopped:
            self._context.emit(TextDelta(self.number, text))
        await self._phrases.put(Phrase(text))

    def _checked(self, text: str) -> str:
        """What may be said of a phrase: where skills act, a model does not claim to. Nothing follows that."""
        if self._claims:
            return ""
        if self.plan is not None or not self._settings.acted_for or not claims_action(text):
            return text
        self._claims = True
        return f" {UNABLE}" if self.text else UNABLE

    async def _speak(self) -> None:
        synthesizer = self._context.stages.synthesizer
        assert synthesizer is not None, "a reply without a voice has no such node"
        async for phrase in self._phrases:
            async with aclosing(synthesizer.speak(phrase.text, self.urgency, self._settings.speed)) as chunks:
                async for chunk in chunks:
                    self._ahead_ns += _duration_ns(chunk)
                    await self._audio.put(chunk)
        self._synthesized = True
        self._audio.close()

    async def _play(self) -> None:
        assert self.playback is not None, "a reply without a sink has no such node"
        await self.released()
        self._playing = asyncio.current_task()
        async for chunk in self._audio:
            silent_so_far = self.playback.audible_ns is None
            await self.playback.play(chunk)
            self._ahead_ns -= _duration_ns(chunk)
            self._context.emit(AudioDelta(self.number, chunk))
            self._grown(self)
            if silent_so_far and self.playback.audible_ns is not None:
                sample = self._context.sample_at(self.playback.audible_ns)
                await self._context.report(turn.ReplyHeard(self.number, sample))
        await self.playback.drain()


def _duration_ns(chunk: SpeechChunk) -> int:
    return len(chunk.audio) * 1_000_000_000 // chunk.sample_rate
