"""What the commands of the bench print as one line."""

import signal
import sys
from collections.abc import Callable
from typing import NoReturn

from websockets.exceptions import InvalidHandshake

from assistant.audio import AudioError, ClipError
from assistant.config import ConfigError


class BenchError(RuntimeError):
    """What keeps the bench from measuring; one line."""


EXPECTED = (AudioError, BenchError, ClipError, ConfigError, InvalidHandshake, OSError)


def run_command(name: str, command: Callable[[], bool]) -> NoReturn:
    """Run a command and exit: with code 0 if it returns true. Of expected errors the first is told.

    SIGTERM ends it as Ctrl-C does, so that the server which it has started is ended, too.
    """
    before = signal.signal(signal.SIGTERM, signal.default_int_handler)
    errors: list[BaseException] = []
    code = 1
    try:
        code = 0 if command() else 1
    except* EXPECTED as group:
        errors = _leaves(group)
    finally:
        signal.signal(signal.SIGTERM, before)
    if errors:
        print(f"{name}: {errors[0]}", file=sys.stderr)
    raise SystemExit(code)


def _leaves(error: BaseException) -> list[BaseException]:
    if not isinstance(error, BaseExceptionGroup):
        return [error]
    return [leaf for inner in error.exceptions for leaf in _leaves(inner)]
