"""How long the event loop was blocked, measured from inside it."""

import asyncio
from collections import deque

from assistant.runtime.clock import Clock
from assistant.runtime.spans import Recorder, Span

_PERIOD_NS = 5_000_000
_WORTH_A_SPAN_NS = 2_000_000
_KEPT = 200_000  # probes: a quarter of an hour


class LagProbe:
    """Wakes every 5 ms; what it wakes too late is the lag. Lags over 2 ms become spans."""

    def __init__(self, clock: Clock, recorder: Recorder, kept: int = _KEPT) -> None:
        """The last `kept` lags stay in `lags_ms`."""
        self._clock, self._recorder = clock, recorder
        self.lags_ms: deque[float] = deque(maxlen=kept)

    async def run(self) -> None:
        """Probe until cancelled."""
        while True:
            due_ns = self._clock.now_ns() + _PERIOD_NS
            await asyncio.sleep(_PERIOD_NS / 1e9)
            late_ns = max(0, self._clock.now_ns() - due_ns)
            self.lags_ms.append(late_ns / 1e6)
            if late_ns > _WORTH_A_SPAN_NS:
                self._recorder.record(Span("lag", "loop", due_ns, due_ns + late_ns))
