from collections.abc import Iterator, Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from llm.decode.drafts import PromptLookup, prompt_lookups


def scanned(tokens: Sequence[int], limit: int, longest: int, shortest: int) -> list[int]:
    """What followed the last occurrence of the longest n-gram, by scanning the text; on past its end."""
    for n in range(min(longest, len(tokens)), shortest - 1, -1):
        for start in range(len(tokens) - n - 1, -1, -1):
            if tokens[start : start + n] == tokens[-n:]:
                text = list(tokens)
                for i in range(limit):
                    text.append(text[start + n + i])
                return text[len(tokens) :]
    return []


@pytest.mark.parametrize(
    ("tokens", "limit", "proposed"),
    [
        ([5, 6, 7, 8, 9, 5, 6], 3, [7, 8, 9]),
        ([5, 6, 7, 5, 6, 8, 5, 6], 1, [8]),  # the last occurrence
        ([4, 5, 6, 7, 1, 5, 6, 8, 4, 5, 6], 1, [7]),  # the longer n-gram before the later one
        ([1, 5, 6, 2, 5, 6], 8, [2, 5, 6, 2, 5, 6, 2, 5]),  # goes round where the text ends
        ([3, 3, 3], 3, [3, 3, 3]),
        ([5, 6, 7, 8], 3, []),
        ([5, 6, 7, 6], 3, []),  # one token is not enough
        ([5, 6, 7, 5, 6], 0, []),
        ([], 3, []),
        ([5], 3, []),
    ],
)
def test_lookups_by_hand(tokens: list[int], limit: int, proposed: list[int]) -> None:
    assert PromptLookup().propose(tokens, limit) == proposed


@given(
    ranges=st.sampled_from([(4, 2), (3, 3), (1, 1), (6, 1)]),
    prompts=st.lists(
        st.tuples(st.integers(0, 30), st.lists(st.integers(0, 2), max_size=12), st.integers(0, 9)),
        min_size=1,
        max_size=5,
    ),
    data=st.data(),
)
@settings(max_examples=300, deadline=None)
def test_lookups_against_a_scan(
    ranges: tuple[int, int], prompts: list[tuple[int, list[int], int]], data: st.DataObject
) -> None:
    lookup, last = PromptLookup(*ranges), list[int]()
    for kept, more, steps in prompts:  # each prompt begins like the one before
        tokens = last[:kept] + more
        assert lookup.propose(tokens, 5) == scanned(tokens, 5, *ranges)
        for _ in range(steps):  # and its reply grows the same list
            tokens.extend(data.draw(st.lists(st.integers(0, 2), max_size=3)))
            assert lookup.propose(tokens, 3) == scanned(tokens, 3, *ranges)
        last = tokens


def test_a_list_that_was_cut_is_read_anew() -> None:
    lookup, tokens = PromptLookup(), [1, 2, 3, 1, 2, 4]
    lookup.propose(tokens, 3)
    del tokens[4:]
    tokens.append(2)
    assert lookup.propose(tokens, 3) == [3, 1, 2]


def test_the_text_is_not_read_again_for_every_token() -> None:
    class Counted(list[int]):
        read = 0

        def __getitem__(self, key: slice) -> list[int]:  # type: ignore[override]
            part = super().__getitem__(key)
            Counted.read += len(part)
            return part

        def __iter__(self) -> Iterator[int]:
            for token in super().__iter__():
                Counted.read += 1
                yield token

    tokens, lookup = Counted(range(1000)), PromptLookup()
    lookup.propose(tokens, 4)
    Counted.read = 0
    for token in range(100):
        tokens.append(token)
        assert lookup.propose(tokens, 4) == (list(range(token + 1, token + 5)) if token else [])
    assert Counted.read <= 200


@pytest.mark.parametrize("lengths", [(2, 3), (3, 0), (0, 0), (3, -1)])
def test_lengths_that_mean_nothing_are_refused(lengths: tuple[int, int]) -> None:
    with pytest.raises(ValueError, match="1 <= shortest <= longest"):
        PromptLookup(*lengths)


def test_the_usual_lookups_part_long_from_short_matches() -> None:
    long, short = prompt_lookups()
    text = [1, 2, 3, 4, 9, 2, 3]
    assert (long.propose(text, 2), short.propose(text, 2)) == ([], [4, 9])
    text = [1, 2, 3, 4, 9, 1, 2, 3]
    assert long.propose(text, 2) == [4, 9]
