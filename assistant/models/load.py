"""Loading every model into a `ModelPool`."""

from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path

from asr.recognizer import Recognizer
from asr.stream import StreamConfig, Transcriber
from asr.turn_end import TurnEnd
from asr.vad import Vad
from assistant.config import SHIPPED_ADAPTER, Config, LlmConfig
from assistant.models.language import load_language
from assistant.models.pool import HearingModels, ModelPool, Models, Tap, frozen
from assistant.models.speech import (
    ASR,
    TURN_END,
    VAD,
    AsrPaths,
    fetch,
    load_recognizer,
    load_speaker,
    pick_asr,
    voice_model,
)
from assistant.models.store import ModelStore
from assistant.runtime import Clock
from assistant.session.stages import Skills
from tts.stream import Speaker


@dataclass(frozen=True)
class Paths:
    """Where each model lies, verified; no `llm` where that is on another machine.

    No `voice` where that comes with its package, and no `adapter` where none is wanted.
    """

    vad: Path
    turn_end: Path
    asr: AsrPaths
    llm: Path | None
    voice: Path | None
    adapter: Path | None = None


def model_names(config: Config) -> list[str]:
    """The models of the store that `config` needs."""
    voice = voice_model(config.tts)
    return [VAD, TURN_END, *ASR, *_llm_names(config.llm), *([voice] if voice else [])]


def locate(config: Config, store: ModelStore) -> Paths:
    """Where the models of `config` are, fetched if they are missing; raises ModelStoreError."""
    found = fetch(store, model_names(config))
    voice = voice_model(config.tts)
    return Paths(
        found[VAD],
        found[TURN_END],
        pick_asr(found),
        _llm_path(config.llm, found),
        found[voice] if voice else None,
        _adapter_path(config.llm, found),
    )


def locate_llm(config: LlmConfig, store: ModelStore) -> Path:
    """Where the file of `config.model` is; raises ModelStoreError."""
    return Path(config.model) if config.is_path else fetch(store, [config.model])[config.model]


def locate_adapter(config: LlmConfig, store: ModelStore) -> Path | None:
    """Where the file or folder of `config.adapter` is, if one is wanted; raises ModelStoreError."""
    names = _adapter_names(config)
    return _adapter_path(config, fetch(store, names) if names else {})


def load_pool(
    config: Config,
    paths: Paths,
    clock: Clock,
    tap: Tap | None = None,
    skills: Callable[[], Skills] | None = None,
) -> ModelPool:
    """Load and warm up every model; raises the typed error of the one that cannot be loaded.

    `skills` opens those of a session, which are asked before the language model.
    """

    def load() -> Models:
        return replace(load_models(config, paths), skills=skills)

    return ModelPool(frozen(load), clock, config.llm.sessions, tap)


def load_models(config: Config, paths: Paths) -> Models:
    """Every model, warmed up; raises as `load_pool`."""
    with ThreadPoolExecutor(1) as pool:  # a second thread more only waits for the interpreter lock
        speech = pool.submit(_load_speech, config, paths)
        language = load_language(config.llm, paths.llm, paths.adapter)
        hearing, speaker = speech.result()
    return Models(language, hearing, speaker)


def _load_speech(config: Config, paths: Paths) -> tuple[HearingModels, Speaker]:
    expecting = _Expecting(load_recognizer(paths.asr, config.asr), config.asr)
    hearing = HearingModels(Vad(paths.vad), TurnEnd(paths.turn_end), expecting.transcriber, expecting.expect)
    return hearing, load_speaker(config.tts, paths.voice)


class _Expecting:
    """The recognizer, and what is likely to be said."""

    def __init__(self, recognizer: Recognizer, config: StreamConfig) -> None:
        self._recognizer, self._config = recognizer, config

    def transcriber(self) -> Transcriber:
        return Transcriber(self._recognizer, self._config, lambda: self._recognizer)

    def expect(self, names: Sequence[str]) -> None:
        phrases = (*self._config.phrases, *names)
        self._recognizer = self._recognizer.biased_to(phrases, self._config.phrase_bonus)


def _llm_names(config: LlmConfig) -> list[str]:
    """The model and the adapter, if they are of the store."""
    if config.is_remote:
        return []
    model = [] if config.is_path else [config.model]
    return [*model, *_adapter_names(config)]


def _adapter_names(config: LlmConfig) -> list[str]:
    chosen = config.chosen_adapter
    return [] if chosen in (None, SHIPPED_ADAPTER) or config.adapter_is_path else [str(chosen)]


def _adapter_path(config: LlmConfig, found: Mapping[str, Path]) -> Path | None:
    chosen = config.chosen_adapter
    return None if chosen is None else found.get(chosen, Path(chosen))


def _llm_path(config: LlmConfig, found: dict[str, Path]) -> Path | None:
    if config.is_remote:
        return None
    return Path(config.model) if config.is_path else found[config.model]
