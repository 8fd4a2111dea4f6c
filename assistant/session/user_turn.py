"""One turn of the user: audio to a transcript, and a score of how complete it sounds. A cancel scope."""

import asyncio
from collections.abc import Callable

from assistant.runtime import Channel
from assistant.session import turn
from assistant.session.context import Context, one_line
from assistant.session.events import Failed
from assistant.session.pipeline import SCORES, TRANSCRIPTS, UTTERANCES, Due, Transcript
from assistant.session.stages import Audio, Hearing, Utterance


class UserTurn:
    """The nodes of one turn. `audio` gives all of it up to now."""

    def __init__(self, number: int, context: Context, hearing: Hearing, audio: Callable[[], Audio]) -> None:
        tracer = context.tracer.of_reply(number)
        self.number = number
        self.transcript: str | None = None
        self.transcribed = asyncio.Event()
        self.transcripts: Channel[Transcript | None] = Channel(TRANSCRIPTS, tracer)
        self.utterances: Channel[Utterance] = Channel(UTTERANCES, tracer)
        self._scores: Channel[Due] = Channel(SCORES, tracer)
        self._context, self._hearing, self._audio, self._tracer = context, hearing, audio, tracer
        self._scoring: asyncio.Task[None] | None = None

    async def run(self, utterance: Utterance) -> None:
        """Transcribe, and score as often as is asked, until `end`."""
        self.utterances.put_now(utterance)
        self.utterances.close()
        async with asyncio.TaskGroup() as group:
            group.create_task(self._transcribe(), name=f"turn-{self.number}.transcribe")
            self._scoring = group.create_task(self._score(), name=f"turn-{self.number}.score")

    def score(self, start_sample: int) -> None:
        """Score the turn as it sounds now, once it is transcribed."""
        self._scores.put_now(Due(start_sample))

    def end(self) -> None:
        """The turn has ended: nobody wants another score."""
        self._scores.close()
        if self._scoring is not None:
            self._scoring.cancel()

    async def _transcribe(self) -> None:
        async for utterance in self.utterances:
            try:
                text = (await self._hearing.recognizer.final(utterance)).text
            except Exception as error:  # noqa: BLE001  # a model may raise anything; the session goes on
                self._context.emit(Failed("transcribe", one_line(error), self.number))
                text = ""
            said = any(c.isalnum() for c in text) and not self._context.is_echo(text)
            self.transcript = text if said else ""
            self.transcribed.set()
            if self.transcript:
                await self.transcripts.put(Transcript(text))
                backchannel = self._context.is_backchannel(text)
                await self._context.report(turn.Transcribed(self.number, backchannel))
            else:
                await self._context.report(turn.NothingSaid(self.number))
        self.transcripts.close()

    async def _score(self) -> None:
        await self.transcribed.wait()  # the language model needs the transcript sooner than we the score
        async for _ in self._scores:
            start_ns = self._context.clock.now_ns()
            try:
                probability = await self._hearing.scorer.probability(self._audio())
            except Exception as error:  # noqa: BLE001  # a model may raise anything; silence decides then
                self._context.emit(Failed("score", one_line(error), self.number))
                continue
            self._tracer.record("score", "score", start_ns, p=probability)
            await self._context.report(turn.AudioScored(self.number, probability))
