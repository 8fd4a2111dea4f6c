"""Calls in threads of their own, with a limit in place of a deadlock."""

import time
from collections.abc import Callable
from concurrent.futures import Future
from threading import Thread
from typing import TypeVar

DEADLOCK_S = 20.0

T = TypeVar("T")


def start(call: Callable[[], T]) -> "Future[T]":
    """What `call` gives or raises, in a thread that does not outlive a failed test's process."""
    future: Future[T] = Future()

    def work() -> None:
        try:
            future.set_result(call())
        except BaseException as error:  # noqa: BLE001  # for whoever takes the result
            future.set_exception(error)

    Thread(target=work, daemon=True).start()
    return future


def until(reached: Callable[[], bool]) -> None:
    end = time.monotonic() + DEADLOCK_S
    while not reached():
        assert time.monotonic() < end, "never reached"
        time.sleep(0.0005)
