"""The table of the bench."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from rich.table import Table

from asr.eval.score import WordErrors, total
from assistant.microphone.bench.figures import Detection

WITHIN_MS = (300, 600, 1000)


@dataclass(frozen=True)
class Result:
    """What an arm made of some scenes."""

    arm: str
    gain_db: float
    clipping: bool
    detections: tuple[Detection, ...]
    first_db: tuple[float, ...]
    """Echo taken out in the first second of each conversation's first reply."""
    later_db: tuple[float, ...]
    """The same of all replies, without their first seconds."""
    detect_db: tuple[float, ...]
    """The same in what the voice detector hears."""
    words: tuple[WordErrors, ...]
    ms_per_s: float
    """Processor time for a second of audio."""

    @property
    def self_stops(self) -> int:
        """Replies' interruptions before anyone spoke."""
        return sum(len(each.self_stops) for each in self.detections)

    @property
    def barges_ms(self) -> list[float]:
        """How long each barge-in took to be heard."""
        return [each.barge_ms for each in self.detections if each.barge_ms is not None]


def together(results: Sequence[Result]) -> Result:
    """All results of one arm."""
    return Result(
        results[0].arm,
        float("nan"),
        False,
        tuple(each for result in results for each in result.detections),
        tuple(each for result in results for each in result.first_db),
        tuple(each for result in results for each in result.later_db),
        tuple(each for result in results for each in result.detect_db),
        tuple(each for result in results for each in result.words),
        float(np.mean([result.ms_per_s for result in results])),
    )


def table(results: Sequence[Result]) -> Table:
    """A row for each arm and kind of room, and one for each arm."""
    made = Table(title="Echo cancellation")
    made.add_column("canceller", no_wrap=True)
    headings = ("echo dB", "first s dB", "later dB", "detector dB", "self", "barge-ins")
    for heading in (*headings, *(f"<= {ms} ms" for ms in WITHIN_MS), "WER %", "words", "ms/s"):
        made.add_column(heading, justify="right")
    for arm in dict.fromkeys(result.arm for result in results):
        own = [result for result in results if result.arm == arm]
        for result in own:
            made.add_row(*_cells(result, f"{result.gain_db:+.0f}{' clip' if result.clipping else ''}"))
        made.add_row(*_cells(together(own), "all"), end_section=True, style="bold")
    return made


def _cells(result: Result, room: str) -> list[str]:
    barges = np.array(result.barges_ms)
    errors = total(result.words)
    return [
        result.arm,
        room,
        _median(result.first_db),
        _median(result.later_db),
        _median(result.detect_db),
        str(result.self_stops),
        str(len(barges)),
        *(f"{100 * (barges <= ms).mean():.0f} %" if len(barges) else "-" for ms in WITHIN_MS),
        f"{100 * errors.wer:.1f}",
        str(errors.reference_words),
        f"{result.ms_per_s:.1f}",
    ]


def _median(values: Sequence[float]) -> str:
    return f"{np.median(values):.0f}" if values else "-"
