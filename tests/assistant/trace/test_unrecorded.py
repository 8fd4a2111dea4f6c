"""Real models are asked the same thing once, and hold no more places than there are."""

from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import NoReturn

import pytest

from assistant.trace.errors import TraceError
from assistant.trace.unrecorded import Unrecorded


def no_models() -> NoReturn:
    raise AssertionError("nothing asks for all of them")


class Places:
    """A model with places for streams, of which one that is not closed keeps its own."""

    def __init__(self) -> None:
        self.taken = self.most = self.begun = 0

    def count(self, first: int) -> Iterator[int]:
        self.taken += 1
        self.begun += 1
        self.most = max(self.most, self.taken)
        try:
            yield from range(first, first + 4)
        finally:
            self.taken -= 1


def test_the_same_thing_is_asked_once() -> None:
    real, asked = Unrecorded(Path("t"), no_models, sessions=1), []

    def answer() -> int:
        asked.append(1)
        return 7

    assert [real.answer("score", "a", answer), real.answer("score", "a", answer)] == [7, 7]
    assert real.answer("score", "b", answer) == 7
    assert (len(asked), real.counts, real.asked) == (2, {"score": 3}, {"score": 2})


def test_an_error_is_no_answer() -> None:
    real = Unrecorded(Path("t"), no_models, sessions=1)
    with suppress(AssertionError):
        real.answer("score", "a", no_models)
    assert real.answer("score", "a", lambda: 7) == 7


@pytest.mark.parametrize(("sessions", "most", "begun"), [(1, 1, 4), (2, 2, 2)])
def test_streams_that_take_turns_give_the_same_in_any_number_of_places(
    sessions: int, most: int, begun: int
) -> None:
    real, places = Unrecorded(Path("t"), no_models, sessions=sessions), Places()
    one, other = (real.stream("llm.reply", str(n), lambda n=n: places.count(n)) for n in (10, 20))  # type: ignore[misc]
    assert [one.item(0), other.item(0), one.item(1), other.item(2)] == [10, 20, 11, 22]
    assert (places.most, places.begun) == (most, begun)
    again = real.stream("llm.reply", "10", lambda: places.count(99))
    assert [again.item(1), again.item(3)] == [11, 13]
    with pytest.raises(StopIteration):
        again.item(4)


def test_strict_refuses_and_names_what() -> None:
    real = Unrecorded(Path("t"), no_models, sessions=1, strict=True)
    with pytest.raises(TraceError, match=r"t: asked for what was not recorded: score \(1\)"):
        real.answer("score", "a", lambda: 7)
