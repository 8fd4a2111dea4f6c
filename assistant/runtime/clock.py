"""Time, injected everywhere so that tests can run it at their own pace. Monotonic only."""

import asyncio
import time
from collections.abc import Callable


class Clock:
    """Nanoseconds of a monotonic clock, and waiting on it.

    `now_ns` may be called from any thread. Under test it reads the virtual event loop's time,
    so that every wait of asyncio itself runs on the same clock.
    """

    def __init__(self, now_ns: Callable[[], int] = time.monotonic_ns) -> None:
        self.now_ns = now_ns

    async def sleep_until(self, when_ns: int) -> None:
        """Return no earlier than `when_ns`; yields to the loop even when that is past."""
        await asyncio.sleep(max(0, when_ns - self.now_ns()) / 1e9)
