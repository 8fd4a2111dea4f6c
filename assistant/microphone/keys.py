"""Single keys of a terminal, without Enter and without echo; the terminal is put back whatever happens."""

import asyncio
import os
import sys
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from typing import TextIO

_POLL_S = 0.05  # Windows has no event for a key

ESCAPE = "\x1b"


def has_keys(source: TextIO) -> bool:
    """Whether someone can press a key there."""
    try:
        return source.isatty()
    except ValueError:  # closed
        return False


@asynccontextmanager
async def keys(source: TextIO, pressed: Callable[[str], None]) -> AsyncIterator[None]:
    """Call `pressed` for every key but those that send several characters (arrows). Ctrl-C interrupts."""
    if not has_keys(source):
        yield
    elif sys.platform == "win32":
        task = asyncio.create_task(_poll(pressed), name="keys")
        try:
            yield
        finally:
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task
    else:
        with _watched(source.fileno(), pressed):
            yield


@contextmanager
def _watched(terminal: int, pressed: Callable[[str], None]) -> Iterator[None]:
    import termios  # noqa: PLC0415  # not on Windows
    import tty  # noqa: PLC0415  # likewise

    def read() -> None:
        text = os.read(terminal, 64).decode(errors="ignore")
        for key in text if not text.startswith(ESCAPE) or text == ESCAPE else "":
            pressed(key)

    loop, before = asyncio.get_running_loop(), termios.tcgetattr(terminal)
    try:
        tty.setcbreak(terminal)
        loop.add_reader(terminal, read)
        yield
    finally:
        loop.remove_reader(terminal)
        termios.tcsetattr(terminal, termios.TCSADRAIN, before)


async def _poll(pressed: Callable[[str], None]) -> None:
    import msvcrt  # noqa: PLC0415  # only on Windows

    while True:
        while msvcrt.kbhit():  # type: ignore[attr-defined,unused-ignore]
            pressed(msvcrt.getwch())  # type: ignore[attr-defined,unused-ignore]
        await asyncio.sleep(_POLL_S)
