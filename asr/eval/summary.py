"""The figures of a set of clips out of those of each, as numbers that JSON can hold."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

import numpy as np

from asr.eval.readings import Cell, ClipResult
from asr.eval.score import WordErrors, total


def report(results: Mapping[Cell, Sequence[ClipResult]]) -> dict[str, Any]:
    """By reader, then by condition: the summary and the clips."""
    readers: dict[str, Any] = {}
    for (reader, condition), clips in results.items():
        cell = {"summary": summary(clips), "clips": [clip_figures(clip) for clip in clips]}
        readers.setdefault(reader, {})[condition] = cell
    return readers


def summary(clips: Sequence[ClipResult]) -> dict[str, Any]:
    """The set's figures; rates are weighted by length, quantiles are None of nothing."""
    readings, audio_s = [clip.reading for clip in clips], sum(clip.audio_s for clip in clips)
    characters = total(clip.characters for clip in clips)
    return {
        "clips": len(clips),
        "audio_s": audio_s,
        "wer": total(clip.words for clip in clips).wer,
        "cer": characters.wer,
        "words": _errors(total(clip.words for clip in clips)),
        "characters": _errors(characters),
        "numbers": _errors(total(clip.kinds.numbers for clip in clips)),
        "names": _errors(total(clip.kinds.names for clip in clips)),
        "others": _errors(total(clip.kinds.others for clip in clips)),
        "invented": [clip.name for clip in clips if clip.invented],
        "repeated": [clip.name for clip in clips if clip.repeated],
        "cpu_real_time_factor": _rate(sum(reading.cpu_ms for reading in readings) / 1000, audio_s),
        "wall_real_time_factor": _rate(sum(reading.wall_ms for reading in readings) / 1000, audio_s),
        "ms": quantiles([reading.wall_ms for reading in readings]),
        "final_ms": quantiles([reading.final_ms for reading in readings]),
        **_streamed(clips, audio_s),
    }


def clip_figures(clip: ClipResult) -> dict[str, Any]:
    """What JSON holds of one clip."""
    figures = {
        "file": clip.name,
        "reference": clip.reference,
        "transcript": clip.reading.text,
        "wer": clip.words.wer,
        "cer": clip.characters.wer,
        "words": asdict(clip.words),
        "invented": list(clip.invented),
        "repeated": list(clip.repeated),
        "audio_s": clip.audio_s,
        "ms": clip.reading.wall_ms,
        "cpu_ms": clip.reading.cpu_ms,
        "final_ms": clip.reading.final_ms,
    }
    if clip.latency is None:
        return figures
    delays = {"stable_ms": list(clip.latency.stable_ms), "settled_ms": list(clip.latency.settled_ms)}
    return {**figures, "partials": len(clip.reading.shown), **asdict(clip.latency), **delays}


def quantiles(values: Sequence[float]) -> dict[str, float | None]:
    """Median and 95th percentile, None of nothing."""
    if not values:
        return {"p50": None, "p95": None}
    return {"p50": float(np.percentile(values, 50)), "p95": float(np.percentile(values, 95))}


def _streamed(clips: Sequence[ClipResult], audio_s: float) -> dict[str, Any]:
    """What only a reader that shows partials has."""
    each = [clip.latency for clip in clips if clip.latency is not None]
    if not each:
        return {}
    partials = [partial for clip in clips for partial in clip.reading.shown]
    firsts = [one.first_partial_ms for one in each if one.first_partial_ms is not None]
    by_partial = [ms for one in each for ms in one.stable_ms]
    delays = by_partial + [ms for one in each for ms in one.settled_ms]
    shown, revised = sum(one.shown for one in each), sum(one.revised for one in each)
    return {
        "first_partial_ms": {**quantiles(firsts), "clips": len(firsts)},
        "stable_word_ms": {**quantiles(delays), "words": len(delays)},
        "stable_by_partial_ms": {**quantiles(by_partial), "words": len(by_partial)},
        "revision_rate": _rate(revised, shown),
        "words_shown": shown,
        "words_revised": revised,
        "stable_words": sum(one.stable for one in each),
        "stable_retracted": sum(one.retracted for one in each),
        "stable_contradicted": sum(one.contradicted for one in each),
        "partials_per_s": _rate(len(partials), audio_s),
        "partial_ms": quantiles([partial.compute_ms for partial in partials]),
    }


def _rate(part: float, whole: float) -> float:
    return part / whole if whole else 0.0


def _errors(errors: WordErrors) -> dict[str, Any]:
    return {"wer": errors.wer, **asdict(errors)}
