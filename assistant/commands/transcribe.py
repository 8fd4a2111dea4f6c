"""`assistant transcribe`: a recording to text, once or as partials while it goes on."""

from pathlib import Path

import numpy as np
import typer
from numpy.typing import NDArray

from asr.stream import Transcriber
from asr.vad import WINDOW, Vad
from assistant.audio import ASR_RATE, Resampler, read_audio
from assistant.config import read_config
from assistant.models import ModelStore
from assistant.speech_models import VAD, asr_paths, fetch, load_reader

_SEGMENT_S = 30  # of audio read at once: the model was trained on less
_VOICED = 0.5


def run_transcribe(path: Path, stream: bool, config_path: Path | None) -> None:
    """Print what is said in `path`, or "no speech"; with `stream` also the partials on the way."""
    config, store = read_config(config_path), ModelStore()
    audio, rate = read_audio(path)
    resampler = Resampler(rate)
    audio = np.concatenate([resampler.push(audio), resampler.flush()])
    if not has_voice(Vad(fetch(store, [VAD])[VAD]), audio):
        typer.echo("no speech")
        return
    reader = load_reader(asr_paths(store), config.asr)
    texts, start = [], 0
    for piece in _segments(audio):
        texts.append(_read(reader, piece, start, stream))
        start += len(piece)
    typer.echo(" ".join(text for text in texts if text) or "no speech")


def has_voice(vad: Vad, audio: NDArray[np.float32]) -> bool:
    """Whether any window of `audio` ([n] at 16 kHz) is voiced: the ASR model invents words for silence."""
    starts = range(0, len(audio) - WINDOW + 1, WINDOW)
    return any(vad.probability(audio[at : at + WINDOW]) >= _VOICED for at in starts)


def _read(reader: Transcriber, audio: NDArray[np.float32], start: int, stream: bool) -> str:
    """Read `audio`, sample `start` and on of the recording."""
    reader.begin()
    step = reader.config.partial_ms * ASR_RATE // 1000
    for end in range(step, len(audio), step) if stream else ():
        partial = reader.partial(audio[:end])
        typer.echo(f"{(start + end) / ASR_RATE:7.2f} s  {partial.stable} | {partial.unstable}")
    return reader.final(audio).text


def _segments(audio: NDArray[np.float32]) -> list[NDArray[np.float32]]:
    """Pieces of about 30 s, cut where the sound is weakest within the last third of each."""
    pieces, rest, longest = [], audio, _SEGMENT_S * ASR_RATE
    while len(rest) > longest:
        first, hop = longest * 2 // 3, ASR_RATE // 50
        energy = [float(np.square(rest[at : at + hop]).sum()) for at in range(first, longest - hop, hop)]
        cut = first + int(np.argmin(energy)) * hop + hop // 2
        pieces.append(rest[:cut])
        rest = rest[cut:]
    return [*pieces, rest]
