"""A conversation is kept as it changes, on virtual time, whatever becomes of the store."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import replace

import pytest
from stores import MemoryStore

from assistant.runtime import VirtualLoop, run_virtual
from assistant.server.keeper import Keeper, StoreLost, find
from assistant.server.kept import Writer, read_kept
from assistant.server.protocol import open_state
from assistant.server.resume import NOTHING
from assistant.server.settings import Limits
from assistant.server.state import Entry, State
from assistant.session.conversation import UserItem

FRESH = open_state("x", "assistant", "Be brief.", 99, Limits(), can_call=True)


def saying(*words: str) -> State:
    items = {f"u{n}": Entry(UserItem(f"u{n}", text)) for n, text in enumerate(words)}
    return replace(FRESH, items=items)


class Timed(MemoryStore):
    """Says when it was saved to."""

    def __init__(self, loop: VirtualLoop) -> None:
        super().__init__()
        self.loop, self.asked_ms, self.takes_ms = loop, list[int](), 0

    async def save(self, session_id: str, text: str) -> None:
        now_ns = self.loop.clock.now_ns()
        self.asked_ms.append(now_ns // 1_000_000)
        await self.loop.clock.sleep_until(now_ns + self.takes_ms * 1_000_000)
        await super().save(session_id, text)

    def words(self) -> list[list[str]]:
        items = [[entry.item for entry in read_kept(text).entries] for _, text in self.saved]
        return [[item.text for item in each if isinstance(item, UserItem)] for each in items]


def kept(what: Callable[[Keeper, Timed, VirtualLoop], Awaitable[None]], most: int = 10**6) -> Timed:
    """A store, after `what` was done with a keeper that runs."""
    loop = VirtualLoop()
    store = Timed(loop)

    async def main() -> None:
        keeper = Keeper(store, "sess_x", Writer(FRESH.session, most), loop.clock)
        task = asyncio.create_task(keeper.run())
        await what(keeper, store, loop)
        task.cancel()
        await asyncio.wait([task])
        await keeper.settle()

    run_virtual(main(), loop)
    return store


async def until(loop: VirtualLoop, ms: int) -> None:
    await loop.clock.sleep_until(ms * 1_000_000)


def test_a_change_is_saved_at_once_and_those_soon_after_it_together() -> None:
    async def what(keeper: Keeper, _: Timed, loop: VirtualLoop) -> None:
        for number in range(1, 11):  # every 20 ms
            await until(loop, number * 20)
            keeper.note(saying(*map(str, range(number))))
        await until(loop, 5000)
        keeper.note(saying("later"))
        await until(loop, 6000)

    store = kept(what)
    assert store.asked_ms == [20, 270, 5000]
    assert [words[-1:] for words in store.words()] == [["0"], ["9"], ["later"]]
    assert {name for name, _ in store.saved} == {"sess_x"}


def test_a_state_with_the_same_items_and_settings_is_not_saved_again() -> None:
    async def what(keeper: Keeper, _: Timed, loop: VirtualLoop) -> None:
        state = saying("a")
        keeper.note(state)
        await until(loop, 1000)
        keeper.note(replace(state, numbers=7))
        await until(loop, 2000)
        keeper.note(replace(state, session={**state.session, "instructions": "Be loud."}))
        await until(loop, 3000)

    assert kept(what).asked_ms == [0, 2000]


def test_a_slow_store_gets_the_newest_state_next() -> None:
    async def what(keeper: Keeper, store: Timed, loop: VirtualLoop) -> None:
        store.takes_ms = 900
        for number in range(1, 11):
            keeper.note(saying(str(number)))
            await until(loop, number * 100)
        await until(loop, 5000)

    store = kept(what)
    assert store.asked_ms == [0, 1150] and store.words() == [["1"], ["10"]]


def test_what_a_lost_store_did_not_take_is_saved_when_it_is_back() -> None:
    async def what(keeper: Keeper, store: Timed, loop: VirtualLoop) -> None:
        store.lost = True
        keeper.note(saying("a"))
        await until(loop, 2500)
        keeper.note(saying("b"))
        store.lost = False
        await until(loop, 4000)

    store = kept(what)
    assert store.asked_ms == [0, 1000, 2000, 3000] and store.words() == [["b"]]


def test_the_last_change_is_saved_at_the_end() -> None:
    async def what(keeper: Keeper, _: Timed, loop: VirtualLoop) -> None:
        keeper.note(saying("a"))
        await until(loop, 100)
        keeper.note(saying("b"))

    store = kept(what)
    assert store.asked_ms == [0, 100] and store.words() == [["a"], ["b"]]


def test_a_save_that_the_end_cut_off_is_done_again() -> None:
    async def what(keeper: Keeper, store: Timed, loop: VirtualLoop) -> None:
        store.takes_ms = 500
        keeper.note(saying("a"))
        await until(loop, 100)
        store.takes_ms = 0

    store = kept(what)
    assert store.asked_ms == [0, 100] and store.words() == [["a"]]


@pytest.mark.parametrize("lost", [True, False])
def test_the_end_does_not_wait_for_a_store_that_is_lost_and_nothing_is_saved_twice(lost: bool) -> None:
    async def what(keeper: Keeper, store: Timed, loop: VirtualLoop) -> None:
        keeper.note(saying("a"))
        await until(loop, 100)
        store.lost = lost
        if lost:
            keeper.note(saying("b"))

    assert kept(what).asked_ms == [0]


def test_settings_that_are_too_large_are_told_once(capsys: pytest.CaptureFixture[str]) -> None:
    async def what(keeper: Keeper, _: Timed, loop: VirtualLoop) -> None:
        for number in range(3):
            keeper.note(saying(str(number)))
            await until(loop, 1000 * (number + 1))

    assert kept(what, most=10).asked_ms == []
    assert capsys.readouterr().out.count("resume_bytes") == 1


async def test_what_becomes_of_an_id_that_is_asked_for() -> None:
    store = MemoryStore()
    assert await find(None, "", 60) is NOTHING
    none = await find(None, "sess_a", 60)
    assert none.refusal and none.refusal.code == "resume_unavailable" and none.resumable_s is None
    fresh = await find(store, "", 60)
    assert (fresh.resumable_s, fresh.kept, fresh.refusal) == (60, None, None)
    unknown = await find(store, "sess_a", 60)
    assert unknown.refusal and unknown.refusal.code == "resume_not_found" and unknown.resumable_s == 60
    text = Writer(FRESH.session, 10**6).write(saying("a"))
    await store.save("sess_a", text or "")
    known = await find(store, "sess_a", 60)
    assert known.kept and known.id == "sess_a" and known.refusal is None
    await store.save("sess_a", "garbage")
    damaged = await find(store, "sess_a", 60)
    assert damaged.refusal and damaged.refusal.code == "resume_not_found"
    store.lost = True
    gone = await find(store, "sess_a", 60)
    assert gone.refusal and gone.refusal.code == "resume_unavailable" and gone.resumable_s == 60
    with pytest.raises(StoreLost):
        await store.load("sess_a")
