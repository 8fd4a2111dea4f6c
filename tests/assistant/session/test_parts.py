"""Time to first audio in parts: by hand, and their sum for any boundaries."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from assistant.session.parts import PARTS, Boundaries, Part, split, ttfa_ms

MS = 1_000_000


def boundaries(ends_ms: list[int], **starts_ms: int) -> Boundaries:
    starts = {name.replace("_", ".", 1): ms * MS for name, ms in starts_ms.items()}
    return Boundaries({name: ms * MS for name, ms in zip(PARTS, ends_ms, strict=True)}, starts)


def test_parts_one_after_the_other_are_the_differences() -> None:
    parts = split(1000 * MS, boundaries([1250, 1350, 1351, 1360, 1430, 1445, 1500, 1530, 1560]))
    assert [part.name for part in parts] == list(PARTS)
    assert [part.ms for part in parts] == [250, 100, 1, 9, 70, 15, 55, 30, 30]
    assert [part.hidden_ms for part in parts] == [0.0] * 9
    assert ttfa_ms(parts) == 560


def test_work_behind_the_wait_for_the_end_of_the_turn_is_hidden() -> None:
    """Speculation began at 1080; the decision came at 1260, in the middle of the first phrase.

    The transcript took 1080-1180, the prompt nothing, the engine began at 1185, had the prompt at
    1245 and the first token at 1255, the first phrase at 1300, the first chunk at 1330.
    """
    parts = split(
        1000 * MS,
        boundaries([1260, 1180, 1180, 1185, 1245, 1255, 1300, 1330, 1361], asr_final=1080),
    )
    assert parts == [
        Part("endpoint.wait", 260, 0),
        Part("asr.final", 0, 100),
        Part("prompt.assemble", 0, 0),
        Part("llm.queue", 0, 5),
        Part("llm.prefill", 0, 60),
        Part("llm.first_token", 0, 10),
        Part("llm.first_phrase", 40, 5),
        Part("tts.first_chunk", 30, 0),
        Part("playback.start", 31, 0),
    ]
    assert ttfa_ms(parts) == 361


def test_a_reply_that_was_ready_costs_only_its_playback() -> None:
    parts = split(0, boundaries([300, 150, 150, 150, 200, 210, 240, 270, 330], asr_final=64))
    assert [part.ms for part in parts] == [300, 0, 0, 0, 0, 0, 0, 0, 30]
    # What it did while the user was waited for: 86 + 50 + 10 + 30 + 30 ms, and 30 ms of playback's wait
    assert [part.hidden_ms for part in parts] == [0, 86, 0, 0, 50, 10, 30, 30, 30]


def test_a_turn_that_was_cut_into_has_a_negative_wait() -> None:
    """Decided 200 ms before the user's last word was over, heard 100 ms after the decision."""
    parts = split(1000 * MS, boundaries([800, 810, 810, 810, 830, 840, 860, 880, 900]))
    assert [part.ms for part in parts] == [-200, 10, 0, 0, 20, 10, 20, 20, 20]
    assert ttfa_ms(parts) == -100


@pytest.mark.parametrize("missing", PARTS)
def test_a_boundary_that_is_missing_is_an_error(missing: str) -> None:
    whole = boundaries(list(range(9)))
    with pytest.raises(KeyError, match=missing):
        split(0, Boundaries({k: v for k, v in whole.ends_ns.items() if k != missing}, {}))


times = st.integers(-(10**12), 10**12)


@given(
    times,
    st.lists(times, min_size=8, max_size=8),
    st.integers(0, 10**12),
    st.dictionaries(st.sampled_from(PARTS), times),
)
def test_the_parts_sum_to_the_interval(
    voice_end_ns: int, ends: list[int], after_ns: int, starts: dict[str, int]
) -> None:
    """For any order of the ends before the last: the reply is audible once all of it was there."""
    audible_ns = max(ends) + after_ns
    parts = split(voice_end_ns, Boundaries(dict(zip(PARTS, [*ends, audible_ns], strict=True)), starts))
    assert ttfa_ms(parts) == pytest.approx((audible_ns - voice_end_ns) / 1e6, abs=1e-3)
    assert all(part.ms >= 0 for part in parts[1:])
    assert all(part.hidden_ms >= 0 for part in parts)


@given(times, st.lists(times, min_size=9, max_size=9))
def test_nothing_is_hidden_where_nothing_overlaps(voice_end_ns: int, ends: list[int]) -> None:
    in_order = sorted(ends)
    parts = split(voice_end_ns, Boundaries(dict(zip(PARTS, in_order, strict=True)), {}))
    expected = [b - a for a, b in zip([voice_end_ns, *in_order], in_order, strict=False)]
    assert [part.ms for part in parts] == pytest.approx([ns / 1e6 for ns in expected])
    assert not any(part.hidden_ms for part in parts)
