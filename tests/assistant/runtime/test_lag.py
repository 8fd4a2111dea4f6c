"""The probe of the event loop's lag, on a clock that a blocking call moves on."""

import asyncio

import pytest

from assistant.runtime import LagProbe, Recorder, VirtualLoop, run_virtual

MS = 1_000_000


def probed(seconds: float, blocked_ms: dict[float, float], **kept: int) -> tuple[LagProbe, Recorder]:
    """A probe of so many seconds in which the loop was blocked from some times on."""
    loop, recorder = VirtualLoop(), Recorder()
    probe = LagProbe(loop.clock, recorder, **kept)

    async def main() -> None:
        for at_ms, ms in blocked_ms.items():
            loop.call_later(at_ms / 1e3, loop.advance, ms / 1e3)
        task = asyncio.create_task(probe.run())
        await asyncio.sleep(seconds)
        task.cancel()
        await asyncio.wait([task])

    run_virtual(main(), loop)
    return probe, recorder


def test_an_idle_loop_has_no_lag() -> None:
    probe, recorder = probed(1.001, {})
    assert len(probe.lags_ms) == 200  # one every 5 ms
    assert max(probe.lags_ms) < 1e-3
    assert recorder.spans == []


def test_what_blocks_the_loop_is_its_lag_and_a_span_if_it_is_worth_one() -> None:
    """Blocked from 12 to 52 ms, the probe that is due at 15 is 37 ms late. The next are due every 5 ms from
    57 on; blocked from 101 to 103.5, that of 102 is 1.5 ms late."""
    probe, recorder = probed(0.2, {12: 40, 101: 2.5})
    late = [ms for ms in probe.lags_ms if ms > 0.1]
    assert late == [pytest.approx(37), pytest.approx(1.5)]
    (span,) = recorder.spans
    assert (span.name, span.track, span.session, span.reply) == ("lag", "loop", "", None)
    assert (span.start_ns / MS, span.end_ns / MS) == (pytest.approx(15), pytest.approx(52))


def test_it_keeps_no_more_than_so_many() -> None:
    probe, _ = probed(2, {12: 40}, kept=50)
    assert len(probe.lags_ms) == 50
    assert max(probe.lags_ms) < 1e-3  # the latest are kept
