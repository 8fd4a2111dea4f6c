"""A listener to a session: every event, in order, until the end; or an error where some were lost."""

import asyncio

import pytest

from assistant.runtime import run_virtual
from assistant.session import events
from assistant.session.events import Listener, ListenerLagged, SpeechStarted

CAPACITY = 1024


def started(*samples: int) -> list[SpeechStarted]:
    return [SpeechStarted(sample, "item_1") for sample in samples]


def push(listener: Listener, *samples: int) -> None:
    for event in started(*samples):
        listener.push(event)


def test_drain_gives_what_came_since_it_was_drained_last() -> None:
    listener = Listener()
    assert listener.drain() == []
    push(listener, 1, 2)
    assert listener.drain() == started(1, 2)
    assert listener.drain() == []
    push(listener, 3)
    listener.close()
    assert listener.drain() == started(3)
    assert listener.drain() == []


def test_a_reader_gets_every_event_in_order_and_ends_after_the_last() -> None:
    listener = Listener()
    got: list[object] = []

    async def read() -> None:
        async for event in listener:
            got.append(event)
            await asyncio.sleep(0.01)

    async def main() -> None:
        push(listener, 0)  # before anyone reads
        reader = asyncio.create_task(read())
        for number in range(1, 50):
            push(listener, number)
            await asyncio.sleep(0.003)
        push(listener, 50, 51)
        listener.close()
        await reader

    run_virtual(main())
    assert got == started(*range(52))


def test_a_reader_waits_for_the_next_event() -> None:
    listener = Listener()
    got: list[object] = []

    async def read() -> None:
        async for event in listener:
            got.append(event)

    async def main() -> None:
        reader = asyncio.create_task(read())
        await asyncio.sleep(10)
        assert not reader.done() and got == []
        push(listener, 1)
        await asyncio.sleep(0.001)
        assert got == started(1)
        listener.close()
        await reader

    run_virtual(main())


def test_a_reader_of_a_session_that_is_over_gets_the_rest() -> None:
    listener = Listener()
    push(listener, 1, 2)
    listener.close()

    async def main() -> list[object]:
        return [event async for event in listener]

    assert run_virtual(main()) == started(1, 2)


def test_a_loop_that_is_left_leaves_the_rest_unread() -> None:
    """As a terminal does that waits for the end of one reply."""
    listener = Listener()

    async def main() -> None:
        push(listener, 1, 2)
        async for event in listener:
            assert event == SpeechStarted(1, "item_1")
            break
        push(listener, 3)
        listener.close()
        assert [event async for event in listener] == started(2, 3)

    run_virtual(main())


def test_a_listener_as_far_behind_as_it_may_be_has_lost_nothing() -> None:
    listener = Listener()
    push(listener, *range(CAPACITY))
    assert listener.drain() == started(*range(CAPACITY))
    push(listener, *range(CAPACITY))
    assert len(listener.drain()) == CAPACITY


def test_a_listener_further_behind_gets_what_came_before_the_gap_and_then_an_error() -> None:
    listener = Listener()
    push(listener, *range(CAPACITY + 1))
    push(listener, 9999)
    assert listener.drain() == started(*range(CAPACITY))
    for _ in range(2):  # and nothing behind the gap, ever
        with pytest.raises(ListenerLagged, match="1024 events were left unread"):
            listener.drain()
        push(listener, 10_000)
        listener.close()


def test_a_reader_further_behind_gets_the_error_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(events, "_CAPACITY", 3)
    listener = Listener()
    got: list[object] = []

    async def read() -> None:
        async for event in listener:
            got.append(event)
            await asyncio.sleep(1)

    async def main() -> None:
        reader = asyncio.create_task(read())
        await asyncio.sleep(0)
        push(listener, 1)
        await asyncio.sleep(0.5)
        push(listener, 2, 3, 4, 5)
        listener.close()
        with pytest.raises(ListenerLagged):
            await reader

    run_virtual(main())
    assert got == started(1, 2, 3, 4)
