"""The end of speech by its level, on windows of constant samples whose level is worked out by hand."""

import numpy as np
import pytest
from numpy.typing import NDArray

from asr.speech_level import SpeechLevel


def window(db: float) -> NDArray[np.float32]:
    """512 samples of this level; the sign changes, as sound has no mean."""
    return np.tile(np.array([1, -1], np.float32), 256) * np.float32(10 ** (db / 20))


def behind_speech(speech_db: float = -20, silence_db: float = -60, windows: int = 5) -> SpeechLevel:
    level = SpeechLevel()
    for _ in range(20):
        level.fades(window(silence_db), 0.01)
    for _ in range(windows):
        assert not level.fades(window(speech_db), 0.9)
    return level


def test_a_quiet_window_behind_speech_is_silence_while_the_detector_still_hears_voice() -> None:
    assert behind_speech().fades(window(-59), 0.9)


def test_a_detector_that_is_certain_is_believed() -> None:
    assert not behind_speech().fades(window(-59), 0.98)


@pytest.mark.parametrize(("db", "fades"), [(-57.5, True), (-56.5, False)])
def test_silence_is_up_to_3_db_louder_than_silences_have_been(db: float, fades: bool) -> None:
    assert behind_speech().fades(window(db), 0.9) is fades


@pytest.mark.parametrize(("speech_db", "fades"), [(-41, True), (-42, False)])
def test_speech_that_is_hardly_louder_than_its_room_tells_nothing(speech_db: float, fades: bool) -> None:
    # A window behind, the loudest is taken for half a dB less: 18 dB from -60 is reached at -41.5.
    assert behind_speech(speech_db).fades(window(-60), 0.9) is fades


def test_the_loudest_is_forgotten_by_half_a_db_a_window() -> None:
    level = behind_speech(-20)
    for _ in range(42):  # 21 of the 40 dB
        level.fades(window(-60), 0.4)
    assert level.fades(window(-60), 0.9)  # 18.5 are left, and behind the next window 18
    assert not level.fades(window(-60), 0.9)


def test_without_a_silence_before_the_speech_nothing_is_known() -> None:
    level = SpeechLevel()
    level.fades(window(-20), 0.9)
    assert not level.fades(window(-90), 0.9)


def test_digital_silence_is_silence() -> None:
    level = behind_speech(silence_db=-200)
    assert level.fades(np.zeros(512, np.float32), 0.9)
