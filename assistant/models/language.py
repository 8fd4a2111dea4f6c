"""Loading the language model."""

import time
from pathlib import Path

from assistant.config import LlmConfig
from assistant.models.engine import open_engine
from assistant.session.stages import ReplyWriter
from llm.decode.drafts import prompt_lookups
from llm.decode.responder import Responder
from llm.decode.speculate import Speculator
from llm.gguf.file import open_gguf
from llm.remote.client import RemoteWriter
from llm.text.chat import ChatTemplate, Message
from llm.text.tokenizer import Tokenizer


def load_writer(config: LlmConfig, path: Path | None) -> ReplyWriter:
    """What writes the replies: the model file at `path`, or, without one, another machine.

    Raises RemoteError, GgufError and its relatives.
    """
    return RemoteWriter(config.remote, config.generate) if path is None else load_model(config, path)


def load_model(config: LlmConfig, path: Path) -> Responder:
    """The language model, with the system prompt in its cache; raises GgufError and its relatives.

    Warns once if it runs on the CPU and not on the GPU that was asked for (see `load_engine`).
    """
    gguf = open_gguf(path)
    tokenizer = Tokenizer.from_gguf(gguf)
    template = ChatTemplate.from_gguf(gguf, tokenizer)
    engine = open_engine(config, gguf).engine
    speculator = Speculator(prompt_lookups(), time.monotonic_ns) if config.speculate else None
    writer = Responder(engine, tokenizer, template, config.generate, speculator, engine.take_served)
    writer.warm_up([Message("system", config.system_prompt)])
    return writer
