"""`assistant eval asr`: how many errors the recognizer makes on recordings whose text is known."""

import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import typer
from rich.console import Console
from rich.progress import track
from rich.table import Table
from rich.text import Text

from asr.eval import Evaluation, Recording, evaluate
from assistant.audio import Resampler
from assistant.clips import INDEX, Clip, ClipError, read_clip
from assistant.commands.preflight import check_file, readable_clips
from assistant.config import read_config
from assistant.machine import machine
from assistant.models import ModelStore
from assistant.report import ReportError, write_json
from assistant.speech_models import ASR, asr_paths, load_reader

_WORST = 5  # clips shown


def run_evaluate_asr(folder: Path, json: Path | None, config_path: Path | None) -> None:
    """Transcribe every clip of `folder`, score it, print the totals; loads no model but the recognizer.

    Raises the typed errors of what cannot be read or loaded; ClipError also for a clip without a text.
    """
    config = read_config(config_path)
    clips = readable_clips([folder])
    for clip in clips:
        if clip.reference is None:
            raise ClipError(f'{clip.path}: nothing to compare with: no "text" for it in an {INDEX}')
    check_file(json, ReportError)
    store = ModelStore()
    result = evaluate(_recordings(clips), load_reader(asr_paths(store), config.asr))
    if json:
        models = [{"name": name, "sha256": store.catalog[name].sha256} for name in ASR]
        write_json(json, {"machine": machine(), "models": models, **result.to_dict()})
    _print(result)


def _recordings(clips: Sequence[Clip]) -> Iterator[Recording]:
    bar = Console(stderr=True)
    for clip in track(clips, "transcribing", console=bar, transient=True, disable=not sys.stderr.isatty()):
        audio, rate = read_clip(clip)
        resampler = Resampler(rate)
        yield clip.name, np.concatenate([resampler.push(audio), resampler.flush()]), clip.reference or ""


def _print(result: Evaluation) -> None:
    worst = result.worst(_WORST)
    if worst:
        table = Table("worst", "errors", "said", "read", box=None)
        for clip in worst:
            errors = f"{clip.word_edits} of {clip.words.reference_words}"
            # As Text: rich takes brackets in a transcript for markup.
            table.add_row(*map(Text, (clip.name, errors, clip.reference, clip.transcript)))
        Console().print(table)
    summary = result.to_dict()["summary"]
    typer.echo(f"{summary['clips']} clips, {summary['audio_s']:.0f} s of audio")
    typer.echo(f"word error rate {summary['wer']:.2%}, character error rate {summary['cer']:.2%}")
    ms, factor = summary["ms"], summary["real_time_factor"]
    typer.echo(f"{ms['p50']:.0f} ms a clip (p95 {ms['p95']:.0f}), {factor:.3f} of real time")
