"""The bookkeeping of pages, by hand, and against a model of it in sets."""

from collections import Counter
from dataclasses import dataclass, field

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from llm.cuda.pages import Pages
from llm.decode.engine import EngineOutOfMemory


def names(*texts: str) -> list[bytes]:
    return [text.encode() for text in texts]


def test_pages_are_given_out_and_come_back() -> None:
    pages = Pages(3, 0)
    taken = pages.take(2)
    assert len(set(taken)) == 2
    with pytest.raises(EngineOutOfMemory, match="2 pages of keys and values wanted, 1 are free"):
        pages.take(2)
    assert pages.free == 1  # none was taken
    pages.drop(taken[:1])
    assert set(pages.take(2)) | {taken[1]} == {0, 1, 2}


def test_a_page_is_everybodys_who_holds_it() -> None:
    pages = Pages(4, 0)
    shared = pages.take(2)
    pages.hold(shared)
    copy = pages.to_write(shared[0])
    assert copy not in shared
    pages.drop([shared[0]])  # by one of the two
    assert pages.to_write(shared[0]) == shared[0]
    pages.drop(shared)
    pages.drop([copy])
    assert pages.free == 3  # one still holds shared[1]


def test_what_has_a_name_is_found_until_its_page_is_needed() -> None:
    pages = Pages(3, 3)
    first, second = pages.take(2)
    pages.name(names("a", "ab"), [first, second])
    assert pages.find(names("a", "x")) == [first]
    pages.drop([first, second])
    pages.drop([first])
    assert (pages.free, pages.stored) == (3, 2)
    assert pages.find(names("x", "a")) == []  # from the first on
    assert pages.find(names("a", "ab", "abc")) == [first, second]
    pages.drop([first, second])
    last = pages.take(2)  # the free one, and of the stored ones the text's end
    assert second in last
    assert pages.find(names("a", "ab")) == [first]


def test_of_what_is_stored_the_longest_unused_goes_first() -> None:
    pages = Pages(4, 2)
    a, b, c = pages.take(3)
    pages.name(names("a"), [a])
    pages.name(names("b"), [b])
    pages.name(names("c"), [c])
    for page in (a, b):
        pages.drop([page])
    pages.drop(pages.find(names("a")))  # now b is older
    pages.drop([c])
    assert pages.stored == 2
    assert pages.find(names("b")) == []
    assert pages.find(names("a")) == [a]
    assert pages.find(names("c")) == [c]


def test_a_page_with_a_name_is_not_written_while_there_is_another() -> None:
    pages = Pages(2, 2)
    (page,) = pages.take(1)
    pages.name(names("a"), [page])
    other = pages.to_write(page)
    assert other != page
    # There is no third: the name goes, and with it who could have found it.
    assert pages.to_write(page) == page
    pages.drop([page])
    assert pages.find(names("a")) == []
    (page,) = pages.take(1)
    pages.hold([page])
    with pytest.raises(EngineOutOfMemory):
        pages.to_write(page)  # it is not the caller's alone, and there is no other


def test_a_name_and_a_page_belong_to_each_other_once() -> None:
    pages = Pages(3, 3)
    first, second = pages.take(2)
    pages.name(names("a"), [first])
    pages.name(names("a"), [second])  # read again by another: the first stays
    pages.name(names("b"), [first])
    assert pages.find(names("a")) == [first]
    assert pages.find(names("b")) == []
    pages.drop([second])
    assert pages.free == 2


def test_where_nothing_is_stored_nothing_has_a_name() -> None:
    pages = Pages(2, 0)
    (page,) = pages.take(1)
    pages.name(names("a"), [page])
    assert pages.find(names("a")) == []
    assert pages.to_write(page) == page


@dataclass
class Sets:
    """What must be true of any calls: who holds what, and that what is found is as it was named."""

    pages: Pages
    held: list[list[int]] = field(default_factory=lambda: [[], [], []])
    written: Counter[int] = field(default_factory=Counter)  # how often each page was
    named: set[tuple[bytes, int, int]] = field(default_factory=set)  # name, page, how often it was written

    def call(self, name: str, who: int, number: int) -> None:
        mine = self.held[who]
        if name == "take":
            if number > self.pages.free:
                with pytest.raises(EngineOutOfMemory):
                    self.pages.take(number)
                return
            for page in self.pages.take(number):
                self.written[page] += 1
                mine.append(page)
        elif name == "drop":
            self.pages.drop(mine[number:])
            del mine[number:]
        elif name == "hold":
            other = self.held[number % 3]
            self.pages.hold(other)
            mine.extend(other)
        elif name == "name":
            wanted = [bytes([number, i]) for i in range(len(mine))]
            self.pages.name(wanted, mine)
            self.named |= {(n, page, self.written[page]) for n, page in zip(wanted, mine, strict=True)}
        elif name == "find":
            wanted = [bytes([number, i]) for i in range(4)]
            found = self.pages.find(wanted)
            assert {
                (n, page, self.written[page]) for n, page in zip(wanted, found, strict=False)
            } <= self.named
            mine.extend(found)
        elif name == "write" and mine:
            self.write(who, number % len(mine))

    def write(self, who: int, index: int) -> None:
        page = self.held[who][index]
        holders = Counter(page for held in self.held for page in held)
        if holders[page] > 1 and not self.pages.free:
            with pytest.raises(EngineOutOfMemory):
                self.pages.to_write(page)
            return
        own = self.pages.to_write(page)
        if own != page:
            assert holders[own] == 0
            self.pages.drop([page])
            self.held[who][index] = own
        self.written[own] += 1
        assert Counter(page for held in self.held for page in held)[own] == 1


@given(
    calls=st.lists(
        st.tuples(
            st.sampled_from(["take", "drop", "hold", "name", "find", "write"]),
            st.integers(0, 2),
            st.integers(0, 4),
        ),
        max_size=40,
    ),
    most_stored=st.integers(0, 4),
)
@settings(max_examples=300, deadline=None)
def test_any_calls(calls: list[tuple[str, int, int]], most_stored: int) -> None:
    sets = Sets(Pages(8, most_stored))
    for call in calls:
        sets.call(*call)
        held = {page for held in sets.held for page in held}
        assert sets.pages.free == 8 - len(held)
        assert sets.pages.stored <= most_stored
    for held in sets.held:
        sets.pages.drop(held)
    assert sorted(sets.pages.take(8)) == list(range(8))
