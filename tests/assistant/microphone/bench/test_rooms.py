import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.signal import correlate

from assistant.microphone.bench.rooms import RATE, USER_DBFS, Room, active_rms, echo, impulse_response


def noise(seconds: float) -> NDArray[np.float32]:
    return (0.1 * np.random.default_rng(0).standard_normal(int(seconds * RATE))).astype(np.float32)


@pytest.mark.parametrize("gain_db", [-10, 0, 6])
@pytest.mark.parametrize("drive", [0, 3])
def test_the_echo_has_the_stated_level_against_the_user(gain_db: float, drive: float) -> None:
    heard = echo(noise(2), Room(gain_db, 100, 0.3, drive))
    assert 20 * np.log10(active_rms(heard)) == pytest.approx(USER_DBFS + gain_db, abs=0.2)


def test_the_reverberation_falls_by_60_db_in_the_stated_time() -> None:
    response = impulse_response(Room(0, 0, 0.4))
    powers = [10 * np.log10((response[at : at + 800] ** 2).mean()) for at in (800, 4000)]  # 0.2 s apart
    assert powers[0] - powers[1] == pytest.approx(60 * 0.2 / 0.4, abs=3)


@pytest.mark.parametrize("delay_ms", [60, 200])
def test_the_sound_arrives_after_the_stated_delay(delay_ms: float) -> None:
    played = noise(2)
    heard = echo(played, Room(0, delay_ms, 0.2, drift_ppm=0))
    lag = int(np.abs(correlate(heard, played)).argmax()) - (len(played) - 1)
    assert lag * 1000 / RATE == pytest.approx(delay_ms, abs=1)


def test_the_microphones_clock_is_slower_by_the_drift() -> None:
    """After 20 s at 50 ppm the echo is heard a millisecond, 16 samples, early by the microphone's count."""
    played = noise(20)
    straight, drifting = (echo(played, Room(0, 50, 0.2, drift_ppm=ppm)) for ppm in (0, 50))
    last = slice(-RATE // 2, None)
    lag = int(correlate(straight[last], drifting[last]).argmax()) - (RATE // 2 - 1)
    assert lag == pytest.approx(16, abs=1)
