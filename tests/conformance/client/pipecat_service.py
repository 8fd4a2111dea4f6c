"""Pipecat: `OpenAIRealtimeLLMService` in a pipeline with its context aggregators, seen by an observer."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from kit import INSTRUCTIONS, NotApplicable, Options, Refusal, Session, Setup, main
from pipecat.frames.frames import (
    ErrorFrame,
    InputAudioRawFrame,
    LLMMessagesAppendFrame,
    LLMRunFrame,
    LLMTextFrame,
    TranscriptionFrame,
    TTSAudioRawFrame,
    UserStartedSpeakingFrame,
    UserStoppedSpeakingFrame,
)
from pipecat.observers.base_observer import BaseObserver, FramePushed
from pipecat.pipeline.pipeline import Pipeline
from pipecat.pipeline.worker import PipelineWorker
from pipecat.processors.aggregators.llm_context import LLMContext
from pipecat.processors.aggregators.llm_response_universal import LLMContextAggregatorPair
from pipecat.services.llm_service import FunctionCallParams
from pipecat.services.openai.realtime import events
from pipecat.services.openai.realtime.llm import OpenAIRealtimeLLMService
from pipecat.workers.runner import WorkerRunner
from scenarios import SCENARIOS

_SETTLE_S = 0.5  # for what is sent without an answer that the client would show


async def get_weather(params: FunctionCallParams, city: str) -> None:
    """The weather in a city.

    Args:
        params: Pipecat's own.
        city: Its name.
    """
    await params.result_callback({"weather": f"18 degrees and sunny in {city}"})


class PipecatSession(Session, BaseObserver):
    """A pipeline around the service; what the service pushes is observed."""

    why_no_malformed = "any error but three codes ends the client's receive loop"

    def __init__(self, service: OpenAIRealtimeLLMService, context: LLMContext) -> None:
        Session.__init__(self)
        BaseObserver.__init__(self)
        self._service, self._context = service, context
        self._replying: str | None = None  # the assistant's item
        self._interrupted: str | None = None  # the last that did not end
        self._items: dict[str, asyncio.Event] = {}  # added
        self._asked = False
        service.add_event_handler("on_conversation_item_created", self._added)
        service.add_event_handler("on_conversation_item_updated", self._updated)
        aggregators = LLMContextAggregatorPair(context)
        pipeline = Pipeline([aggregators.user(), service, aggregators.assistant()])
        self.worker = PipelineWorker(
            pipeline, cancel_on_idle_timeout=False, enable_rtvi=False, observers=[self]
        )

    async def on_push_frame(self, data: FramePushed) -> None:
        """Take what the service pushes."""
        if isinstance(data.frame, ErrorFrame) and data.source is self._service:
            self.heard.complaints.append(data.frame.error)
        if data.source is not self._service:
            return
        self.heard.saw(type(data.frame).__name__)
        match data.frame:
            case TTSAudioRawFrame(audio=audio):
                self.heard.saw("output_audio")
                self.heard.sound(audio)
            case LLMTextFrame(text=text):
                self.heard.current.text += text
            case TranscriptionFrame(text=text):
                self.heard.transcripts.put_nowait(text)

    async def _added(self, _: object, item_id: str, item: events.ConversationItem) -> None:
        self._items.setdefault(item_id, asyncio.Event()).set()
        if item.role == "assistant":
            self._replying = item_id

    async def _updated(self, _: object, item_id: str, item: events.ConversationItem | None) -> None:
        """An item is done; that of the assistant ends the reply, of which the client shows no status."""
        if item and item_id == self._replying:
            self._replying = None
            self._interrupted = item_id if item.status == "incomplete" else self._interrupted
            self.heard.finish(item.status or "")
        elif item and item.type == "function_call" and item_id not in self._items:
            self.heard.finish(item.status or "")

    async def ask(self, text: str) -> None:
        message: Any = {"role": "user", "content": text}
        if self._asked:
            # To the service itself: the aggregator before it passes no such frame on.
            await self._service.queue_frame(LLMMessagesAppendFrame(messages=[message], run_llm=True))
        else:
            self._context.add_message(message)
            await self.worker.queue_frame(LLMRunFrame())
        self._asked = True

    async def push(self, audio: bytes) -> None:
        await self.worker.queue_frame(InputAudioRawFrame(audio=audio, sample_rate=24000, num_channels=1))

    async def ready(self) -> None:
        """Wait until the session is configured: audio before it would be taken with the server's defaults."""
        while not self._service._api_session_ready:  # noqa: ASYNC110  # the client tells no other way
            await asyncio.sleep(0.01)

    async def commit(self) -> None:
        await self.worker.queue_frame(UserStartedSpeakingFrame())
        await self.worker.queue_frame(UserStoppedSpeakingFrame())

    async def cancel(self) -> Refusal | None:
        """The client shows no refusal; one by any other code would end its receive loop."""
        await self._service.send_client_event(events.ResponseCancelEvent())
        await asyncio.sleep(_SETTLE_S)
        return None

    async def send_raw(self, event: str | dict[str, object]) -> None:
        raise NotApplicable(self.why_no_malformed)

    async def create(self, item_id: str, text: str) -> None:
        content = [events.ItemContent(type="input_text", text=text)]
        item = events.ConversationItem(id=item_id, type="message", role="user", content=content)
        await self._service.send_client_event(events.ConversationItemCreateEvent(item=item))
        await self._items.setdefault(item_id, asyncio.Event()).wait()

    async def retrieve(self, item_id: str) -> str | None:
        try:
            item = await self._service.retrieve_conversation_item(item_id)
        except Exception as error:  # noqa: BLE001  # the client raises a bare one
            self.heard.saw(str(error))
            return None
        return "".join(part.text or part.transcript or "" for part in item.content)

    async def delete(self, item_id: str) -> None:
        await self._service.send_client_event(events.ConversationItemDeleteEvent(item_id=item_id))

    async def truncated(self) -> None:
        """The client does not show the answer, but can retrieve the item."""
        assert self._interrupted
        text = await self.retrieve(self._interrupted) or ""
        if "number one" not in text.lower() or "number ten" in text.lower():
            raise AssertionError(f"of the reply that was spoken over, the server keeps {text!r}")


@asynccontextmanager
async def connect(setup: Setup, options: Options) -> AsyncIterator[Session]:
    """The client appends its model to the URL."""
    if options.pcmu:
        raise NotApplicable("the client sends and plays PCM at 24 kHz, whatever the session's format")
    heard = events.AudioInput(
        transcription=events.InputAudioTranscription(),
        turn_detection=False if options.manual else events.SemanticTurnDetection(),
    )
    properties = events.SessionProperties(
        audio=events.AudioConfiguration(input=heard),
        output_modalities=["text" if options.text_only else "audio"],
    )
    settings = OpenAIRealtimeLLMService.Settings(
        session_properties=properties, system_instruction=INSTRUCTIONS
    )
    service = OpenAIRealtimeLLMService(api_key=setup.key, base_url=setup.url, settings=settings)
    context = LLMContext(tools=[get_weather]) if options.weather else LLMContext()  # type: ignore[arg-type]
    session = PipecatSession(service, context)
    started = asyncio.Event()

    @session.worker.event_handler("on_pipeline_started")
    async def _(*_: object) -> None:
        started.set()

    runner = WorkerRunner(handle_sigint=False)
    await runner.add_workers(session.worker)
    running = asyncio.create_task(runner.run(), name="pipeline")
    try:
        await started.wait()
        await session.ready()
        yield session
    finally:
        await session.worker.cancel()
        await asyncio.wait([running])
        running.result()


if __name__ == "__main__":
    main(connect, SCENARIOS, {"malformed": PipecatSession.why_no_malformed})
