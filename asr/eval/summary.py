"""The figures of a set of clips out of those of each, as numbers that JSON can hold."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

import numpy as np

from asr.eval.evaluate import Cell, ClipResult
from asr.eval.score import WordErrors, total


def report(results: Mapping[Cell, Sequence[ClipResult]]) -> dict[str, Any]:
    """By mode, then by condition: the summary and the clips."""
    modes: dict[str, Any] = {}
    for (mode, condition), clips in results.items():
        cell = {"summary": summary(clips), "clips": [clip_figures(clip) for clip in clips]}
        modes.setdefault(mode, {})[condition] = cell
    return modes


def summary(clips: Sequence[ClipResult]) -> dict[str, Any]:
    """The set's figures; rates are weighted by length, quantiles are None of nothing."""
    transcripts, audio_s = [clip.transcript for clip in clips], sum(clip.audio_s for clip in clips)
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
        "hallucinated": [clip.name for clip in clips if clip.hallucinated],
        "repeated": [clip.name for clip in clips if clip.repeated],
        "cpu_real_time_factor": _rate(sum(transcript.cpu_ms for transcript in transcripts) / 1000, audio_s),
        "wall_real_time_factor": _rate(sum(transcript.wall_ms for transcript in transcripts) / 1000, audio_s),
        "ms": quantiles([transcript.wall_ms for transcript in transcripts]),
        "final_ms": quantiles([transcript.final_ms for transcript in transcripts]),
        **_streamed(clips, audio_s),
    }


def clip_figures(clip: ClipResult) -> dict[str, Any]:
    """What JSON holds of one clip."""
    figures = {
        "file": clip.name,
        "reference": clip.reference,
        "transcript": clip.transcript.text,
        "wer": clip.words.wer,
        "cer": clip.characters.wer,
        "words": asdict(clip.words),
        "hallucinated": list(clip.hallucinated),
        "repeated": list(clip.repeated),
        "audio_s": clip.audio_s,
        "ms": clip.transcript.wall_ms,
        "cpu_ms": clip.transcript.cpu_ms,
        "final_ms": clip.transcript.final_ms,
    }
    if clip.latency is None:
        return figures
    delays = {"stable_ms": list(clip.latency.stable_ms), "at_final_ms": list(clip.latency.at_final_ms)}
    return {**figures, "partials": len(clip.transcript.shown), **asdict(clip.latency), **delays}


def quantiles(values: Sequence[float]) -> dict[str, float | None]:
    """Median and 95th percentile, None of nothing."""
    if not values:
        return {"p50": None, "p95": None}
    return {"p50": float(np.percentile(values, 50)), "p95": float(np.percentile(values, 95))}


def _streamed(clips: Sequence[ClipResult], audio_s: float) -> dict[str, Any]:
    """What only a mode that shows partials has."""
    each = [clip.latency for clip in clips if clip.latency is not None]
    if not each:
        return {}
    partials = [partial for clip in clips for partial in clip.transcript.shown]
    firsts = [one.first_partial_ms for one in each if one.first_partial_ms is not None]
    by_partial = [ms for one in each for ms in one.stable_ms]
    delays = by_partial + [ms for one in each for ms in one.at_final_ms]
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
