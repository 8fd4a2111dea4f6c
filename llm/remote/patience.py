"""Waiting for another machine: how long, what is wrong after that, and whether anybody still wants it."""

import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Self

_POLL_S = 0.02


class RemoteError(RuntimeError):
    """A server that cannot be used, or that failed; names neither keys nor anything that was said.

    `url` has no credentials, `status` is that of HTTP if it came so far. If `transient`, the same request may
    succeed, after `retry_after_s`.
    """

    def __init__(
        self,
        url: str,
        what: str,
        status: int | None = None,
        *,
        transient: bool = False,
        retry_after_s: float = 0.0,
    ) -> None:
        super().__init__(f"{url}: {what}")
        self.url, self.what, self.status = url, what, status
        self.transient, self.retry_after_s = transient, retry_after_s


class Unwanted(Exception):  # noqa: N818  # nothing is wrong
    """Nobody wants the answer any more."""


@dataclass(frozen=True)
class Patience:
    """Wait until `stopped()`, or until `until_s` of the monotonic clock: then `what` is wrong with `url`."""

    url: str
    stopped: Callable[[], bool]
    until_s: float
    what: str

    def at_most(self, seconds: float, what: str) -> Self:
        """The same, but no longer than `seconds` from now."""
        until_s = time.monotonic() + seconds
        return replace(self, until_s=until_s, what=what) if until_s < self.until_s else self

    def left_s(self) -> float:
        """Time left; raises Unwanted, or RemoteError if there is none."""
        if self.stopped():
            raise Unwanted
        left_s = self.until_s - time.monotonic()
        if left_s <= 0:
            raise RemoteError(self.url, self.what)
        return left_s

    def poll_s(self) -> float:
        """How long to wait before asking again; raises as `left_s` does."""
        return min(self.left_s(), _POLL_S)

    def sleep(self, seconds: float) -> None:
        """Do nothing for so long; raises as `left_s` does."""
        end_s = time.monotonic() + seconds
        while (rest_s := end_s - time.monotonic()) > 0:
            time.sleep(min(rest_s, self.poll_s()))
