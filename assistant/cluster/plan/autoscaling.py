"""How Ray Serve changes the number of replicas, as a pure decision: its documented autoscaling policy."""

import math
from collections import deque
from dataclasses import dataclass


@dataclass(frozen=True)
class Autoscaling:
    """The settings of Serve's `autoscaling_config`, by its names; the defaults are Serve's own.

    `start_s` is not Serve's: it is the time until a new replica takes calls.
    """

    target_ongoing_requests: float
    min_replicas: int
    max_replicas: int
    upscale_delay_s: float = 30.0
    downscale_delay_s: float = 600.0
    look_back_period_s: float = 30.0
    start_s: float = 20.0


class Autoscaler:
    """Asked every so often; a change is wanted once all answers of its delay asked for one that way."""

    def __init__(self, settings: Autoscaling) -> None:
        self._settings = settings
        self._seen: deque[tuple[float, int]] = deque()  # when, and conversations in progress then
        self._way, self._since_s = 0, 0.0

    def replicas(self, now_s: float, ongoing: int, present: int) -> int:
        """How many there should be, of so many `present` ones that run or start."""
        settings = self._settings
        self._seen.append((now_s, ongoing))
        while self._seen[0][0] < now_s - settings.look_back_period_s:
            self._seen.popleft()
        mean = sum(count for _, count in self._seen) / len(self._seen)
        wanted = math.ceil(round(mean / settings.target_ongoing_requests, 9))
        wanted = min(max(wanted, settings.min_replicas), settings.max_replicas)
        way = (wanted > present) - (wanted < present)
        if way != self._way:
            self._way, self._since_s = way, now_s
        delay_s = settings.upscale_delay_s if way > 0 else settings.downscale_delay_s
        if not way or now_s - self._since_s < delay_s:
            return present
        self._way = 0
        return wanted
