"""Loading every model into `Stages`, in parallel: the slowest decides when we can listen."""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import torch

from asr.turn_end import TurnEnd
from asr.vad import Vad
from assistant.config import Config, LlmConfig
from assistant.machine import cpu_features
from assistant.models import ModelStore
from assistant.speech_models import (
    ASR,
    TURN_END,
    VAD,
    AsrPaths,
    fetch,
    load_reader,
    load_speaker,
    pick_asr,
)
from assistant.stages import Stages
from llm.chat import ChatTemplate, Message
from llm.gguf import open_gguf
from llm.model import Llama
from llm.responder import Responder
from llm.tokenizer import Tokenizer
from llm.torch_engine import TorchEngine


@dataclass(frozen=True)
class Paths:
    """Where each model lies, verified."""

    vad: Path
    turn_end: Path
    asr: AsrPaths
    llm: Path


def model_names(config: Config) -> list[str]:
    """The models of the store that `config` needs."""
    return [VAD, TURN_END, *ASR, *([] if config.llm.is_path else [config.llm.model])]


def locate(config: Config, store: ModelStore) -> Paths:
    """Where the models of `config` are, fetched if they are missing; raises ModelStoreError."""
    found = fetch(store, model_names(config))
    return Paths(found[VAD], found[TURN_END], pick_asr(found), _llm_path(config.llm, found))


def locate_llm(config: LlmConfig, store: ModelStore) -> Path:
    """Where the language model alone is; raises ModelStoreError."""
    return _llm_path(config, {} if config.is_path else fetch(store, [config.model]))


def load_stages(config: Config, paths: Paths) -> Stages:
    """Load and warm up every model; raises the typed error of the one that cannot be loaded."""
    with ThreadPoolExecutor() as pool:
        writer = pool.submit(load_writer, config.llm, paths.llm)
        speaker = pool.submit(load_speaker, config.tts)
        reader = pool.submit(load_reader, paths.asr, config.asr)
        turn_end = pool.submit(TurnEnd, paths.turn_end)
        vad = pool.submit(Vad, paths.vad)
        return Stages(vad.result(), turn_end.result(), reader.result(), writer.result(), speaker.result())


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


def _llm_path(config: LlmConfig, found: dict[str, Path]) -> Path:
    return Path(config.model) if config.is_path else found[config.model]
