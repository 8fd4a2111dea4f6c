"""Playing and recording at once, on a sound system without sound and on virtual time."""

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
from fake_port import IN_LATENCY_S, MICROPHONE, OUT_LATENCY_S, SPEAKER, FakePort
from plain import Plain
from rig import Rig

from assistant.microphone.devices.errors import DeviceLost
from assistant.microphone.devices.port import Audio
from assistant.microphone.loopback.measure import measure
from assistant.microphone.loopback.record import record
from assistant.microphone.loopback.signals import LEVEL, programme, shaped_noise
from assistant.microphone.loopback.take import Take

RATE = 48000
AIR_S = 0.03
BLOCK_MS = 10.0
SOUND = programme(shaped_noise(3, RATE), RATE)


class EchoPort(FakePort):
    """The microphone hears the loudspeaker at a tenth, `AIR_S` after it sounds."""

    def __init__(self, asleep_s: float = 0.0) -> None:
        super().__init__(replace(MICROPHONE, rate=RATE), SPEAKER, sound=self._heard)
        self._asleep = int(asleep_s * RATE)
        self._random = np.random.default_rng(0)

    def _heard(self, start: int, count: int) -> Audio:
        if start < self._asleep:
            return np.zeros(count, np.float32)
        first = start - round((OUT_LATENCY_S + AIR_S) * RATE)
        blocks = self.stream("output").played[max(0, first) // 480 : (first + count) // 480 + 1]
        echo = np.zeros(count, np.float32)
        if first >= 0 and blocks:
            piece = np.concatenate(blocks)[first % 480 : first % 480 + count]
            echo[: len(piece)] = 0.1 * piece
        return echo + 1e-4 * self._random.standard_normal(count).astype(np.float32)


def recorded(port: EchoPort, meanwhile: Callable[[Rig], None] = lambda _: None) -> Take:
    rig, takes = Rig(port), []

    async def main() -> None:
        meanwhile(rig)
        takes.append(await record(rig.streams, rig.sink, SOUND, RATE))

    rig.run(main)
    return takes[0]


def test_latency_is_split_as_the_devices_state_it() -> None:
    take = recorded(EchoPort())
    echo = measure(take, Plain).echo
    assert take.output_ms == pytest.approx(OUT_LATENCY_S * 1000, abs=0.1)
    assert take.input_ms == pytest.approx(IN_LATENCY_S * 1000 + BLOCK_MS, abs=0.1)
    assert (take.overflows, take.underruns) == (0, 0) and take.wander_ms < 0.1
    assert echo is not None
    assert echo.delay_ms == pytest.approx(AIR_S * 1000, abs=0.2)
    assert echo.gain_db == pytest.approx(-20, abs=0.1)
    assert echo.drift is not None and not echo.drift.is_certain


def test_all_that_was_played_is_taken() -> None:
    take = recorded(EchoPort())
    loud = np.flatnonzero(np.abs(take.played) > LEVEL / 10)
    sent = take.played[loud[0] :][: len(SOUND)]
    wanted = SOUND[np.flatnonzero(np.abs(SOUND) > LEVEL / 10)[0] :]
    assert np.array_equal(sent[: len(wanted)], wanted)


def test_it_waits_for_a_microphone_that_takes_two_seconds_to_wake() -> None:
    findings = measure(recorded(EchoPort(asleep_s=2.0)), Plain)
    assert findings.echo is not None and findings.noise_dbfs > -95


def test_of_a_muted_microphone_zeros_are_taken() -> None:
    assert measure(recorded(EchoPort(asleep_s=1000.0)), Plain).zeros


@pytest.mark.parametrize("direction", ["input", "output"])
def test_a_device_that_goes_away_ends_it(direction: str) -> None:
    def unplug_soon(rig: Rig) -> None:
        rig.loop.call_later(3.0, lambda: rig.port.stream(direction).end())  # type: ignore[arg-type]

    with pytest.raises(ExceptionGroup) as caught:
        recorded(EchoPort(), unplug_soon)
    assert caught.value.split(DeviceLost)[1] is None
