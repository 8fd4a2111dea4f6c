"""Loading the language model."""

import time
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from assistant.config import LlmConfig
from assistant.models.engine import ServedEngine, ServedModel, load_model
from assistant.models.pool import LanguageModels, Opened, on_worker
from assistant.runtime import OUTGOING, Clock, Worker
from assistant.session.stages import AskUrgency
from llm.decode.drafts import prompt_lookups
from llm.decode.engine import CudaBroken, EngineOutOfMemory
from llm.decode.generate import Generated
from llm.decode.options import AS_CONFIGURED, ReplyOptions
from llm.decode.responder import Prompt, Responder
from llm.decode.speculate import Speculator
from llm.gguf import open_gguf
from llm.lora import open_adapter
from llm.remote.client import RemoteModel
from llm.text.chat import ChatTemplate, Message
from llm.text.tokenizer import Tokenizer


class LocalModel:
    """A model in this process, of which each session has a sequence and drafters of its own."""

    def __init__(
        self, model: ServedModel, tokenizer: Tokenizer, template: ChatTemplate, config: LlmConfig
    ) -> None:
        self._model, self._tokenizer, self._template, self._config = model, tokenizer, template, config
        self._system = Message("system", config.system_prompt)
        self._measured: Speculator | None = None  # by the session that was closed last
        self._engines: set[ServedEngine] = set()  # of the sessions that are open

    @property
    def kv_bytes(self) -> int:
        """See LanguageModels; what sessions have in common counts for each."""
        return sum(engine.kv_bytes for engine in list(self._engines))

    def open(self, worker: Worker, clock: Clock) -> Opened:
        """A session's sequence and drafters; raises EngineBusy.

        It is given the system prompt in its thread, and its drafts start from what earlier ones have cost.
        """
        engine, speculator = self._model.open(), self._speculator()
        self._engines.add(engine)

        def close() -> None:
            self._measured = speculator
            self._engines.discard(engine)
            engine.close()

        generator = self._generator(engine, speculator)

        def read_system_prompt() -> None:
            with suppress(EngineOutOfMemory, CudaBroken):  # a reply meets it again, and reports it
                generator.warm_up([self._system])

        return on_worker(generator, close, worker, clock, first=read_system_prompt)

    def warm_up(self) -> None:
        """Read the system prompt, once for all sessions, and run each kernel once."""
        engine = self._model.open()
        self._generator(engine, None).warm_up([self._system])
        engine.close()

    def responder(self) -> Responder:
        """A sequence outside of any session, for the caller's thread."""
        return self._generator(self._model.open(), None)

    def _speculator(self) -> Speculator | None:
        if not self._config.speculate:
            return None
        return Speculator(prompt_lookups(), time.monotonic_ns, like=self._measured)

    def _generator(self, engine: ServedEngine, speculator: Speculator | None) -> Responder:
        generate, served = self._config.generate, engine.take_served
        tells_ends = self._config.tells_ends
        return Responder(
            engine, self._tokenizer, self._template, generate, speculator, served, tells_ends=tells_ends
        )


class RemoteLanguage:
    """A model on another machine, which keeps no state of a session."""

    def __init__(self, config: LlmConfig) -> None:
        self._model = RemoteModel(config.remote, config.generate)

    @property
    def kv_bytes(self) -> int:
        """See LanguageModels: it holds none here."""
        return 0

    def open(self, worker: Worker, clock: Clock) -> Opened:  # noqa: ARG002  # it runs elsewhere
        """See LanguageModels."""
        return Opened(RemoteSession(self._model), lambda then: then(None))


@dataclass(frozen=True)
class RemoteSession:
    """See LanguageModel: neither urgency nor reading ahead reach a server."""

    model: RemoteModel

    @property
    def takes_tools(self) -> bool:
        """See LanguageModel."""
        return self.model.takes_tools

    async def read_ahead(
        self,
        history: Sequence[Message],
        words: str,
        wanted: Callable[[], bool],
        options: ReplyOptions = AS_CONFIGURED,
    ) -> None:
        """Nothing: a server is asked once."""

    @property
    def tells_ends(self) -> bool:
        """See LanguageModel: a server tells no probabilities that are sure to be there."""
        return False

    async def closes(
        self,
        history: Sequence[Message],  # as above
        transcript: str,
        options: ReplyOptions = AS_CONFIGURED,
    ) -> None:
        """Unknown."""

    def prompt(
        self, history: Sequence[Message], transcript: str | None, options: ReplyOptions = AS_CONFIGURED
    ) -> Prompt:
        """See LanguageModel."""
        return self.model.prompt(history, transcript, options)

    def reply(self, prompt: Prompt, urgency: AskUrgency) -> AsyncGenerator[Generated, None]:  # noqa: ARG002
        """See LanguageModel. The server is told which trace the reply belongs to."""
        parent = OUTGOING.get()
        return self.model.reply(prompt, parent.headers() if parent else {})


def load_language(config: LlmConfig, path: Path | None, adapter_path: Path | None = None) -> LanguageModels:
    """The language model in the file at `path`, or, without one, on another machine.

    With the adapter at `adapter_path`, if there is one. Raises RemoteError, LoraError, GgufError and its
    relatives. Warns once if it runs on the CPU and not on the GPU that was asked for (see
    `assistant.models.engine`).
    """
    if path is None:
        return RemoteLanguage(config)
    gguf = open_gguf(path)
    tokenizer = Tokenizer.from_gguf(gguf)
    template = ChatTemplate.from_gguf(gguf, tokenizer)
    adapter = open_adapter(adapter_path, gguf) if adapter_path else None
    language = LocalModel(load_model(config, gguf, adapter).model, tokenizer, template, config)
    language.warm_up()
    return language
