"""Which job a worker's thread serves next: by deadline, not by arrival.

A job is work in steps, each of which gives one item to its reader. A job whose reader has enough is
parked: it holds no thread. Jobs of one lane share a state, such as an engine's sequence, so that one
begins only when the one before it has ended.
"""

from collections.abc import Callable, Hashable
from dataclasses import dataclass
from itertools import count

Urgency = tuple[int, int]
"""Rank, then deadline in nanoseconds: the smallest is served first."""

AHEAD = 8
"""Items that may wait for a job's reader before it is parked."""


@dataclass(eq=False)
class Job:
    """What a schedule knows of a job. `urgency` is asked again before each step."""

    urgency: Callable[[], Urgency]
    lane: Hashable | None = None
    order: int = 0  # of arrival
    unread: int = 0  # items put out and not taken
    begun: bool = False
    running: bool = False
    cancelled: bool = False


class Schedule:
    """The jobs that a worker has, at most `limit`. Not to be used by two threads at once."""

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self.refused = 0
        self._jobs: dict[Job, None] = {}
        self._holders: dict[Hashable, Job] = {}  # the job of each lane that has begun
        self._numbers = count()

    def __len__(self) -> int:
        return len(self._jobs)

    @property
    def jobs(self) -> tuple[Job, ...]:
        """All jobs, in the order in which they came."""
        return tuple(self._jobs)

    def add(self, job: Job, *, always: bool = False) -> bool:
        """Take `job`, or, when full and not `always`, count a refusal and return False."""
        if len(self._jobs) >= self.limit and not always:
            self.refused += 1
            return False
        job.order = next(self._numbers)
        self._jobs[job] = None
        return True

    def take(self) -> Job | None:
        """The most urgent job that can make a step now, marked as running; None if there is none.

        A cancelled job that has begun comes first: its last step gives back what it holds.
        """
        ready = [job for job in self._jobs if self._can_run(job)]
        if not ready:
            return None
        job = min(ready, key=lambda job: (not job.cancelled, job.urgency(), job.order))
        job.running = job.begun = True
        if job.lane is not None:
            self._holders[job.lane] = job
        return job

    def _can_run(self, job: Job) -> bool:
        if job.running:
            return False
        if job.lane is not None and self._holders.get(job.lane, job) is not job:
            return False
        return job.cancelled or job.unread < AHEAD

    def give_back(self, job: Job, *, ended: bool) -> None:
        """A step of `job` is over, and with it the job if it `ended`."""
        job.running = False
        if ended:
            self._remove(job)

    def cancel(self, job: Job) -> None:
        """Nobody wants its items: a job that has begun leaves after one more step, another at once."""
        job.cancelled = True
        if not job.begun:
            self._remove(job)

    def _remove(self, job: Job) -> None:
        self._jobs.pop(job, None)
        if job.lane is not None and self._holders.get(job.lane) is job:
            del self._holders[job.lane]
