"""`assistant eval guards`: what guards against invented words take away, and what they let through."""

from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
import typer
from numpy.typing import NDArray
from rich.console import Console
from rich.table import Table

from asr.audio import RATE
from asr.eval.degrade import CONDITIONS, degrade
from asr.eval.evaluate import Recognizers, transcribe
from asr.eval.feed import Clocks
from asr.eval.guards import TEXTS, Kept, kept, unguarded
from asr.eval.nonspeech import FalseTranscripts, false_transcripts, nonspeech
from asr.vad import Vad
from assistant.audio import read_clip, to_asr_rate
from assistant.commands.evaluate import load_recognizers
from assistant.commands.preflight import labelled_clips
from assistant.commands.say import speak_text
from assistant.commands.transcribe import has_voice
from assistant.config import read_config
from assistant.models.speech import VAD, asr_paths, fetch, load_speaker, locate_voice
from assistant.models.store import ModelStore
from tts.stream import Speaker

_SILENCE = np.zeros(RATE // 4, np.float32)


class _Said(NamedTuple):
    kind: str
    text: str
    audio: NDArray[np.float32]  # [n] at 16 kHz


def run_evaluate_guards(folder: Path | None, config_path: Path | None) -> None:
    """Print how many words of repeats, digits and single words are lost, and what sounds become words.

    They are spoken by the configured voice, or are the clips of `folder`, in four conditions each. Raises the
    typed errors of what cannot be read or loaded.
    """
    config, store = read_config(config_path), ModelStore()
    if folder:
        spoken = _recorded(folder)
    else:
        spoken = _spoken(load_speaker(config.tts, locate_voice(config.tts, store)))
    loaded, vad = load_recognizers(asr_paths(store), config.asr), Vad(fetch(store, [VAD])[VAD])
    tail = np.zeros(config.asr.tail_ms * RATE // 1000, np.float32)
    results: dict[str, list[Kept]] = {}
    for said in spoken:
        for condition in CONDITIONS:
            audio = degrade(said.audio, condition, said.text)
            without = unguarded(loaded.full, np.concatenate([audio, tail]))  # the tail of the second pass
            guarded = _final(loaded, audio, config.asr.partial_ms)
            results.setdefault(said.kind, []).append(kept(said.text, without, guarded))

    def voiced(audio: NDArray[np.float32]) -> bool:
        vad.reset()
        return has_voice(vad, audio)

    def transcript(audio: NDArray[np.float32]) -> str:
        return _final(loaded, audio, config.asr.partial_ms)

    _print(results, false_transcripts(nonspeech(), transcript, voiced))


def _final(loaded: Recognizers, audio: NDArray[np.float32], partial_ms: int) -> str:
    return transcribe("final", loaded, audio, partial_ms, Clocks()).text


def _spoken(speaker: Speaker) -> Iterator[_Said]:
    for kind, texts in TEXTS.items():
        for text in texts:
            chunks = [chunk for chunk in speak_text(speaker, text) if len(chunk.audio)]
            audio = to_asr_rate(np.concatenate([chunk.audio for chunk in chunks]), chunks[0].sample_rate)
            yield _Said(kind, text, np.concatenate([_SILENCE, audio, _SILENCE]))


def _recorded(folder: Path) -> Iterator[_Said]:
    for clip in labelled_clips(folder):
        audio, rate = read_clip(clip)
        yield _Said("clips", clip.reference or "", to_asr_rate(audio, rate))


def _print(results: dict[str, list[Kept]], false: FalseTranscripts) -> None:
    table = Table("", box=None)
    for heading in ("readings", "words", "read without guards", "lost by guards"):
        table.add_column(heading, justify="right")
    for kind, each in results.items():
        lost = sum(len(one.lost) for one in each)
        figures = len(each), sum(one.words for one in each), sum(one.unguarded for one in each), lost
        table.add_row(kind, *map(str, figures))
    Console().print(table)
    typer.echo(
        f"text for {len(false.texts)} of {false.clips} sounds in which nothing is said, "
        f"{len(false.behind_vad)} behind the voice detector"
    )
