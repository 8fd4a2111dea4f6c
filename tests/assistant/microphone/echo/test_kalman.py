import numpy as np
import pytest
from echo_signals import RATE, Array, level_db, murmur, room, through, white

from assistant.microphone.echo.kalman import BLOCK, MOST_BEHIND, KalmanFilter


def run(kalman: KalmanFilter, microphone: Array, reference: Array) -> Array:
    """What the filter leaves of the microphone."""
    whole = range(0, len(microphone) // BLOCK * BLOCK, BLOCK)
    blocks = [(microphone[at : at + BLOCK], reference[at : at + BLOCK]) for at in whole]
    return np.concatenate([near - kalman.push(near, far) for near, far in blocks])


def test_it_learns_a_room_from_noise_to_25_db() -> None:
    reference = white(6)
    echo = through(reference, room())
    left = run(KalmanFilter(), echo, reference)
    assert level_db(echo[-RATE:]) - level_db(left[-RATE:]) >= 25


def test_what_it_learned_is_the_impulse_response() -> None:
    """A click into the trained filter gives the room's response back."""
    response, kalman = room(), KalmanFilter()
    reference = white(8)
    run(kalman, through(reference, response), reference)
    silence = np.zeros(20 * BLOCK, np.float32)
    run(kalman, silence, silence + 0)  # let the noise leave the filter
    run(kalman, np.zeros(40 * BLOCK, np.float32), np.zeros(40 * BLOCK, np.float32))
    click = np.zeros(20 * BLOCK, np.float32)
    click[0] = 1e-3  # too quiet to learn from
    heard = -run(kalman, np.zeros_like(click), click) * 1e3
    known = np.pad(response, (0, len(heard) - len(response)))
    assert level_db(heard - known) < level_db(known) - 15


def test_a_silent_reference_gives_no_echo_at_all() -> None:
    microphone = white(1)
    assert np.array_equal(
        run(KalmanFilter(), microphone, np.zeros_like(microphone)), microphone[: 62 * BLOCK]
    )


def test_the_echo_ends_with_the_filter() -> None:
    kalman = KalmanFilter()
    reference = white(3)
    run(kalman, through(reference, room()), reference)
    silence = np.zeros(60 * BLOCK, np.float32)
    microphone = white(1, seed=5)[: 60 * BLOCK]
    left = run(kalman, microphone, silence)
    assert np.array_equal(left[-3 * BLOCK :], microphone[-3 * BLOCK :])


def test_a_user_over_the_echo_is_kept_within_a_decibel() -> None:
    reference = murmur(12, seed=2)
    user = np.concatenate([np.zeros(8 * RATE, np.float32), murmur(4, seed=3, level=0.07)])
    left = run(KalmanFilter(), through(reference, room()) + user, reference)
    spoken = slice(9 * RATE, 11 * RATE)
    assert level_db(left[spoken]) == pytest.approx(level_db(user[spoken]), abs=1)
    assert level_db(left[spoken] - user[spoken]) < level_db(user[spoken]) - 10


def test_a_constant_offset_does_not_keep_it_from_learning() -> None:
    reference = white(6)
    echo = through(reference, room())
    left = run(KalmanFilter(), echo + np.float32(0.2), reference)
    assert level_db(echo[-RATE:]) - level_db(left[-RATE:] - np.float32(0.2)) >= 20


def test_what_it_learned_moves_along() -> None:
    reference = white(5)
    echo = through(reference, room(delay=3000))
    kalman = KalmanFilter()
    run(kalman, echo[: 4 * RATE], reference[: 4 * RATE])
    kalman.move(8)
    left = run(kalman, echo[4 * RATE :], reference[4 * RATE :])
    assert kalman.behind == 8
    assert level_db(left) < level_db(echo[4 * RATE :]) - 15


@pytest.mark.parametrize("behind", [-1, MOST_BEHIND + 1])
def test_it_cannot_begin_where_it_has_no_history(behind: int) -> None:
    with pytest.raises(ValueError, match="0 to 32 blocks"):
        KalmanFilter().move(behind)
