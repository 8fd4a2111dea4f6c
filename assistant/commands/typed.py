"""Lines that somebody types, or that come from a pipe."""

import signal
import sys
from contextlib import suppress
from typing import TextIO

import typer

MAX_CHARS = 65_536
"""Of one line: about eight times what a context of 2048 tokens holds."""


def clean(text: str) -> str:
    """`text` without what is no text: control characters, halves of characters, a byte order mark."""
    text = text.encode(errors="replace").decode().replace("\ufeff", "")
    return "".join(c if c.isprintable() or c.isspace() else " " for c in text)


def read_line(source: TextIO, prompt: str) -> str | None:
    """The next line, cleaned; None at the end. On a terminal with a prompt, editing and history.

    Ctrl-C raises KeyboardInterrupt, which asyncio's own handler would not.

    Raises:
        ValueError: a line of more than MAX_CHARS; it has been read.
    """
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        line = _edited(prompt) if source is sys.stdin and _is_terminal(source) else _read(source)
    finally:
        signal.signal(signal.SIGINT, before)
    if line is not None and len(line) > MAX_CHARS:
        raise ValueError(f"a line of more than {MAX_CHARS} characters is not read")
    return None if line is None else clean(line).strip()


def _is_terminal(source: TextIO) -> bool:
    return source.isatty() and sys.stdout.isatty()


def _edited(prompt: str) -> str | None:
    with suppress(ImportError):  # not on Windows, where the terminal itself edits
        import readline  # noqa: F401, PLC0415  # `input` edits lines once it is imported
    try:
        return input(prompt)
    except EOFError:
        typer.echo()
        return None


def _read(source: TextIO) -> str | None:
    line = part = source.readline(MAX_CHARS + 1)
    while part and not part.endswith("\n"):
        part = source.readline(MAX_CHARS + 1)  # the rest of a line that is too long
        line = line if len(line) > MAX_CHARS else line + part
    return line or None
