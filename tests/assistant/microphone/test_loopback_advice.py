"""What the loopback measurement says of ways that we describe to it."""

from dataclasses import replace

import numpy as np
import pytest

from assistant.doctor.checks import Check
from assistant.microphone.echo.duplex import MONITOR, NO_ECHO, Duplex
from assistant.microphone.loopback.advice import advise
from assistant.microphone.loopback.cancelled import Cancelled
from assistant.microphone.loopback.drift import Drift
from assistant.microphone.loopback.measure import Echo, Findings
from assistant.microphone.loopback.take import Take

NOTHING = np.zeros(0, np.float32)
TAKE = Take(NOTHING, 48000, 0.0, NOTHING, 48000, 0.0, output_ms=74.0, input_ms=18.0, wander_ms=0.4)
CANCELLED = Cancelled(28.0, 41.0, 44.0, disturbed=False, duplex=Duplex("cancelling", "28 dB"))
ECHO = Echo(98.0, -10.0, -30.0, Drift(12.0, 2.0), 0.0, CANCELLED)
FINE = Findings(zeros=False, clipped=0, noise_dbfs=-70.0, disturbed=False, echo=ECHO)
FEW_DB = Duplex("half duplex", "only 3 dB can be cancelled: turn it down")


def changed(findings: Findings, take: Take = TAKE) -> list[Check]:
    return [check for check in advise(take, findings) if check.state != "ok"]


def echo(**new: object) -> Findings:
    return replace(FINE, echo=replace(ECHO, **new))  # type: ignore[arg-type]


def cancelled(duplex: Duplex, **new: float) -> Findings:
    return echo(cancelled=replace(CANCELLED, duplex=duplex, **new))  # type: ignore[arg-type]


def test_a_good_way_needs_nothing_and_is_described() -> None:
    checks = {check.name: check for check in advise(TAKE, FINE)}
    assert {check.state for check in checks.values()} == {"ok"}
    assert not any(check.remedy for check in checks.values())
    assert checks["round trip"].found == (
        "190 ms: 74 in the loudspeaker's buffers, 18 in the microphone's, "
        "98.0 in the air and in buffers that are not stated"
    )
    assert "-10.0 dB against what is played" in checks["loudspeaker"].found
    assert "40 dB over the room's noise" in checks["loudspeaker"].found
    assert checks["clock drift"].found.startswith("the microphone's clock is 12.0 ± 2.0 ppm slower")
    assert checks["cancellation"].found == (
        "28 dB for the recognizer, of 44 that the room's noise lets one see, 41 dB for the voice detector"
    )


@pytest.mark.parametrize(
    ("findings", "name", "said", "remedy"),
    [
        (replace(FINE, zeros=True, echo=None, noise_dbfs=-120.0), "microphone", "zeros", "unmute"),
        (replace(FINE, echo=None, noise_dbfs=-100.0), "microphone", "hears nothing", "unmute"),
        (replace(FINE, clipped=200), "microphone", "clipped", "input level down"),
        (replace(FINE, echo=None), "loudspeaker", "not in the microphone", "--output"),
        (echo(reply_dbfs=-12.0), "loudspeaker", "-12 dBFS", "turn the loudspeaker down"),
        (echo(reply_dbfs=-66.0), "loudspeaker", "4 dB over", "turn the loudspeaker up"),
        (echo(drift=Drift(500.0, 3.0)), "clock drift", "500.0 ± 3.0 ppm", "another device"),
        (echo(drift=None, jump_ms=-35.0), "samples", "35 ms earlier", "latency_ms"),
        (cancelled(MONITOR), "microphone", "copy of what is played", "--input"),
        (cancelled(FEW_DB), "cancellation", "only 3 dB", "turn it down"),
        (cancelled(Duplex("half duplex", "not installed: pip install it")), "cancellation", "not", "pip"),
        (cancelled(FEW_DB, most_db=4.0, linear_db=3.0), "cancellation", "noise hides", "loudspeaker up"),
        (echo(delay_ms=600.0), "cancellation", "600 ms late", "wired"),
        (replace(FINE, disturbed=True), "quiet", "something else", "again"),
    ],
)
def test_what_is_wrong_has_its_line(findings: Findings, name: str, said: str, remedy: str) -> None:
    wrong = {check.name: check for check in changed(findings)}
    assert said in wrong[name].found
    assert remedy in wrong[name].remedy
    assert all(check.remedy and "\n" not in check.found + check.remedy for check in wrong.values())


def test_of_a_monitor_nothing_else_is_said() -> None:
    found = replace(cancelled(MONITOR), disturbed=True, clipped=5)
    assert [check.name for check in advise(replace(TAKE, overflows=2), found)] == ["microphone"]


def test_lost_samples_are_told_and_not_taken_for_a_voice() -> None:
    (lost, late) = changed(replace(FINE, disturbed=True), replace(TAKE, overflows=1, underruns=3))
    assert "lost once" in lost.found and "3 times" in late.found


@pytest.mark.parametrize(
    "findings",
    [
        cancelled(NO_ECHO),
        echo(drift=Drift(1.0, 2.0)),
        echo(drift=Drift(302.0, 3.0)),
        echo(drift=None),
        echo(delay_ms=-4.0),
    ],
)
def test_what_is_no_fault(findings: Findings) -> None:
    assert changed(findings) == []
