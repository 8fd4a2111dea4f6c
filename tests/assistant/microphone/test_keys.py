"""Keys of a real terminal, a pseudo-terminal's, and how it is left."""

import asyncio
import io
import os
import select
import sys
from collections.abc import Iterator
from typing import TextIO

import pytest

from assistant.microphone.keys import has_keys, keys

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="pseudo-terminals are POSIX")


@pytest.fixture
def terminal() -> Iterator[tuple[int, TextIO]]:
    """Where a user types, and what a program reads."""
    typed, read = os.openpty()
    with os.fdopen(read, "r", buffering=1) as source:
        yield typed, source
    os.close(typed)


def _unread(source: TextIO) -> bool:
    return bool(select.select([source], [], [], 0)[0])


async def press(terminal: tuple[int, TextIO], *chunks: bytes) -> list[str]:
    typed, source = terminal
    pressed: list[str] = []
    came = asyncio.Event()

    def note(key: str) -> None:
        pressed.append(key)
        came.set()

    async with keys(source, note):
        for chunk in chunks:
            came.clear()
            os.write(typed, chunk)
            await asyncio.wait_for(came.wait(), 10)
    return pressed


async def test_keys_come_without_enter(terminal: tuple[int, TextIO]) -> None:
    assert await press(terminal, b"m", b" ", b"\x1b", b"sq") == ["m", " ", "\x1b", "s", "q"]


async def test_an_arrow_is_no_escape(terminal: tuple[int, TextIO]) -> None:
    typed, source = terminal
    pressed: list[str] = []
    came = asyncio.Event()
    async with keys(source, lambda key: (pressed.append(key), came.set())):
        os.write(typed, b"\x1b[A")
        while _unread(source):  # noqa: ASYNC110  # a terminal tells nobody that it was read
            await asyncio.sleep(0)
        os.write(typed, b"s")
        await asyncio.wait_for(came.wait(), 10)
    assert pressed == ["s"]


@pytest.mark.parametrize("failure", [None, RuntimeError, asyncio.CancelledError, KeyboardInterrupt])
def test_the_terminal_is_as_before_whatever_happens(
    failure: type[BaseException] | None, terminal: tuple[int, TextIO]
) -> None:
    import termios  # noqa: PLC0415  # not on Windows

    before = termios.tcgetattr(terminal[1].fileno())

    async def main() -> None:
        async with keys(terminal[1], lambda _: None):
            assert termios.tcgetattr(terminal[1].fileno())[3] & (termios.ECHO | termios.ICANON) == 0
            if failure:
                raise failure

    if failure:
        with pytest.raises(failure):
            asyncio.run(main())
    else:
        asyncio.run(main())
    assert termios.tcgetattr(terminal[1].fileno()) == before


async def test_without_a_terminal_nothing_is_read() -> None:
    source = io.StringIO("q")
    assert not has_keys(source)
    async with keys(source, lambda _: pytest.fail("a key")):
        await asyncio.sleep(0)
