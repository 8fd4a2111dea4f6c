"""The loopback measurement in rooms whose delay, level and drift are known."""

from dataclasses import replace

import numpy as np
import pytest
from loopback_takes import Way, take
from plain import Plain

from assistant.microphone.devices.port import Audio
from assistant.microphone.echo.canceller import Cleaned, EchoCanceller, open_canceller
from assistant.microphone.echo.duplex import MONITOR
from assistant.microphone.loopback.measure import Echo, Findings, measure


def found(way: Way, opened: type[EchoCanceller] = Plain) -> Findings:
    return measure(take(way), opened)


def echo(way: Way) -> Echo:
    heard = found(way).echo
    assert heard is not None
    return heard


ROOMS = [
    Way(),
    Way(delay_ms=3, gain_db=0, t60_s=0),
    Way(delay_ms=450, gain_db=-25, t60_s=0.6),
    Way(delay_ms=200, gain_db=-35, noise_dbfs=-50, t60_s=0.6, recorded_rate=16000),
    Way(delay_ms=120, gain_db=-20, played_rate=44100, recorded_rate=44100),
    Way(delay_ms=620, gain_db=3, recorded_rate=32000),
]


@pytest.mark.parametrize("way", ROOMS, ids=str)
def test_delay_and_level_of_the_echo(way: Way) -> None:
    heard = echo(way)
    assert heard.delay_ms == pytest.approx(way.delay_ms, abs=1.0)
    assert heard.gain_db == pytest.approx(way.gain_db, abs=1.0)
    assert not heard.jump_ms


@pytest.mark.parametrize("ppm", [0.0, 50.0, -50.0, 400.0])
@pytest.mark.parametrize("way", [Way(), Way(gain_db=-35, noise_dbfs=-50, t60_s=0.6)], ids=["quiet", "noisy"])
def test_drift_is_within_its_uncertainty(way: Way, ppm: float) -> None:
    drift = echo(replace(way, drift_ppm=ppm)).drift
    assert drift is not None
    assert abs(drift.ppm - ppm) <= drift.uncertainty_ppm < 10
    assert drift.is_certain == (ppm != 0)


def test_the_uncertainty_grows_with_the_noise() -> None:
    quiet, noisy = (echo(Way(gain_db=-40, noise_dbfs=noise)).drift for noise in (-90.0, -42.0))
    assert quiet is not None and noisy is not None
    assert noisy.uncertainty_ppm > 2 * quiet.uncertainty_ppm


@pytest.mark.parametrize("user", [None, (2.0, 4.5)])
def test_noise_and_voices_alone_are_no_echo(user: tuple[float, float] | None) -> None:
    heard = found(Way(gain_db=-300, noise_dbfs=-40, user=user))
    assert heard.echo is None and not heard.zeros
    assert heard.noise_dbfs == pytest.approx(-40 + 10 * np.log10(16 / 48), abs=0.5)  # the rest is over 8 kHz


def test_a_muted_microphone_gives_zeros() -> None:
    silent = take(Way())
    heard = measure(replace(silent, recorded=np.zeros_like(silent.recorded)), Plain)
    assert heard.zeros and heard.echo is None


def test_a_microphone_that_clips() -> None:
    assert found(Way()).clipped == 0
    loud = found(Way(gain_db=24))
    assert loud.clipped > 1000 and loud.echo is not None
    assert loud.echo.delay_ms == pytest.approx(80, abs=1.0)


def test_a_copy_of_what_is_played_is_no_room() -> None:
    copy = Way(delay_ms=0, gain_db=0, t60_s=0, noise_dbfs=-90)
    heard = found(copy, open_canceller).echo  # type: ignore[arg-type]
    assert heard is not None and heard.cancelled.duplex == MONITOR


@pytest.mark.parametrize("user", [(4.8, 6.3), (7.0, 9.0), (9.5, 11.0)])
def test_a_user_over_the_reply_is_noticed_and_spoils_nothing_else(user: tuple[float, float]) -> None:
    heard = measure(take(Way(gain_db=-15, user=user)), open_canceller)
    assert heard.disturbed and heard.echo is not None and heard.echo.drift is not None
    assert heard.echo.delay_ms == pytest.approx(80, abs=1.0)
    assert heard.echo.gain_db == pytest.approx(-15, abs=1.0)
    assert abs(heard.echo.drift.ppm) <= heard.echo.drift.uncertainty_ppm
    assert heard.echo.cancelled.duplex.mode == "cancelling"


def test_a_drift_is_followed_within_the_reply_and_is_no_voice() -> None:
    heard = measure(take(Way(gain_db=0, t60_s=0.6, drift_ppm=80.0)), open_canceller)
    assert not heard.disturbed and heard.echo is not None
    assert heard.echo.cancelled.linear_db > 20


@pytest.mark.parametrize("user", [(1.0, 1.3), (2.0, 2.6)], ids=["before", "over a chirp"])
def test_a_user_beside_the_reply_is_noticed(user: tuple[float, float]) -> None:
    heard = found(Way(gain_db=-25, user=user))
    assert heard.disturbed and heard.echo is not None
    assert heard.echo.delay_ms == pytest.approx(80, abs=1.0)
    assert heard.echo.gain_db == pytest.approx(-25, abs=1.0)


@pytest.mark.parametrize("ms", [3, 35, 80])
def test_lost_samples_are_a_jump_and_no_drift(ms: int) -> None:
    heard = echo(Way(lost_s=ms / 1000))
    assert heard.jump_ms == pytest.approx(-ms, abs=0.2) and heard.drift is None


class Tenth(EchoCanceller):
    """Leaves a tenth of the amplitude to the recognizer, a hundredth to the voice detector."""

    def __init__(self) -> None:
        super().__init__(None)

    def push(self, microphone: Audio, reference: Audio) -> Cleaned:
        return Cleaned(microphone * 0.1, microphone * 0.01)


def test_cancellation_is_what_the_canceller_takes_away() -> None:
    for opened, linear_db, voice_db in ((Plain, 0, 0), (Tenth, 20, 40)):
        heard = found(Way(), opened).echo
        assert heard is not None
        assert heard.cancelled.linear_db == pytest.approx(linear_db, abs=0.01)
        assert heard.cancelled.voice_db == pytest.approx(voice_db, abs=0.01)


def test_the_assistants_own_canceller_in_a_quiet_room() -> None:
    heard = measure(take(Way()), open_canceller)
    assert heard.echo is not None and not heard.disturbed
    cancelled = heard.echo.cancelled
    assert cancelled.duplex.mode == "cancelling"
    assert 20 < cancelled.linear_db < cancelled.most_db + 1
    assert not cancelled.hidden


def test_noise_hides_what_is_cancelled() -> None:
    heard = measure(take(Way(gain_db=-35, noise_dbfs=-50)), open_canceller)
    assert heard.echo is not None and heard.echo.cancelled.hidden


def test_nothing_played_and_nothing_recorded() -> None:
    whole = take(Way())
    nothing = np.zeros(0, np.float32)
    for broken in (
        replace(whole, played=nothing),
        replace(whole, recorded=nothing),
        replace(whole, recorded=whole.recorded[: len(whole.recorded) // 3]),
        replace(whole, recorded_ns=0.0),
    ):
        assert measure(broken, Plain).echo is None
