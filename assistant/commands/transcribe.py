"""`assistant transcribe`: a recording to text, once or as partials while it goes on."""

from pathlib import Path

import numpy as np
import typer
from numpy.typing import NDArray

from asr.audio import RATE, AudioSpan
from asr.vad import WINDOW, Vad
from assistant.audio import read_audio, to_asr_rate
from assistant.config import read_config
from assistant.models.speech import VAD, asr_paths, fetch, load_transcriber
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
    transcriber = load_transcriber(asr_paths(store), config.asr)
    step = transcriber.config.partial_ms * RATE // 1000
    shown = ""
    for end in range(step, len(audio), step) if stream else ():
        partial = transcriber.partial(AudioSpan(audio[end - step : end], end - step))
        words = f"{partial.stable} | {partial.unstable}"
        if words != shown:  # in a pause nothing changes
            typer.echo(f"{end / RATE:7.2f} s  {words}")
        shown = words
    typer.echo(transcriber.final(AudioSpan(audio)).text or "no speech")


def has_voice(vad: Vad, audio: NDArray[np.float32]) -> bool:
    """Whether any window of `audio` ([n] at 16 kHz) is voiced: the recognizer hallucinates in silence."""
    starts = range(0, len(audio) - WINDOW + 1, WINDOW)
    return any(vad.probability(audio[at : at + WINDOW]) >= _VOICED for at in starts)
