"""Which silences are ends, and of which kind the pauses are."""

from math import inf

from assistant.endpointing.hear import Silence
from assistant.endpointing.points import Point, labelled
from assistant.trace.pauses import NO_PAUSE


def silence(voice_end: int, resumed: int | None) -> Silence:
    return Silence(voice_end, resumed, (), 0.0, 0.0)


def told(points: list[Point]) -> list[tuple[bool, float, str]]:
    return [(point.is_end, point.lasts_ms, point.kind) for point in points]


def test_a_silence_is_of_the_kind_of_the_pause_in_which_it_lies() -> None:
    pauses = [(16000, 24000, "filler"), (40000, 48000, "list")]
    found = [silence(14000, 23600), silence(30000, 31600), silence(41600, 49600), silence(60000, None)]
    assert told(list(labelled(found, 60000, pauses))) == [
        (False, 600, "filler"),
        (False, 100, NO_PAUSE),
        (False, 500, "list"),
        (True, inf, NO_PAUSE),
    ]


def test_a_silence_that_touches_a_pause_is_not_of_its_kind() -> None:
    pauses = [(16000, 24000, "filler")]
    found = [silence(12800, 16000), silence(24000, 27200), silence(60000, None)]
    assert [point.kind for point in labelled(found, 60000, pauses)] == [NO_PAUSE] * 3


def test_what_comes_after_the_end_is_no_point() -> None:
    """The detector may take noise for voice, or miss the last sound before it."""
    noise = [silence(30000, 32000), silence(58000, 64000), silence(66000, 70000), silence(72000, None)]
    assert told(list(labelled(noise, 60000, []))) == [(False, 125, NO_PAUSE), (True, inf, NO_PAUSE)]


def test_voice_before_the_end_makes_a_pause_of_the_silence_before_it() -> None:
    found = [silence(58000, 59600), silence(60400, None)]
    assert [point.is_end for point in labelled(found, 60000, [])] == [False, True]
