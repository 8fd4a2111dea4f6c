"""What is counted, on scripted probabilities of voice."""

from math import inf

import numpy as np
import pytest

from assistant.microphone.bench.figures import RATE, WINDOW, detections, erle
from assistant.microphone.bench.rooms import Room
from assistant.microphone.bench.scenes import Barge, Scene

WINDOWS = 200
REPLY = (10 * WINDOW, 150 * WINDOW)


def scripted(barge: Barge | None, *voiced: range) -> tuple[Scene, np.ndarray]:
    signal = np.full(WINDOWS * WINDOW, 0.1, np.float32)
    probabilities = np.zeros(WINDOWS)
    for run in voiced:
        probabilities[list(run)] = 0.9
    return Scene(Room(0, 0, 0.2), signal, signal, signal, (REPLY,), (barge,)), probabilities


BARGE = Barge("stop", 50 * WINDOW, 51 * WINDOW, 100 * WINDOW)


def test_four_voiced_windows_stop_a_reply_and_three_do_not() -> None:
    (three,) = detections(*scripted(None, range(20, 23)))
    (four,) = detections(*scripted(None, range(20, 24)))
    assert three.self_stops == () and four.self_stops == (24 * WINDOW,)


def test_a_barge_in_is_heard_at_the_end_of_its_fourth_window() -> None:
    (found,) = detections(*scripted(BARGE, range(53, 70)))
    assert found.barge_ms == pytest.approx((57 - 51) * WINDOW * 1000 / RATE) and found.self_stops == ()


@pytest.mark.parametrize("voiced", [range(0), range(20, 80)])
def test_one_that_nobody_heard_or_that_came_too_late_took_forever(voiced: range) -> None:
    (found,) = detections(*scripted(BARGE, voiced))
    assert found.barge_ms == inf


def test_the_rule_holds_for_300_ms_after_the_reply() -> None:
    (held,) = detections(*scripted(None, range(152, 156)))
    (over,) = detections(*scripted(None, range(170, 180)))
    assert held.self_stops and not over.self_stops


def test_an_echo_at_a_tenth_is_20_db() -> None:
    scene, _ = scripted(None)
    ((first, later),) = erle(scene, scene.microphone / 10)
    assert first == pytest.approx(20, abs=0.01) and later == pytest.approx(20, abs=0.01)
