"""Loading the language model."""

import time
from pathlib import Path

from assistant.config import LlmConfig
from assistant.models.engine import ServedModel, load_model
from assistant.models.pool import LocalLanguage, Opened
from llm.decode.drafts import prompt_lookups
from llm.decode.responder import Responder
from llm.decode.speculate import Speculator
from llm.gguf.file import open_gguf
from llm.remote.client import RemoteWriter
from llm.text.chat import ChatTemplate, Message
from llm.text.tokenizer import Tokenizer


class LocalModel:
    """A model in this process, of which each session has a sequence and drafters of its own."""

    def __init__(
        self, model: ServedModel, tokenizer: Tokenizer, template: ChatTemplate, config: LlmConfig
    ) -> None:
        self._model, self._tokenizer, self._template, self._config = model, tokenizer, template, config

    def open(self) -> Opened:
        """A session's generator; raises EngineBusy."""
        engine = self._model.open()
        speculator = Speculator(prompt_lookups(), time.monotonic_ns) if self._config.speculate else None
        generator = Responder(
            engine, self._tokenizer, self._template, self._config.generate, speculator, engine.take_served
        )
        return Opened(generator, engine.close)

    def warm_up(self) -> None:
        """Read the system prompt, once for all sessions, and run each kernel once."""
        opened = self.open()
        assert isinstance(opened.generator, Responder)
        opened.generator.warm_up([Message("system", self._config.system_prompt)])
        opened.close()


class RemoteLanguage:
    """A model on another machine, which keeps no state of a session."""

    def __init__(self, config: LlmConfig) -> None:
        self._writer = RemoteWriter(config.remote, config.generate)

    def open(self) -> Opened:
        """A session's generator."""
        return Opened(self._writer, lambda: None)


def load_language(config: LlmConfig, path: Path | None) -> LocalLanguage:
    """The language model in the file at `path`, or, without one, on another machine.

    Raises RemoteError, GgufError and its relatives. Warns once if it runs on the CPU and not on the GPU that
    was asked for (see `assistant.models.engine`).
    """
    if path is None:
        return RemoteLanguage(config)
    gguf = open_gguf(path)
    tokenizer = Tokenizer.from_gguf(gguf)
    template = ChatTemplate.from_gguf(gguf, tokenizer)
    language = LocalModel(load_model(config, gguf).model, tokenizer, template, config)
    language.warm_up()
    return language
