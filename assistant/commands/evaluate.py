"""`assistant eval asr`: how well and how soon the recognizer transcribes recordings whose text is known."""

import sys
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import typer
from numpy.typing import NDArray
from rich.console import Console
from rich.progress import track

from asr.audio import RATE
from asr.eval.degrade import CONDITIONS, Condition
from asr.eval.evaluate import MODES, Mode, Plan, Recognizers, Recording, evaluate, transcribe
from asr.eval.feed import Clocks
from asr.eval.nonspeech import FalseTranscripts, false_transcripts, nonspeech
from asr.eval.summary import report
from asr.stream import StreamConfig, Transcriber
from asr.vad import Vad
from assistant.audio import Clip, read_clip, to_asr_rate
from assistant.commands.evaluate_table import print_results
from assistant.commands.preflight import check_file, labelled_clips
from assistant.commands.transcribe import has_voice
from assistant.config import read_config
from assistant.models.speech import ASR, VAD, AsrPaths, asr_paths, fetch, load_recognizer
from assistant.models.store import ModelStore
from assistant.runtime.machine import machine
from assistant.spelling import nearest
from assistant.trace.summary import ReportError, write_json

_SILENCE_BEHIND_MS = 160
"""A labelled clip is fed as in a session: from shortly before the voice to when a pause is noticed."""

_T = TypeVar("_T")
_Name = TypeVar("_Name", bound=str)


def run_evaluate_asr(
    folder: Path,
    json: Path | None,
    config_path: Path | None,
    conditions: str = "clean",
    modes: str = "all",
    noise: bool = False,
) -> None:
    """Transcribe every clip of `folder` in each condition and mode, score it, and print the totals.

    `conditions` and `modes` are names with commas between, or "all"; with `noise`, sounds in which nothing
    is said are transcribed as well. Loads no model but the recognizer and, for `noise`, the voice detector.

    Raises typer.BadParameter for an unknown name, the typed errors of what cannot be read or loaded, and
    ClipError also for a clip without a text.
    """
    config = read_config(config_path)
    plan = Plan(mode_names(modes), condition_names(conditions), config.asr.partial_ms)
    clips = labelled_clips(folder)
    check_file(json, ReportError)
    store = ModelStore()
    vad = Vad(fetch(store, [VAD])[VAD]) if noise else None
    loaded = load_recognizers(asr_paths(store), config.asr)
    results = evaluate(_recordings(clips, config.asr.pre_roll_ms), loaded, plan)
    false = _transcribe_noise(loaded, plan, vad) if vad else {}
    if json:
        names = (*ASR, VAD) if noise else ASR
        models = [{"name": name, "sha256": store.catalog[name].sha256} for name in names]
        content = {"machine": machine(), "models": models, **report(results), **_noise_report(false)}
        write_json(json, content)
    print_results(results, false)


def load_recognizers(paths: AsrPaths, config: StreamConfig) -> Recognizers:
    """The three modes over models that are loaded once."""
    models = load_recognizer(paths, config)
    streaming, final = (Transcriber(models, replace(config, second_pass=second)) for second in (False, True))
    return Recognizers(streaming, final, models)


def condition_names(text: str) -> tuple[Condition, ...]:
    """The conditions that `text` names; raises typer.BadParameter."""
    return _names("--conditions", text, CONDITIONS)


def mode_names(text: str) -> tuple[Mode, ...]:
    """The modes that `text` names; raises typer.BadParameter."""
    return _names("--modes", text, MODES)


def _names(option: str, text: str, known: Sequence[_Name]) -> tuple[_Name, ...]:
    """In the order of `known`, each once."""
    wanted = {name.strip() for name in text.split(",")}
    for name in sorted(wanted - {*known, "all"}):
        hint = nearest(name, [*known, "all"])
        raise typer.BadParameter(f"{option}: {name!r} is none of {', '.join(known)} or all{hint}")
    return tuple(known) if "all" in wanted else tuple(name for name in known if name in wanted)


def _recordings(clips: Sequence[Clip], pre_roll_ms: int) -> Iterator[Recording]:
    for clip in _track(clips, "transcribing"):
        audio, rate = read_clip(clip)
        audio = to_asr_rate(audio, rate)
        start, end = (
            None if sample is None else sample * RATE // rate
            for sample in (clip.speech_start_sample, clip.speech_end_sample)
        )
        first = 0 if start is None else max(0, start - pre_roll_ms * RATE // 1000)
        last = len(audio) if end is None else end + _SILENCE_BEHIND_MS * RATE // 1000
        voice_start = None if start is None else start - first
        yield Recording(clip.name, audio[first:last], clip.reference or "", voice_start)


def _transcribe_noise(recognizers: Recognizers, plan: Plan, vad: Vad) -> dict[Mode, FalseTranscripts]:
    def voiced(audio: NDArray[np.float32]) -> bool:
        vad.reset()
        return has_voice(vad, audio)

    def transcript(mode: Mode, audio: NDArray[np.float32]) -> str:
        return transcribe(mode, recognizers, audio, plan.partial_ms, Clocks()).text

    sounds = nonspeech()
    return {
        mode: false_transcripts(sounds, partial(transcript, mode), voiced)
        for mode in _track(plan.modes, "transcribing noise")
    }


def _noise_report(false: dict[Mode, FalseTranscripts]) -> dict[str, Any]:
    return {"noise": {mode: found.to_dict() for mode, found in false.items()}} if false else {}


def _track(items: Sequence[_T], what: str) -> Iterable[_T]:
    bar = Console(stderr=True)
    return track(items, what, console=bar, transient=True, disable=not sys.stderr.isatty())
