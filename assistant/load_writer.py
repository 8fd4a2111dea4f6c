"""Loading the language model: the only module on the way to a reply that imports torch."""

from pathlib import Path

import torch

from assistant.config import LlmConfig
from assistant.machine import cpu_features
from llm.chat import ChatTemplate, Message
from llm.gguf import open_gguf
from llm.model import Llama
from llm.responder import Responder
from llm.tokenizer import Tokenizer
from llm.torch_engine import TorchEngine


def load_writer(config: LlmConfig, path: Path) -> Responder:
    """The language model, with the system prompt in its cache; raises GgufError and its relatives."""
    dtype = _dtype(config)
    torch.set_num_threads(config.threads or (1 if dtype == torch.bfloat16 else 2))
    gguf = open_gguf(path)
    tokenizer = Tokenizer.from_gguf(gguf)
    template = ChatTemplate.from_gguf(gguf, tokenizer)
    engine = TorchEngine(Llama(gguf, dtype), config.context)
    writer = Responder(engine, tokenizer, template, config.generate)
    writer.warm_up([Message("system", config.system_prompt)])
    return writer


def _dtype(config: LlmConfig) -> torch.dtype:
    fast = {"avx512_bf16", "amx_bf16"} & set(cpu_features() or ())
    return (
        torch.bfloat16 if config.dtype == "bfloat16" or (config.dtype == "auto" and fast) else torch.float32
    )
