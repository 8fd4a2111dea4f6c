"""Where turns end, counted by hand in windows of 512 samples (32 ms)."""

from collections.abc import Callable

import pytest

from assistant.trace.rival_policies import by_silence, by_smart_turn, heard

VOICE, SILENCE = 0.9, 0.1


def windows(*runs: int) -> list[float]:
    """So many windows of voice, of silence, of voice, and so on."""
    return [VOICE if number % 2 == 0 else SILENCE for number, run in enumerate(runs) for _ in range(run)]


def test_two_windows_in_a_row_begin_voice_and_one_does_not() -> None:
    assert list(heard([VOICE, SILENCE, VOICE, SILENCE])) == []
    first, second = heard([SILENCE, VOICE, VOICE, SILENCE])
    assert (first.number, first.voiced, first.silent) == (2, True, 0)
    assert (second.number, second.voiced, second.silent, second.end_sample) == (3, False, 1, 4 * 512)


@pytest.mark.parametrize(
    ("after", "voice_end"),
    [
        ([0.4], 2),
        ([0.3, 0.4], 3),
        ([0.3, 0.3, 0.4], 1),  # too late for less
        ([0.3, 0.3, 0.3, 0.9, 0.3], 1),  # alone
        ([0.3, 0.3, 0.3, 0.9, 0.5], 6),
    ],
)
def test_voice_goes_on_at_less_for_two_windows(after: list[float], voice_end: int) -> None:
    assert list(heard([VOICE, VOICE, *after]))[-1].voice_end == voice_end


@pytest.mark.parametrize(
    ("silence_ms", "pause", "ends"),
    [
        (500, 15, [10 + 15 + 5 + 16]),  # 16 windows are 512 ms: the pause is too short
        (500, 16, [10 + 16, 10 + 16 + 5 + 16]),
        (800, 24, [10 + 24 + 5 + 25]),  # 25 windows are 800 ms
        (800, 25, [10 + 25, 10 + 25 + 5 + 25]),
    ],
)
def test_silence_ends_a_turn_once(silence_ms: int, pause: int, ends: list[int]) -> None:
    voices = windows(10, pause, 5, 100)
    assert by_silence(voices, silence_ms) == [end * 512 for end in ends]


def test_where_voice_may_begin_again_nothing_is_decided() -> None:
    """At the sixteenth window a click: the turn ends at the next."""
    assert by_silence(windows(10, 15, 1, 100), 500) == [(10 + 17) * 512]
    asked = Asked(0.9)
    assert by_smart_turn(windows(10, 5, 1, 100), asked) == [(10 + 7) * 512]
    assert len(asked.spans) == 1


def test_without_voice_there_is_no_turn() -> None:
    assert by_silence(windows(0, 200), 500) == []
    assert by_smart_turn(windows(0, 200), never_asked) == []


def never_asked(start: int, end: int) -> float:
    raise AssertionError(f"asked of {start} to {end}")


class Asked:
    """Answers in order, and keeps what it was asked."""

    def __init__(self, *answers: float) -> None:
        self._answers = list(answers)
        self.spans: list[tuple[int, int]] = []

    def __call__(self, start: int, end: int) -> float:
        self.spans.append((start, end))
        return self._answers.pop(0)


def smart_turn(voices: list[float], *answers: float) -> tuple[list[int], list[tuple[int, int]]]:
    asked = Asked(*answers)
    return by_smart_turn(voices, asked), asked.spans


def test_smart_turn_is_asked_after_six_windows_of_the_turn_and_half_a_second_before() -> None:
    voices = windows(0, 40, 20, 200)
    ends, spans = smart_turn(voices, 0.51)
    assert ends == [(40 + 20 + 6) * 512]
    assert spans == [(40 * 512 - 8000, (40 + 20 + 6) * 512)]


@pytest.mark.parametrize("answer", [0.5, 0.1])
def test_what_sounds_incomplete_ends_after_three_seconds_more(answer: float) -> None:
    ends, spans = smart_turn(windows(20, 200), answer)
    assert ends == [(20 + 6 + 94) * 512]  # 94 windows are 3008 ms
    assert spans == [(0, (20 + 6) * 512)]


def test_it_is_asked_again_of_the_whole_turn_when_there_was_voice_again() -> None:
    ends, spans = smart_turn(windows(20, 10, 5, 5, 5, 200), 0.2, 0.9)
    assert spans == [(0, 26 * 512), (0, (20 + 10 + 5 + 5 + 5 + 6) * 512)]  # five windows are no silence yet
    assert ends == [spans[-1][1]]


def test_who_goes_on_after_the_end_begins_another_turn() -> None:
    """Half a second before its voice would reach into the turn before, up to whose end it is."""
    ends, spans = smart_turn(windows(20, 10, 5, 200), 0.9, 0.9)
    assert ends == [26 * 512, (20 + 10 + 5 + 6) * 512]
    assert spans == [(0, 26 * 512), (26 * 512, (20 + 10 + 5 + 6) * 512)]


@pytest.mark.parametrize(
    "ends_of", [lambda voices: by_silence(voices, 500), lambda voices: by_smart_turn(voices, lambda *_: 1.0)]
)
def test_a_click_after_the_end_is_no_turn(ends_of: Callable[[list[float]], list[int]]) -> None:
    assert len(ends_of(windows(20, 50, 1, 100))) == 1
    assert len(ends_of(windows(20, 50, 2, 100))) == 2
