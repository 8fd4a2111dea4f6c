"""The models of speech recognition and synthesis, none of which needs torch: paths and loading."""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from asr.load import open_recognizer
from asr.recognizer import Recognizer
from asr.stream import StreamConfig, Transcriber
from assistant.models.progress import fetch_with_bar
from assistant.models.store import ModelStore, cache_dir
from assistant.runtime.machine import has_slow_int8
from tts.stream import Speaker, SpeakerConfig
from tts.voice import Voice
from tts.voices import DEFAULT

VAD = "silero-vad-v6"
TURN_END = "smart-turn-v3.2"
ASR = ("moonshine-tiny-en-encoder", "moonshine-tiny-en-decoder", "moonshine-tiny-en-tokenizer")


@dataclass(frozen=True)
class AsrPaths:
    """The three files of the ASR model."""

    encoder: Path
    decoder: Path
    vocabulary: Path


def fetch(store: ModelStore, names: list[str]) -> dict[str, Path]:
    """Where each model lies, verified; what is missing is fetched with a progress bar first.

    Raises ModelStoreError.
    """
    fetch_with_bar(store, names)
    with ThreadPoolExecutor() as pool:  # hashing releases the GIL
        return dict(zip(names, pool.map(store.path, names), strict=True))


def asr_paths(store: ModelStore) -> AsrPaths:
    """The files of the ASR model; raises ModelStoreError."""
    return pick_asr(fetch(store, list(ASR)))


def pick_asr(found: dict[str, Path]) -> AsrPaths:
    """The files of the ASR model out of all that were fetched."""
    encoder, decoder, vocabulary = (found[name] for name in ASR)
    return AsrPaths(encoder, decoder, vocabulary)


def load_recognizer(paths: AsrPaths, config: StreamConfig | None = None) -> Recognizer:
    """The ASR models, their graphs prepared in the user's cache, or the user's own; raises ModelFileError.

    They expect the phrases of `config`, and none without one.
    """
    if config and config.checkpoint:
        from asr.load_checkpoint import open_checkpoint  # noqa: PLC0415  # the hub's library takes 0.2 s

        models = open_checkpoint(config.checkpoint)
    else:
        models = open_recognizer(
            paths.encoder,
            paths.decoder,
            paths.vocabulary,
            cache=cache_dir() / "asr-graphs",
            audio_weights="float32" if has_slow_int8() else "int8",
        )
    return models.biased_to(config.phrases, config.phrase_bonus) if config else models


def load_transcriber(paths: AsrPaths, config: StreamConfig) -> Transcriber:
    """The ASR models, as a session uses them."""
    return Transcriber(load_recognizer(paths, config), config)


def voice_model(config: SpeakerConfig) -> str | None:
    """The store's name of the voice's model; None for the one that comes with Hibari's package."""
    return None if config.voice == DEFAULT else f"hibari-{config.voice}"


def locate_voice(config: SpeakerConfig, store: ModelStore) -> Path | None:
    """Where the voice's model is, as `load_speaker` wants it; raises ModelStoreError."""
    name = voice_model(config)
    return fetch(store, [name])[name] if name else None


def load_speaker(config: SpeakerConfig, model: Path | None) -> Speaker:
    """The voice, warmed up; raises TtsError."""
    speaker = Speaker(Voice(config.voice, model=model), config)
    speaker.warm_up()
    return speaker
