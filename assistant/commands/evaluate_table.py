"""What `assistant eval asr` prints: a row a condition and mode, and what went wrong most."""

from collections.abc import Mapping, Sequence
from itertools import islice
from typing import Any

import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

from asr.eval.evaluate import Cell, ClipResult, Mode, worst
from asr.eval.nonspeech import FalseTranscripts
from asr.eval.summary import summary

_WORST = 3  # clips shown
_HALLUCINATED = 5  # clips shown with a hallucination
_LEGEND = """\
WER, num., names: % wrong of all words, of numbers, of names; CER: of characters
hal.: clips with a hallucinated or repeated phrase; CPU: % of a core, real time
ms: final text after the last partial; first partial after speech begins; from a
word's end until it is stable (p50/p95); rev.: % of shown words taken back"""


def print_results(
    results: Mapping[Cell, Sequence[ClipResult]], false: Mapping[Mode, FalseTranscripts]
) -> None:
    """One screen."""
    _print_worst(results)
    _print_hallucinated(results)
    table = Table("", "", box=None, padding=(0, 1, 0, 0))
    for heading in ("WER", "num.", "names", "CER", "hal.", "CPU", "final", "first", "stable", "rev."):
        table.add_column(heading, justify="right", no_wrap=True)
    for place, ((mode, condition), clips) in enumerate(results.items()):
        new = place == 0 or condition != list(results)[place - 1][1]
        table.add_row(condition if new else "", mode, *_figures(summary(clips)))
    Console().print(table)
    typer.echo(_LEGEND)
    for mode, found in false.items():
        typer.echo(
            f"{mode}: text for {len(found.texts)} of {found.clips} sounds in which nothing is said, "
            f"{len(found.behind_vad)} behind the voice detector"
        )
    first = next(iter(results.values()))
    typer.echo(f"{len(first)} clips, {sum(clip.audio_s for clip in first):.0f} s of audio")


def _figures(figures: dict[str, Any]) -> list[str]:
    stable, first = figures.get("stable_word_ms"), figures.get("first_partial_ms", {})
    return [
        _percent(figures["wer"]),
        _of_any(figures["numbers"]),
        _of_any(figures["names"]),
        _percent(figures["cer"]),
        str(len({*figures["hallucinated"], *figures["repeated"]})),
        f"{100 * figures['cpu_real_time_factor']:.0f}",
        _ms(figures["final_ms"]["p50"]),
        _ms(first.get("p50")),
        f"{_ms(stable['p50'])}/{_ms(stable['p95'])}" if stable and stable["words"] else "",
        _percent(figures["revision_rate"]) if stable else "",
    ]


def _of_any(errors: dict[str, Any]) -> str:
    return _percent(errors["wer"]) if errors["reference_words"] else "-"


def _percent(rate: float) -> str:
    """Three digits: 1.23, 12.3, 123."""
    per_cent = 100 * rate
    return (
        f"{per_cent:.2f}"
        if per_cent < 9.995
        else f"{per_cent:.1f}"
        if per_cent < 99.95
        else f"{per_cent:.0f}"
    )


def _ms(value: float | None) -> str:
    return "" if value is None else f"{value:.0f}"


def _print_worst(results: Mapping[Cell, Sequence[ClipResult]]) -> None:
    """The worst clips of the first condition, in the mode that the assistant uses if that was asked for."""
    cell = next((cell for cell in results if cell[0] == "final"), next(iter(results)))
    clips = worst(results[cell], _WORST)
    if clips:
        table = Table(f"worst, {' '.join(cell)}", "errors", "said", "transcribed", box=None)
        for clip in clips:
            errors = f"{clip.word_edits} of {clip.words.reference_words}"
            # As Text: rich takes brackets in a transcript for markup.
            table.add_row(*map(Text, (clip.name, errors, clip.reference, clip.transcript.text)))
        Console().print(table)


def _print_hallucinated(results: Mapping[Cell, Sequence[ClipResult]]) -> None:
    found = (
        f"hallucinated or repeated, {mode} {condition}, {clip.name}: {' / '.join(phrases)}"
        for (mode, condition), clips in results.items()
        for clip in clips
        if (phrases := clip.hallucinated + clip.repeated)
    )
    for line in islice(found, _HALLUCINATED):
        typer.echo(line)
