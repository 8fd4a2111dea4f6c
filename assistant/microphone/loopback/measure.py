"""From what was played and recorded to what is known about the way between them: no device, no clock."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from asr.audio import RATE
from assistant.audio import to_asr_rate
from assistant.microphone.echo.canceller import EchoCanceller
from assistant.microphone.loopback.cancelled import Cancelled, cancel
from assistant.microphone.loopback.chirps import EARLIEST, Heard, find, fine, groups, in_played, matched
from assistant.microphone.loopback.drift import Drift, jump_s, measure_drift
from assistant.microphone.loopback.loudness import (
    clipped,
    echo_gains,
    is_louder,
    level_dbfs,
    quartile_dbfs,
    windows_dbfs,
)
from assistant.microphone.loopback.signals import CHIRP_S, LEAD_S, SLOT_S
from assistant.microphone.loopback.take import Take

_LOUDER_DB = 6.0  # one chirp's echo than the others
_BURST_DB = 20.0  # over the room's noise, in the silence before the chirps


@dataclass(frozen=True)
class Echo:
    """What was played, in what was recorded."""

    delay_ms: float
    """From the stated time of a sound to that of its record: the air, and buffers that are not stated."""
    gain_db: float
    """Of chirps, against what was played, all reflections included."""
    reply_dbfs: float
    """The reply in the microphone."""
    drift: Drift | None
    """None where the echo jumped, or one group of chirps was not found."""
    jump_ms: float
    """By how much later it came at once; 0 where it did not."""
    cancelled: Cancelled


@dataclass(frozen=True)
class Findings:
    """What a take shows."""

    zeros: bool
    """The microphone gave nothing but zeros."""
    clipped: int
    """Samples of the microphone at full scale."""
    noise_dbfs: float
    """The room before anything was played."""
    disturbed: bool
    """Something else was heard."""
    echo: Echo | None
    """None where the chirps were not found."""


def measure(take: Take, open_canceller: Callable[[], EchoCanceller]) -> Findings:
    """Measure a take of the programme of signals.py; `open_canceller` gives one that is new."""
    recorded = to_asr_rate(take.recorded, take.recorded_rate)
    played = to_asr_rate(take.played, take.played_rate)
    shift = (take.played_ns - take.recorded_ns) * RATE / 1e9
    sent, came = matched(played), matched(recorded)
    chirps = in_played(sent)
    lead = _lead(chirps, shift)
    noise_dbfs = quartile_dbfs(recorded[lead])
    disturbed = bool(windows_dbfs(recorded[lead]).max() > noise_dbfs + _BURST_DB)
    echo, heard = None, find(came, chirps, shift)
    if heard is not None:
        gains = echo_gains(recorded, lead, heard)
        at, back = fine(sent, heard.played), fine(came, heard.recorded) - heard.straight
        delay = float(np.median(back - at) - shift)
        said = _reply(chirps)
        reply = slice(*(max(0, round(at + shift + delay)) for at in (said.start, said.stop)))
        gain_db = float(np.median(gains))
        cancelled = cancel(open_canceller(), recorded, played, shift, reply, noise_dbfs)
        disturbed |= cancelled.disturbed or bool(gains.max() > gain_db + _LOUDER_DB)
        disturbed |= is_louder(recorded[reply], played[said], gain_db, noise_dbfs)
        jump = jump_s(at, back)
        echo = Echo(
            delay * 1000 / RATE,
            gain_db,
            level_dbfs(recorded[reply]),
            None if jump or not _at_both_ends(chirps, heard) else measure_drift(at, back),
            jump * 1000,
            cancelled,
        )
    return Findings(not take.recorded.any(), clipped(take.recorded), noise_dbfs, disturbed, echo)


def _lead(chirps: Sequence[int], shift: float) -> slice:
    """The samples of the recording before the first chirp can have come."""
    end = max(0, round(chirps[0] + shift) + EARLIEST) if chirps else 0
    return slice(max(0, end - round(LEAD_S * RATE) - 2 * EARLIEST), end)


def _reply(chirps: Sequence[int]) -> slice:
    """The samples of the reply in what was played."""
    (*_, first), *rest = ([chirps[number] for number in group] for group in groups(chirps))
    start = first + round(SLOT_S * RATE)
    end = rest[0][0] - round(CHIRP_S * RATE) if rest else start
    return slice(start, end)


def _at_both_ends(chirps: Sequence[int], heard: Heard) -> bool:
    """Whether chirps were found before and behind the reply."""
    return all({chirps[number] for number in group} & set(heard.played) for group in groups(chirps))
