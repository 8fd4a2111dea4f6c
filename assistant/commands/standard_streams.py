"""Standard input and output that are closed, full, or of an encoding that lacks what people write."""

import errno
import io
import os
import sys
from contextlib import suppress
from typing import NoReturn

_LOST = (errno.EPIPE, errno.ENOSPC, errno.EIO, errno.EBADF)


def prepare() -> None:
    """Make the standard streams usable, whatever they are.

    One that is closed becomes the null device: else the next file to be opened would take its place. Bytes
    that the terminal's encoding lacks are replaced; ASCII, which says that nobody chose, is read as UTF-8.
    """
    for descriptor in range(3):
        try:
            os.fstat(descriptor)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # takes the lowest number that is free
    sys.stdin = sys.stdin or os.fdopen(0, closefd=False)
    sys.stdout = sys.stdout or os.fdopen(1, "w", closefd=False)
    sys.stderr = sys.stderr or os.fdopen(2, "w", closefd=False)
    if isinstance(sys.stdin, io.TextIOWrapper):
        unchosen = sys.stdin.encoding.lower() in ("ascii", "us-ascii", "ansi_x3.4-1968")
        sys.stdin.reconfigure(encoding="utf-8" if unchosen else None, errors="replace")
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="replace")


def is_lost(error: BaseException) -> bool:
    """Whether `error` says that something could not be written to a standard stream.

    Errors of files name the file. A group is, if all that is in it is.
    """
    if isinstance(error, BaseExceptionGroup):
        return all(is_lost(each) for each in error.exceptions)
    return isinstance(error, OSError) and error.filename is None and error.errno in _LOST


def end(error: BaseException) -> NoReturn:
    """End with one line about output that `is_lost`, or quietly where nobody reads any more; exit code 1."""
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    assert isinstance(error, OSError), "a lost output"
    null = os.open(os.devnull, os.O_WRONLY)
    os.dup2(null, 1)  # what is still in the buffer would be an error again when Python ends
    if error.errno != errno.EPIPE:
        with suppress(OSError):
            print(f"assistant: standard output: {error.strerror}", file=sys.stderr, flush=True)
    os.dup2(null, 2)
    raise SystemExit(1)
