import numpy as np
from echo_signals import RATE, Array, level_db, murmur, room, through, white

from assistant.microphone.echo.guarded import GuardedFilter
from assistant.microphone.echo.kalman import BLOCK


def run(guarded: GuardedFilter, microphone: Array, reference: Array) -> Array:
    whole = range(0, len(microphone) // BLOCK * BLOCK, BLOCK)
    return np.concatenate(
        [guarded.push(microphone[at : at + BLOCK], reference[at : at + BLOCK]) for at in whole]
    )


def test_another_room_is_never_louder_for_long_and_is_learned() -> None:
    """The device is moved in the middle: the old echo would be taken out of a room that has another."""
    reference = white(12)
    before, after = through(reference, room(seed=1)), through(reference, room(seed=9))
    echo = np.concatenate([before[: 6 * RATE], after[6 * RATE :]])
    guarded = GuardedFilter()
    left = run(guarded, echo, reference)
    moved = range(6 * RATE, 11 * RATE, RATE // 2)
    assert all(level_db(left[at : at + RATE // 2]) < level_db(echo[at : at + RATE // 2]) + 1 for at in moved)
    assert guarded.resets >= 1
    assert level_db(left[11 * RATE :]) < level_db(echo[11 * RATE :]) - 20


def test_headphones_put_on_leave_the_user_as_they_are() -> None:
    """The echo is gone at once; what the filter still expects must not be added to the user's voice."""
    reference, user = murmur(10), murmur(10, seed=4, level=0.03)
    echo = through(reference, room())
    echo[6 * RATE :] = 0
    left = run(GuardedFilter(), echo + user, reference)
    assert level_db(left[7 * RATE : 9 * RATE] - user[7 * RATE : 9 * RATE]) < level_db(user[7 * RATE :]) - 10


def test_a_delay_of_400_ms_is_followed() -> None:
    reference = white(6)
    echo = through(reference, room(delay=6400))
    guarded = GuardedFilter()
    guarded.follow(6400)
    left = run(guarded, echo, reference)
    assert level_db(left[5 * RATE :]) < level_db(echo[5 * RATE :]) - 20
