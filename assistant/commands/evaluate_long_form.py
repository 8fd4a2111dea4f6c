"""`assistant eval long-form`: many minutes, transcribed as they come: words lost, work a minute, memory."""

from dataclasses import asdict
from pathlib import Path

import numpy as np
import psutil
import typer
from numpy.typing import NDArray
from rich.console import Console
from rich.table import Table

from asr.audio import RATE, AudioSpan
from asr.eval.feed import Clocks
from asr.eval.long_form import LongFormResult, Minute, join_recordings, transcribe_long_form
from assistant.audio import Clip, read_clip, to_asr_rate
from assistant.commands.preflight import check_file, labelled_clips
from assistant.config import read_config
from assistant.models.speech import asr_paths, load_transcriber
from assistant.models.store import ModelStore
from assistant.runtime.machine import machine
from assistant.trace.summary import ReportError, write_json


def run_evaluate_long_form(folder: Path, minutes: float, json: Path | None, config_path: Path | None) -> None:
    """Join the clips of `folder` to `minutes` of audio and transcribe it in steps.

    Raises the typed errors of what cannot be read or loaded.
    """
    config = read_config(config_path)
    check_file(json, ReportError)
    clips = [(_voice(clip), clip.reference or "") for clip in labelled_clips(folder)]
    audio, text = join_recordings(clips, minutes)
    transcriber = load_transcriber(asr_paths(ModelStore()), config.asr)
    transcriber.final(AudioSpan(audio[:RATE]))  # warm-up: memory that is taken once is not counted
    result = transcribe_long_form(transcriber, audio, text, config.asr.partial_ms, Clocks(), _resident_mb)
    if json:
        content = asdict(result) | {"wer": result.words.wer}
        write_json(json, {"machine": machine(), "long_form": content})
    _print(result)


def _voice(clip: Clip) -> NDArray[np.float32]:
    """What is said in `clip`, at 16 kHz, without the silence around it where a label tells that."""
    audio, rate = read_clip(clip)
    first, end = clip.speech_start_sample or 0, clip.speech_end_sample or len(audio)
    return to_asr_rate(audio[first:end], rate)


def _resident_mb() -> float:
    resident: int = psutil.Process().memory_info().rss
    return resident / 1e6


def _print(result: LongFormResult) -> None:
    table = Table("minute", "share of a core", "partial ms p50", "p95", "memory MB", box=None)
    for number, minute in enumerate(result.minutes, 1):
        table.add_row(str(number), *_cells(minute))
    Console().print(table)
    words = result.words
    typer.echo(
        f"word error rate {words.wer:.2%}: of {words.reference_words} words {words.substitutions} wrong, "
        f"{words.deletions} lost, {words.insertions} too many"
    )


def _cells(minute: Minute) -> tuple[str, str, str, str]:
    middle, late = np.percentile(minute.partial_ms, [50, 95])
    return f"{minute.cpu_share:.1%}", f"{middle:.1f}", f"{late:.1f}", f"{minute.resident_mb:.0f}"
