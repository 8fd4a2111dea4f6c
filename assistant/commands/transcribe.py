"""`assistant transcribe`: a recording to text, once or as partials while it goes on."""

from pathlib import Path

import numpy as np
import typer
from numpy.typing import NDArray

from asr.vad import WINDOW, Vad
from asr.words import Stretch
from assistant.audio.files import read_audio
from assistant.audio.resample import ASR_RATE, to_asr_rate
from assistant.config import read_config
from assistant.models.speech import VAD, asr_paths, fetch, load_reader
from assistant.models.store import ModelStore

_VOICED = 0.5


def run_transcribe(path: Path, stream: bool, config_path: Path | None) -> None:
    """Print what is said in `path`, or "no speech"; with `stream` also the partials on the way."""
    config, store = read_config(config_path), ModelStore()
    audio, rate = read_audio(path)
    audio = to_asr_rate(audio, rate)
    if not has_voice(Vad(fetch(store, [VAD])[VAD]), audio):
        typer.echo("no speech")
        return
    reader = load_reader(asr_paths(store), config.asr)
    step = reader.config.partial_ms * ASR_RATE // 1000
    for end in range(step, len(audio), step) if stream else ():
        partial = reader.partial(Stretch(audio[end - step : end], end - step))
        typer.echo(f"{end / ASR_RATE:7.2f} s  {partial.stable} | {partial.unstable}")
    typer.echo(reader.final(Stretch(audio)).text or "no speech")


def has_voice(vad: Vad, audio: NDArray[np.float32]) -> bool:
    """Whether any window of `audio` ([n] at 16 kHz) is voiced: the ASR model invents words for silence."""
    starts = range(0, len(audio) - WINDOW + 1, WINDOW)
    return any(vad.probability(audio[at : at + WINDOW]) >= _VOICED for at in starts)
