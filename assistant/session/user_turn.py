"""One turn of the user: audio to a transcript, and a score of how complete it sounds. A cancel scope."""

import asyncio
from collections.abc import Awaitable, Callable, Collection

from asr.ending import Ending
from asr.words import Hypothesis
from assistant.runtime import Channel
from assistant.session import turn
from assistant.session.completeness import DOUBTFUL, by_words, with_reading
from assistant.session.context import Context, one_line
from assistant.session.events import Failed
from assistant.session.pipeline import SCORES, TRANSCRIPTS, UTTERANCES, Due, Transcript
from assistant.session.stages import Audio, Hearing, Plan, Utterance
from llm.decode.engine import CudaBroken, EngineOutOfMemory


class UserTurn:
    """The nodes of one turn. `audio` gives what of it is before a sample; `commands` need no more words.

    `plan` answers what needs no language model. `closes` tells the log-odds that a sentence is over that
    reads so, or None, if it does not know; without it the sound is asked.
    """

    def __init__(
        self,
        number: int,
        context: Context,
        hearing: Hearing,
        audio: Callable[[int | None], Audio],
        commands: Collection[str] = (),
        plan: Callable[[str], Plan | None] = lambda _: None,
        closes: Callable[[str], Awaitable[float | None]] | None = None,
    ) -> None:
        tracer = context.tracer.of_reply(number)
        self.number = number
        self.transcript: str | None = None
        self.transcripts: Channel[Transcript | None] = Channel(TRANSCRIPTS, tracer)
        self.utterances: Channel[Utterance] = Channel(UTTERANCES, tracer)
        self._scores: Channel[Due] = Channel(SCORES, tracer)
        self._context, self._hearing, self._audio, self._tracer = context, hearing, audio, tracer
        self._commands, self._plan = commands, plan
        self._closes, self._ended = closes, False
        self._scoring: asyncio.Task[None] | None = None

    async def run(self, utterance: Utterance) -> None:
        """Transcribe, and score how it sounds if that is asked, until `end`."""
        self.utterances.put_now(utterance)
        self.utterances.close()
        async with asyncio.TaskGroup() as group:
            group.create_task(self._transcribe(), name=f"turn-{self.number}.transcribe")
            self._scoring = group.create_task(self._score(), name=f"turn-{self.number}.score")

    def score(self, start_sample: int, end_sample: int) -> None:
        """Score how the turn sounds up to `end_sample`."""
        self._scores.put_now(Due(start_sample, end_sample))

    def end(self) -> None:
        """The turn has ended: nobody wants another score."""
        self._ended = True
        self._scores.close()
        if self._scoring is not None:
            self._scoring.cancel()

    async def _transcribe(self) -> None:
        async for utterance in self.utterances:
            try:
                final = await self._hearing.recognizer.final(utterance)
            except Exception as error:  # noqa: BLE001  # a model may raise anything; the session goes on
                self._context.emit(Failed("transcribe", one_line(error), self.number))
                final = Hypothesis("", (), 0)
            text = final.text
            said = any(c.isalnum() for c in text) and not self._context.is_echo(text)
            self.transcript = text if said else ""
            if self.transcript:
                await self._understand(text, final.ending)
            else:
                await self._context.report(turn.NothingSaid(self.number))
        self.transcripts.close()

    async def _understand(self, text: str, ending: Ending | None) -> None:
        """Tell what the words are; where they are in doubt the language model reads them, then replies."""
        plan = self._plan(text)
        complete = plan is not None and plan.complete
        log_odds = by_words(text, ending, self._commands, complete=complete)
        self._tracer.record("words", "transcribe", self._context.clock.now_ns(), log_odds=log_odds)
        closes = self._closes if log_odds < DOUBTFUL and not self._ended else None
        at_once = closes is None or plan is not None
        if at_once:
            await self.transcripts.put(Transcript(text, plan))
        await self._context.report(turn.Transcribed(self.number, self._context.is_backchannel(text)))
        await self._context.report(turn.TextScored(self.number, log_odds, reading=closes is not None))
        if closes is not None:
            await self._read(text, log_odds, closes)
        if not at_once:
            await self.transcripts.put(Transcript(text, plan))

    async def _read(self, text: str, log_odds: float, ask: Callable[[str], Awaitable[float | None]]) -> None:
        start_ns, closes = self._context.clock.now_ns(), None
        try:
            closes = await ask(text)
        except EngineOutOfMemory as error:  # the reply meets it again, and tells
            self._tracer.record("failed", "transcribe", start_ns, why=str(error))
        except CudaBroken:
            raise  # no reply will ever come again: the session ends
        except Exception as error:  # noqa: BLE001  # a model may raise anything; the sound decides then
            self._context.emit(Failed("read", one_line(error), self.number))
        if closes is None:
            await self._context.report(turn.TextScored(self.number, log_odds))
            return
        read = with_reading(log_odds, closes)
        self._tracer.record("read", "transcribe", start_ns, closes=closes, log_odds=read)
        await self._context.report(turn.Read(self.number, read))

    async def _score(self) -> None:
        async for due in self._scores:
            start_ns = self._context.clock.now_ns()
            try:
                probability = await self._hearing.scorer.probability(self._audio(due.end_sample))
            except Exception as error:  # noqa: BLE001  # a model may raise anything; silence decides then
                self._context.emit(Failed("score", one_line(error), self.number))
                continue
            self._tracer.record("score", "score", start_ns, p=probability)
            await self._context.report(turn.AudioScored(self.number, probability))
