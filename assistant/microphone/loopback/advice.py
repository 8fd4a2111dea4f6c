"""What a measurement means, a line each, with what to change."""

from collections.abc import Iterator
from math import inf

from assistant.doctor.checks import Check
from assistant.microphone.devices.errors import OnlyZeros
from assistant.microphone.echo.drift import LARGEST_PPM
from assistant.microphone.echo.duplex import MONITOR, UNKNOWN, Duplex, Evidence, judge
from assistant.microphone.loopback.chirps import LATEST_MS
from assistant.microphone.loopback.measure import Echo, Findings
from assistant.microphone.loopback.take import Take

LOUD_DBFS = -18.0
"""A reply in the microphone from which a voice over it is heard late: 10 dB over one of -28 dBFS, which is
what the bench's users have (see `assistant.microphone.bench`)."""
AUDIBLE_DB = 6.0
"""Over the room's noise, below which a reply is hard to hear where the microphone is."""
DEAF_DBFS = -90.0
"""A room that is quieter than any: the microphone is turned off, and only its converter is heard."""
_GAPS = "close other programs, or let the devices hold more: latency_ms under [microphone]"
_LOUDER = "turn the loudspeaker up, or find a room with less noise"
_QUIETER = "turn the loudspeaker down, or move it away from the microphone"


def advise(take: Take, findings: Findings) -> list[Check]:
    """What was found, in the order of the way; `remedy` is empty where nothing is to be changed."""
    if findings.echo and findings.echo.cancelled.duplex == MONITOR:
        return [_reason("microphone", MONITOR)]  # nothing else that was found is about a microphone
    faults = list(_faults(take, findings))
    if findings.disturbed and not faults:  # they look alike
        faults.append(
            Check("quiet", "warn", "something else was heard, as a voice", "measure again, in silence")
        )
    return [*_rows(take, findings), *faults]


def _rows(take: Take, findings: Findings) -> Iterator[Check]:
    yield _microphone(findings)
    if findings.zeros:
        return
    yield _loudspeaker(findings)
    if findings.echo:
        yield _round_trip(take, findings.echo)
        yield _drift(findings.echo)
        yield _cancellation(findings.echo)


def _microphone(findings: Findings) -> Check:
    name, noise = "microphone", f"the room's noise is {findings.noise_dbfs:.0f} dBFS"
    if findings.zeros:
        return Check(name, "fail", "it gives nothing but zeros", OnlyZeros("").remedy)
    if findings.noise_dbfs < DEAF_DBFS and findings.echo is None:
        return Check(name, "fail", f"it hears nothing: {noise}", "unmute it, or turn its input level up")
    if findings.clipped:
        found = f"{findings.clipped} samples are clipped at full scale"
        return Check(name, "warn", found, f"turn the microphone's input level down; or {_QUIETER}")
    return Check(name, "ok", noise)


def _loudspeaker(findings: Findings) -> Check:
    name, echo = "loudspeaker", findings.echo
    if echo is None:
        found = f"what it plays is not in the microphone within {LATEST_MS} ms"
        return Check(
            name,
            "warn",
            found,
            "with headphones all is well; else turn it up, unmute it, or choose another with --output",
        )
    over_db = echo.reply_dbfs - findings.noise_dbfs
    found = (
        f"its echo is {echo.gain_db:+.1f} dB against what is played; a reply comes at "
        f"{echo.reply_dbfs:.0f} dBFS, {over_db:.0f} dB over the room's noise"
    )
    if echo.reply_dbfs > LOUD_DBFS:
        return Check(name, "warn", found, f"a voice over it is heard late or not at all: {_QUIETER}")
    if over_db < AUDIBLE_DB:
        return Check(name, "warn", found, _LOUDER)
    return Check(name, "ok", found)


def _round_trip(take: Take, echo: Echo) -> Check:
    whole = take.output_ms + echo.delay_ms + take.input_ms
    stated = f"{take.output_ms:.0f} in the loudspeaker's buffers, {take.input_ms:.0f} in the microphone's"
    rest = f"{echo.delay_ms:.1f} in the air and in buffers that are not stated"
    wander = f" (stated times wander by {take.wander_ms:.0f} ms)" if take.wander_ms >= 1 else ""
    return Check("round trip", "ok", f"{whole:.0f} ms: {stated}, {rest}{wander}")


def _drift(echo: Echo) -> Check:
    name, drift = "clock drift", echo.drift
    if drift is None:
        return Check(name, "ok", "not measured: the echo jumped, or was not found before and after the reply")
    slower = "microphone" if drift.ppm > 0 else "loudspeaker"
    range_ppm = f"{abs(drift.ppm):.1f} ± {drift.uncertainty_ppm:.1f} ppm"
    if not drift.is_certain:
        return Check(name, "ok", f"none that can be told: {range_ppm}")
    found = f"the {slower}'s clock is {range_ppm} slower"
    if abs(drift.ppm) - drift.uncertainty_ppm > LARGEST_PPM:
        found += f", more than the {LARGEST_PPM:.0f} that are corrected"
        return Check(
            name, "warn", found, "use another device, or two that are one: a headset, a conference speaker"
        )
    return Check(name, "ok", f"{found}; corrected from the first seconds of a reply on")


def _cancellation(echo: Echo) -> Check:
    name, cancelled, duplex = "cancellation", echo.cancelled, _verdict(echo)
    measured = (
        f"{cancelled.linear_db:.0f} dB for the recognizer, of {cancelled.most_db:.0f} that the room's noise "
        f"lets one see, {cancelled.voice_db:.0f} dB for the voice detector"
    )
    if duplex.deaf_while_speaking and cancelled.hidden:
        found = f"half duplex, for the room's noise hides what is cancelled: {measured}"
        return Check(name, "warn", found, _LOUDER)
    if duplex.deaf_while_speaking:
        check = _reason(name, duplex)
        return Check(
            name, "warn", f"half duplex, not listening over its replies: {check.found}", check.remedy
        )
    if duplex.mode == "cancelling":
        return Check(name, "ok", measured)
    return Check(name, "ok", f"{duplex.reason}: {measured}")


def _verdict(echo: Echo) -> Duplex:
    """The canceller's; of an echo that comes too late for it to find, its own sentence for late ones."""
    late = judge(UNKNOWN, Evidence((), -inf, delay_ms=echo.delay_ms))
    return late if late.deaf_while_speaking else echo.cancelled.duplex


def _faults(take: Take, findings: Findings) -> Iterator[Check]:
    if take.overflows:
        yield Check("samples", "warn", f"the microphone's were lost {_times(take.overflows)}", _GAPS)
    if take.underruns:
        yield Check("samples", "warn", f"the loudspeaker had none to play {_times(take.underruns)}", _GAPS)
    if findings.echo and findings.echo.jump_ms:
        jump = findings.echo.jump_ms
        way = "later" if jump > 0 else "earlier"
        found = f"some were lost or put in: the echo came {abs(jump):.0f} ms {way} than before"
        yield Check("samples", "warn", found, _GAPS)


def _reason(name: str, duplex: Duplex) -> Check:
    found, _, remedy = duplex.reason.partition(": ")
    return Check(name, "fail", found, remedy)


def _times(count: int) -> str:
    return "once" if count == 1 else f"{count} times"
