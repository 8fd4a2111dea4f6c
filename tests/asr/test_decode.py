"""Decoding with a draft, on decoders whose language is a rule on the whole prefix."""

import random
import statistics
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from asr.decode import Decoding, decode, repeated, token_limit
from asr.moonshine.config import BOS, EOS
from asr.moonshine.text_decoder import Step

VOCABULARY, FRAMES = 8, 40
Rule = Callable[[tuple[int, ...]], tuple[int, int]]
"""What follows a prefix, and the frame that is listened to for it."""


@dataclass
class State:
    tokens: list[int] = field(default_factory=list)


@dataclass
class Ruled:
    """Reads its own prefix back: what was cut off at the wrong place changes what follows."""

    rule: Rule
    passes: list[tuple[int, int]] = field(default_factory=list)  # tokens and rows of each

    def decode(self, state: State, tokens: Sequence[int], rows_from: int = 0) -> Step:
        assert 0 <= rows_from < len(tokens)
        first = len(state.tokens) + rows_from
        state.tokens += tokens
        assert state.tokens[0] == BOS
        prefixes = [tuple(state.tokens[1 : end + 1]) for end in range(first, len(state.tokens))]
        self.passes.append((len(tokens), len(prefixes)))
        attention = np.zeros((len(prefixes), FRAMES), np.float32)
        for row, prefix in zip(attention, prefixes, strict=True):
            row[self.rule(prefix)[1]] = 1
        best = np.array([self.rule(prefix)[0] for prefix in prefixes])
        return Step(best, np.array([certainty(prefix) for prefix in prefixes], np.float32), attention)

    def truncate(self, state: State, positions: int) -> None:
        assert 0 <= positions <= len(state.tokens)
        del state.tokens[positions:]


def certainty(prefix: tuple[int, ...]) -> float:
    return -random.Random(f"sure {prefix}").random()


def anything(prefix: tuple[int, ...]) -> tuple[int, int]:
    """No token 1 (the first), and now and then the end."""
    rng = random.Random(str(prefix))
    return rng.choice([2, 3, 3, 4, 4, 5, 6, 7]), rng.randrange(FRAMES)


def stuttering(prefix: tuple[int, ...]) -> tuple[int, int]:
    """Depends on the last two tokens only, so it repeats itself, mostly where it has been before."""
    rng = random.Random(str(prefix[-2:]))
    frame = rng.randrange(5) + (len(prefix) if random.Random(len(prefix)).random() < 0.5 else 0)
    return rng.choice([2, 3, 4, 4, 5]), min(frame, FRAMES - 1)


def one_by_one(rule: Rule, forced: Sequence[int], limit: int) -> tuple[list[int], int]:
    """The definition of what is read, and of how many tokens at its end are doubtful."""
    tokens, begin, period, others, repeats = list(forced), 0, 0, 0, 0
    while (token := rule(tuple(tokens))[0]) != EOS and len(tokens) < limit and repeats < 32:
        tokens.append(token)
        if period and token == tokens[-1 - period]:
            repeats, others = repeats + 1, 0
            continue
        if period and others == 0:
            others = 1
            continue
        period = hallucinated(tokens, [rule(tuple(tokens[:end]))[1] for end in range(len(tokens))])
        begin, others, repeats = max(len(forced), len(tokens) - period), 0, 0
    return tokens, len(tokens) - begin if period else 0


def hallucinated(tokens: list[int], peaks: list[int]) -> int:
    """A phrase of 3 to 24 tokens said twice in a row, the second time not later by 0.8 of its length.

    A token ends where the row after it listens; where the last one ends is not known yet.
    """
    for length in range(3, 25):
        if len(tokens) >= 2 * length and tokens[-length:] == tokens[-2 * length : -length]:
            ends = [*peaks[1:], None]
            first, second = ends[-2 * length : -length], ends[-length:-1]
            if statistics.median(second) - statistics.median(first) <= 0.8 * (max(first) - min(first)):
                return length
    return 0


def run(rule: Rule, draft: Sequence[int], limit: int, forced: int = 0, known: int = 0) -> Decoding:
    decoder, state = Ruled(rule), State([BOS, 5, 5])  # what was read before does not matter
    peaks = [rule(tuple(draft[:end]))[1] for end in range(known)]
    return decode(decoder, state, draft, limit, forced, peaks)


drafts = st.lists(st.integers(2, VOCABULARY - 1), max_size=30)


@st.composite
def cases(draw: st.DrawFn) -> tuple[Rule, list[int], int, int, int]:
    """A rule, a draft that mostly begins rightly, the limit, and how much of it is forced and known."""
    rule = draw(st.sampled_from([anything, stuttering]))
    forced = draw(st.lists(st.integers(3, VOCABULARY - 1), max_size=10))
    limit = draw(st.integers(0, 40))
    right = list(forced)  # the guard left out: a draft may go on where it would have stopped
    while len(right) < draw(st.integers(0, 30)) and (token := rule(tuple(right))[0]) != EOS:
        right.append(token)
    return rule, [*right, *draw(drafts)], limit, len(forced), draw(st.integers(0, len(forced)))


@given(cases())
@example((stuttering, [4] * 20, 40, 0, 0))
def test_a_draft_never_changes_the_tokens(case: tuple[Rule, list[int], int, int, int]) -> None:
    rule, draft, limit, forced, known = case
    reading = run(rule, draft, limit, forced, known)
    assert (list(reading.tokens), reading.doubtful) == one_by_one(rule, draft[:forced], limit)
    assert forced <= reading.accepted <= len(draft)
    assert list(reading.tokens[: reading.accepted]) == draft[: reading.accepted]


@given(cases())
def test_each_row_is_the_one_that_chose_its_token(case: tuple[Rule, list[int], int, int, int]) -> None:
    rule, draft, limit, forced, known = case
    reading = run(rule, draft, limit, forced, known)
    assert len(reading.rows) == len(reading.tokens) - known + 1
    for end, row in enumerate(reading.rows, known):
        prefix = reading.tokens[:end]
        assert row.log_prob == np.float32(certainty(prefix))
        assert row.peak == rule(prefix)[1]
        assert row.attention.shape == (FRAMES,)


def counting(prefix: tuple[int, ...]) -> tuple[int, int]:
    """Ten tokens, then the end."""
    return (3 + len(prefix) % 5 if len(prefix) < 10 else EOS), len(prefix)


RIGHT = [3, 4, 5, 6, 7, 3, 4, 5, 6, 7]


@pytest.mark.parametrize(
    ("draft", "accepted", "passes"),
    [
        (RIGHT, 10, 1),
        ([*RIGHT, 3, 3], 10, 1),
        (RIGHT[:4], 4, 7),
        ([*RIGHT[:4], 3, *RIGHT[4:]], 4, 7),
        ([], 0, 11),
    ],
)
def test_the_draft_is_verified_in_one_pass(draft: list[int], accepted: int, passes: int) -> None:
    decoder = Ruled(counting)
    reading = decode(decoder, State(), draft, 40)
    assert list(reading.tokens) == RIGHT
    assert reading.accepted == accepted
    assert decoder.passes[0] == (1 + len(draft), 1 + len(draft))
    assert decoder.passes[1:] == [(1, 1)] * (passes - 1)


def test_no_rows_are_computed_that_are_known() -> None:
    decoder = Ruled(counting)
    reading = decode(decoder, State(), RIGHT, 40, 8, range(6))
    assert decoder.passes == [(11, 5)]
    assert len(reading.rows) == 5


def test_forced_tokens_stay_even_if_the_limit_is_lower() -> None:
    assert run(counting, [7, 7, 7, 7], 2, forced=3).tokens == (7, 7, 7)


def saying(phrase: Sequence[int], times: int, frame: Callable[[int], int]) -> Rule:
    tokens = [*phrase] * times

    def rule(prefix: tuple[int, ...]) -> tuple[int, int]:
        return (tokens[len(prefix)] if len(prefix) < len(tokens) else EOS), frame(len(prefix))

    return rule


PHRASE = (3, 4, 5, 6)


@pytest.mark.parametrize(
    "frame",
    [
        lambda position: position % 4 + 2,  # it goes back to where it heard the phrase
        lambda position: min(position, 4),  # it stays where the phrase ended
        lambda position: 8 * min(position, 4) + max(0, position - 4) % 4,  # it goes on into the silence
    ],
)
@pytest.mark.parametrize("draft", [(), PHRASE, PHRASE * 2, PHRASE * 5])
@pytest.mark.parametrize("forced", [0, 4])
def test_a_phrase_heard_once_is_doubtful_the_second_time(
    frame: Callable[[int], int], draft: tuple[int, ...], forced: int
) -> None:
    rule = saying(PHRASE, 5, frame)
    if len(draft) >= forced:
        reading = run(rule, draft, 40, forced, forced)
        assert reading.tokens == PHRASE * 5
        short = reading.without_repetition()
        assert short.tokens == PHRASE
        assert len(short.rows) == len(PHRASE) + 1 - forced
        assert short.without_repetition() is short


@pytest.mark.parametrize("drafted", [7, 8])
def test_a_phrase_that_is_forced_is_not_taken_back(drafted: int) -> None:
    rule = saying(PHRASE, 5, lambda _: 3)
    reading = run(rule, (PHRASE * 2)[:drafted], 40, forced=7)
    assert reading.without_repetition().tokens == (PHRASE * 2)[:7]


@pytest.mark.parametrize("draft", [(), PHRASE * 4, (*PHRASE * 4, 7, 3)])
@pytest.mark.parametrize("frame", [lambda position: position % 4 + 2, lambda _: 4])
def test_what_goes_on_with_something_else_was_no_loop(
    frame: Callable[[int], int], draft: tuple[int, ...]
) -> None:
    """ "Far, far, far, far away": attention cannot tell one "far" from the next, and the rest was said."""
    said = (*PHRASE * 4, 7, 3)
    reading = run(saying(said, 1, frame), draft, 60)
    assert (reading.tokens, reading.doubtful, reading.ended) == (said, 0, True)


@pytest.mark.parametrize("draft", [(), PHRASE * 3])
def test_an_endless_loop_is_left(draft: tuple[int, ...]) -> None:
    reading = run(saying(PHRASE, 1000, lambda _: 3), draft, 1000)
    assert not reading.ended
    assert len(reading.rows) == len(reading.tokens) + 1  # the words have times all the same
    assert len(reading.tokens) < 64
    assert reading.without_repetition().tokens == PHRASE


@pytest.mark.parametrize("draft", [(), PHRASE * 2])
def test_a_phrase_said_three_times_is_written_three_times(draft: tuple[int, ...]) -> None:
    assert run(saying(PHRASE, 3, lambda position: 3 * position), draft, 40).tokens == PHRASE * 3


@pytest.mark.parametrize("tokens", [[3, 3, 3, 3], [3, 4, 3, 4], [3, 4, 5, 3, 4]])
def test_two_tokens_may_be_repeated_anywhere(tokens: list[int]) -> None:
    """ "No, no": too short to be sure, and no harm."""
    assert repeated(tokens, [1] * len(tokens)) == 0


@pytest.mark.parametrize(("seconds", "tokens"), [(0, 4), (0.005, 4), (1, 10), (10, 69)])
def test_no_more_is_read_than_can_be_said(seconds: float, tokens: int) -> None:
    assert token_limit(seconds) == tokens
    endless = saying(range(3, 8), 1000, lambda position: min(position, FRAMES - 1))
    assert len(run(endless, (), min(tokens, FRAMES)).tokens) == min(tokens, FRAMES)
