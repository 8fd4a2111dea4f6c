"""Loading the real models into `Stages`, in parallel: the slowest decides when we can listen."""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import torch

from asr.moonshine import Moonshine
from asr.stream import Transcriber
from asr.turn_end import TurnEnd
from asr.vad import Vad
from assistant.config import Config, LlmConfig
from assistant.models import ModelStore
from assistant.models_cli import fetch_with_bar
from assistant.stages import Stages
from llm.chat import ChatTemplate, Message
from llm.engine import TorchEngine
from llm.gguf import open_gguf
from llm.model import Llama
from llm.responder import Responder
from llm.tokenizer import Tokenizer
from tts.stream import Speaker
from tts.voice import Voice

VAD = "silero-vad-v6"
TURN_END = "smart-turn-v3.2"
ASR = ("moonshine-tiny-en-encoder", "moonshine-tiny-en-decoder", "moonshine-tiny-en-tokenizer")


@dataclass(frozen=True)
class Paths:
    """Where each model lies, verified."""

    vad: Path
    turn_end: Path
    asr: tuple[Path, Path, Path]
    llm: Path


def model_names(config: Config) -> list[str]:
    """The models of the store that `config` needs."""
    llm = [] if _is_path(config.llm) else [config.llm.model]
    return [VAD, TURN_END, *ASR, *llm]


def locate(config: Config, store: ModelStore) -> Paths:
    """Fetch what is missing, with a progress bar; raises ModelStoreError."""
    fetch_with_bar(store, model_names(config))
    with ThreadPoolExecutor() as pool:  # hashing releases the GIL
        found = dict(zip(model_names(config), pool.map(store.path, model_names(config)), strict=True))
    llm = Path(config.llm.model) if _is_path(config.llm) else found[config.llm.model]
    encoder, decoder, vocabulary = (found[name] for name in ASR)
    return Paths(found[VAD], found[TURN_END], (encoder, decoder, vocabulary), llm)


def load_stages(config: Config, paths: Paths) -> Stages:
    """Load and warm up every model; raises the typed error of the one that cannot be loaded."""
    with ThreadPoolExecutor() as pool:
        writer = pool.submit(load_writer, config.llm, paths.llm)
        speaker = pool.submit(load_speaker, config)
        vad = pool.submit(Vad, paths.vad)
        turn_end = pool.submit(TurnEnd, paths.turn_end)
        reader = pool.submit(load_reader, config, paths)
        return Stages(vad.result(), turn_end.result(), reader.result(), writer.result(), speaker.result())


def load_reader(config: Config, paths: Paths) -> Transcriber:
    """The ASR model."""
    return Transcriber(Moonshine(*paths.asr), config.asr)


def load_writer(config: LlmConfig, path: Path) -> Responder:
    """The language model, with the system prompt in its cache; raises GgufError and its relatives."""
    torch.set_num_threads(config.threads)
    gguf = open_gguf(path)
    tokenizer = Tokenizer.from_gguf(gguf)
    template = ChatTemplate.from_gguf(gguf, tokenizer)
    engine = TorchEngine(Llama(gguf), config.context)
    writer = Responder(engine, tokenizer, template, config.generate)
    writer.warm_up([Message("system", config.system_prompt)])
    return writer


def load_speaker(config: Config) -> Speaker:
    """The voice."""
    speaker = Speaker(Voice(), config.tts)
    speaker.warm_up()
    return speaker


def _is_path(config: LlmConfig) -> bool:
    return config.model.endswith(".gguf")
