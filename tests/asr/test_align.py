"""Word times out of attention: the best path by trying all, and words by hand."""

from collections.abc import Sequence
from itertools import combinations_with_replacement

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from asr.align import monotonic_path, word_bounds, words_of
from asr.decode import Row

VOCABULARY = [
    b"\xe2\x96\x81", b"\xe2\x96\x81one", b"\xe2\x96\x81two", b"ty", b",", b"\xe2\x96\x81-",
    b"\xc3", b"\xa9", b"", b"\xe2\x96\x81\xe2\x96\x81", b"no",
]  # fmt: skip
SPACE, ONE, TWO, TY, COMMA, DASH, E1, E2, NOTHING, SPACES, NO = range(len(VOCABULARY))
FRAME_S, MIDDLE_S = 0.024, 895 / 2 / 16000

Array = NDArray[np.float32]

lengths = st.lists(st.integers(1, 5), min_size=1, max_size=4)


@st.composite
def attentions(draw: st.DrawFn) -> list[Array]:
    """Rows of different lengths; coarse weights, so that ties are common."""
    weights = st.sampled_from([0.0, 1e-6, 0.1, 0.2, 0.5, 0.9])
    return [np.array(draw(st.lists(weights, min_size=n, max_size=n)), np.float32) for n in draw(lengths)]


def likelihood(attention: Sequence[Array], path: Sequence[int]) -> float:
    weights = [row[frame] if frame < len(row) else 0 for row, frame in zip(attention, path, strict=True)]
    return float(np.log(np.maximum(weights, 1e-4)).sum())


@given(attentions())
def test_no_path_that_never_goes_back_is_more_likely(attention: list[Array]) -> None:
    path = monotonic_path(attention)
    frames = max(map(len, attention))
    every = combinations_with_replacement(range(frames), len(attention))
    assert path == sorted(path)
    assert all(0 <= frame < frames for frame in path)
    assert likelihood(attention, path) >= max(likelihood(attention, other) for other in every) - 1e-4


def test_no_rows_have_no_path() -> None:
    assert monotonic_path([]) == []


def test_one_row_that_looks_elsewhere_moves_no_other() -> None:
    rows = [peak(frame, 100) for frame in (10, 20, 90, 30, 40)]
    path = monotonic_path(rows)
    assert [*path[:2], *path[3:]] == [10, 20, 30, 40]
    assert 20 <= path[2] <= 30


def peak(frame: int, frames: int = 200) -> Array:
    row = np.full(frames, 0.1 / frames, np.float32)
    row[frame] = 0.9
    return row


def rows(*frames: int, log_prob: float = -0.5) -> list[Row]:
    return [Row(log_prob, peak(frame)) for frame in frames]


def test_a_word_ends_where_the_row_behind_it_listens() -> None:
    words = words_of([ONE, TWO, TY, COMMA], VOCABULARY, rows(0, 20, 50, 70, 140), offset_s=3, begin_s=3)
    assert [word.text for word in words] == ["one", "twoty,"]
    assert [word.tokens for word in words] == [1, 3]
    assert words[0].end_s == pytest.approx(3 + 20 * FRAME_S + MIDDLE_S)
    assert words[1].end_s == pytest.approx(3 + 70 * FRAME_S + MIDDLE_S)  # the comma is not spoken
    assert words[0].end_s <= words[1].start_s < 3 + 50 * FRAME_S + MIDDLE_S


def test_a_word_after_a_pause_begins_behind_it() -> None:
    """The row that chose it still listened to the end of the word before."""
    first, second = words_of([ONE, TWO], VOCABULARY, rows(0, 20, 120))
    assert first.end_s == pytest.approx(20 * FRAME_S + MIDDLE_S)
    assert 2 < second.start_s < second.end_s == pytest.approx(120 * FRAME_S + MIDDLE_S)


def test_confidence_is_the_geometric_mean() -> None:
    attention = peak(3)
    chosen = [Row(float(np.log(p)), attention) for p in (0.9, 0.8, 0.2, 0.1)]
    one, two = words_of([ONE, TWO, TY], VOCABULARY, chosen)
    assert one.confidence == pytest.approx(0.9)
    assert two.confidence == pytest.approx(0.4)
    (sure,) = words_of([ONE], VOCABULARY, [Row(1e-7, attention), Row(0.0, attention)])
    assert sure.confidence <= 1


@pytest.mark.parametrize(
    ("tokens", "texts", "counts"),
    [
        ([], [], []),
        ([NO, ONE], ["no", "one"], [1, 1]),  # the first needs no space
        ([SPACE, NO, ONE], ["no", "one"], [2, 1]),
        ([ONE, SPACE, E1, E2, TWO], ["one", "\u00e9", "two"], [1, 3, 1]),
        ([ONE, SPACE, TWO], ["one", "two"], [1, 2]),
        ([ONE, SPACES, SPACE, TWO, TY], ["one", "twoty"], [1, 4]),
        ([ONE, DASH, TWO, COMMA], ["one", "-", "two,"], [1, 1, 2]),
        ([ONE, SPACE], ["one"], [2]),  # no word is only a space
        ([ONE, TWO, SPACE, SPACES], ["one", "two"], [1, 3]),
        ([SPACE, SPACES], [], []),
        ([SPACE], [], []),
        ([NOTHING, ONE, NOTHING], ["one"], [3]),
    ],
)
def test_words_begin_with_a_space_and_are_more_than_that(
    tokens: list[int], texts: list[str], counts: list[int]
) -> None:
    words = words_of(tokens, VOCABULARY, rows(*range(len(tokens) + 1)))
    assert [word.text for word in words] == texts
    assert [word.tokens for word in words] == counts


some_tokens = st.lists(st.integers(0, len(VOCABULARY) - 1), max_size=12)


@given(some_tokens)
def test_each_token_is_of_one_word(tokens: list[int]) -> None:
    bounds = word_bounds(tokens, VOCABULARY)
    if bounds:
        assert bounds[0][0] == 0
        assert bounds[-1][1] == len(tokens)
        assert [end for _, end in bounds[:-1]] == [first for first, _ in bounds[1:]]
    written = b"".join(VOCABULARY[token] for token in tokens).decode("utf-8", "replace")
    words = words_of(tokens, VOCABULARY, rows(*range(len(tokens) + 1)))
    assert "".join(word.text for word in words) == written.replace("\u2581", "")
    assert all(word.text == word.text.strip() != "" for word in words)


@given(some_tokens, st.lists(st.integers(0, 199), min_size=13, max_size=13), st.floats(0, 100))
def test_times_never_go_back(tokens: list[int], frames: list[int], begin_s: float) -> None:
    words = words_of(tokens, VOCABULARY, rows(*frames[: len(tokens) + 1]), 5.0, begin_s)
    times = [time for word in words for time in (word.start_s, word.end_s)]
    assert times == sorted(times)
    assert not times or times[0] >= begin_s
