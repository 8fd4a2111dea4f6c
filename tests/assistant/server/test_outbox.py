"""What is to be sent: in order, without waiting; a client that does not read is noticed."""

import asyncio
from collections.abc import Awaitable, Callable

import pytest
from websockets.exceptions import ConnectionClosedOK
from websockets.frames import Close

from assistant.runtime import VirtualLoop, run_virtual
from assistant.server.outbox import Outbox, Unread


class Reader:
    """A client that takes a message whenever it is `reading`."""

    def __init__(self) -> None:
        self.taken: list[str] = []
        self.reading = asyncio.Event()
        self.reading.set()
        self.closed = False

    async def send(self, message: str) -> None:
        if self.closed:
            close = Close(1000, "")
            raise ConnectionClosedOK(close, close, rcvd_then_sent=True)
        await self.reading.wait()
        self.taken.append(message)


def run(use: Callable[[Outbox, Reader, VirtualLoop], Awaitable[None]], unread_s: float = 2) -> None:
    loop = VirtualLoop()

    async def main() -> None:
        reader = Reader()
        await use(Outbox(reader, unread_s), reader, loop)

    run_virtual(main(), loop)


def test_messages_are_sent_in_order_and_all_of_them() -> None:
    async def use(outbox: Outbox, reader: Reader, _loop: VirtualLoop) -> None:
        await outbox.sent()  # nothing to wait for
        running = asyncio.create_task(outbox.run())
        for number in range(100):
            outbox.put(str(number))
            if number % 7 == 0:
                await asyncio.sleep(0.01)
        await outbox.sent()
        assert reader.taken == [str(number) for number in range(100)]
        running.cancel()

    run(use)


def test_sent_waits_for_the_last_message() -> None:
    async def use(outbox: Outbox, reader: Reader, _loop: VirtualLoop) -> None:
        running = asyncio.create_task(outbox.run())
        reader.reading.clear()
        outbox.put("slow")
        sent = asyncio.create_task(outbox.sent())
        await asyncio.sleep(1)
        assert not sent.done()
        reader.reading.set()
        await sent
        assert reader.taken == ["slow"]
        running.cancel()

    run(use)


def test_a_client_that_does_not_read_for_long_is_given_up() -> None:
    async def use(outbox: Outbox, reader: Reader, loop: VirtualLoop) -> None:
        reader.reading.clear()
        outbox.put("never")
        begun_ns = loop.clock.now_ns()
        with pytest.raises(Unread, match="2 s"):
            await outbox.run()
        assert loop.clock.now_ns() - begun_ns == 2_000_000_000
        await outbox.sent()  # nobody waits for what is never sent

    run(use)


def test_a_client_that_reads_now_and_then_is_kept() -> None:
    async def use(outbox: Outbox, reader: Reader, _loop: VirtualLoop) -> None:
        running = asyncio.create_task(outbox.run())
        for number in range(10):
            reader.reading.clear()
            outbox.put(str(number))
            await asyncio.sleep(1.9)
            reader.reading.set()
            await outbox.sent()
        assert len(reader.taken) == 10
        running.cancel()

    run(use)


def test_a_client_for_whom_too_much_is_waiting_is_given_up_at_once() -> None:
    async def use(outbox: Outbox, reader: Reader, loop: VirtualLoop) -> None:
        for _ in range(9):
            outbox.put("x" * 2**20)
        begun_ns = loop.clock.now_ns()
        with pytest.raises(Unread, match="waiting"):
            await outbox.run()
        assert loop.clock.now_ns() == begun_ns and reader.taken == []

    run(use)


def test_what_was_sent_does_not_wait_any_more() -> None:
    async def use(outbox: Outbox, reader: Reader, _loop: VirtualLoop) -> None:
        running = asyncio.create_task(outbox.run())
        for _ in range(30):
            outbox.put("x" * 2**20)
            await outbox.sent()
        assert len(reader.taken) == 30 and not running.done()
        running.cancel()

    run(use)


def test_a_closed_connection_ends_it_quietly() -> None:
    async def use(outbox: Outbox, reader: Reader, _loop: VirtualLoop) -> None:
        reader.closed = True
        outbox.put("too late")
        await outbox.run()
        await outbox.sent()
        assert reader.taken == []

    run(use)
