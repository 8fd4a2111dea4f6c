"""Which job is next: by hand, and any sequence of events against a model that looks at all jobs."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from assistant.runtime import Job, Schedule, Urgency

AHEAD = 8  # items that may wait for a reader


def job(rank: int = 0, deadline: int = 0, lane: str | None = None) -> Job:
    return Job(lambda: (rank, deadline), lane)


def schedule(*jobs: Job, limit: int = 100) -> Schedule:
    made = Schedule(limit)
    assert all(made.add(each) for each in jobs)
    return made


def test_nothing_is_next_of_nothing() -> None:
    assert schedule().take() is None


def test_rank_comes_before_the_deadline_and_the_deadline_before_the_arrival() -> None:
    late, soon, first, second, ranked = job(0, 9), job(0, -1), job(0, 5), job(0, 5), job(-1, 99)
    made = schedule(late, soon, first, second, ranked)
    assert [made.take() for _ in range(6)] == [ranked, soon, first, second, late, None]


def test_urgency_is_asked_at_each_step() -> None:
    urgency = {"a": 1, "b": 2}
    a, b = (Job(lambda name=name: (0, urgency[name])) for name in "ab")  # type: ignore[misc]
    made = schedule(a, b)
    assert made.take() is a
    urgency["a"] = 3
    made.give_back(a, ended=False)
    assert made.take() is b
    made.give_back(b, ended=False)
    urgency["b"] = 4
    assert made.take() is a


def test_a_job_that_runs_is_not_given_to_a_second_thread() -> None:
    only = job()
    made = schedule(only)
    assert made.take() is only
    assert made.take() is None
    made.give_back(only, ended=False)
    assert made.take() is only
    made.give_back(only, ended=True)
    assert made.take() is None and len(made) == 0


def test_a_job_with_enough_unread_is_parked_until_one_is_read() -> None:
    eager, other = job(-1), job(5)
    made = schedule(eager, other)
    for _ in range(AHEAD):
        assert made.take() is eager
        eager.unread += 1
        made.give_back(eager, ended=False)
    assert made.take() is other
    assert made.take() is None
    eager.unread -= 1
    assert made.take() is eager


def test_a_lane_is_given_to_one_job_from_its_first_step_to_its_last() -> None:
    first, urgent, elsewhere = job(5, lane="x"), job(0, lane="x"), job(9, lane="y")
    made = schedule(first)
    assert made.take() is first
    for each in (urgent, elsewhere):
        made.add(each)
    assert made.take() is elsewhere
    made.give_back(first, ended=False)
    assert made.take() is first  # between its steps, too
    made.give_back(first, ended=True)
    assert made.take() is urgent


def test_a_parked_job_keeps_its_lane() -> None:
    parked, waiting = job(lane="x"), job(lane="x")
    made = schedule(parked, waiting)
    assert made.take() is parked
    parked.unread = AHEAD
    made.give_back(parked, ended=False)
    assert made.take() is None


def test_jobs_without_a_lane_do_not_wait_for_each_other() -> None:
    made = schedule(job(), job())
    assert made.take() is not None and made.take() is not None


def test_a_cancelled_job_that_has_begun_has_one_more_step_before_all_others() -> None:
    """Also when it is parked: what it holds is given back."""
    cancelled, urgent = job(9, lane="x"), job(-9, lane="x")
    made = schedule(cancelled)
    assert made.take() is cancelled
    cancelled.unread = AHEAD
    made.give_back(cancelled, ended=False)
    made.add(urgent)
    made.add(job(-99))
    made.cancel(cancelled)
    assert made.take() is cancelled
    made.give_back(cancelled, ended=True)
    made.cancel(cancelled)  # as its reader does that leaves
    assert len(made) == 2


def test_a_job_cancelled_before_it_began_is_gone_and_frees_its_lane() -> None:
    cancelled, next_of_lane = job(lane="x"), job(lane="x")
    made = schedule(cancelled, next_of_lane)
    made.cancel(cancelled)
    assert len(made) == 1
    assert made.take() is next_of_lane


def test_a_job_cancelled_in_its_step_is_not_taken_twice() -> None:
    running = job()
    made = schedule(running)
    assert made.take() is running
    made.cancel(running)
    assert made.take() is None and len(made) == 1
    made.give_back(running, ended=False)
    assert made.take() is running


def test_a_full_schedule_refuses_and_counts() -> None:
    first, second = job(), job()
    made = schedule(first, limit=1)
    assert [made.add(second), made.add(second), made.refused, len(made)] == [False, False, 2, 1]
    made.take()
    made.give_back(first, ended=True)
    assert made.add(second) and made.refused == 2
    assert made.take() is second


@dataclass(eq=False)
class Known:
    """A job as the model sees it."""

    job: Job
    urgency: Urgency
    lane: int | None
    unread: int = 0
    begun: bool = False
    running: bool = False
    cancelled: bool = False
    over: bool = False


class Model:
    """All jobs that there ever were, in the order of their arrival."""

    def __init__(self) -> None:
        self.jobs: list[Known] = []

    @property
    def present(self) -> list[Known]:
        return [known for known in self.jobs if not known.over]

    def may_run(self, known: Known) -> bool:
        taken = any(
            other is not known and other.begun and other.lane == known.lane is not None
            for other in self.present
        )
        return not known.running and not taken and (known.cancelled or known.unread < AHEAD)

    def next(self) -> Known | None:
        ready = [known for known in self.present if self.may_run(known)]
        for rest in ([known for known in ready if known.cancelled], ready):
            if rest:
                best = min(known.urgency for known in rest)
                return next(known for known in rest if known.urgency == best)
        return None


urgencies = st.tuples(st.integers(0, 2), st.integers(0, 3))
lanes = st.none() | st.integers(0, 2)
steps = st.one_of(
    st.tuples(st.just("add"), urgencies, lanes),
    st.tuples(st.sampled_from(["take", "put", "put", "end", "read", "cancel"]), st.integers(0, 20)),
    st.tuples(st.just("change"), st.integers(0, 20), urgencies),
)


@given(st.integers(1, 12), st.lists(steps, min_size=20, max_size=120))
def test_any_sequence_gives_the_job_that_a_look_at_all_of_them_finds(
    limit: int, sequence: list[tuple[Any, ...]]
) -> None:
    made, model, refused = Schedule(limit), Model(), 0

    def pick(number: int, which: Callable[[Known], bool]) -> Known | None:
        found = [known for known in model.jobs if which(known)]
        return found[number % len(found)] if found else None

    for name, *rest in sequence:
        match name:
            case "add":
                urgency, lane = rest
                known = Known(Job(lambda: (0, 0), lane), urgency, lane)
                known.job.urgency = lambda known=known: known.urgency
                fits = len(model.present) < limit
                assert made.add(known.job) == fits
                refused += not fits
                if fits:
                    model.jobs.append(known)
            case "take":
                wanted = model.next()
                assert made.take() is (wanted.job if wanted else None)
                if wanted:
                    wanted.running = wanted.begun = True
            case "put" if known := pick(rest[0], lambda known: known.running):
                known.unread += 1
                known.job.unread += 1
                known.running = False
                made.give_back(known.job, ended=False)
            case "end" if known := pick(rest[0], lambda known: known.running):
                known.running, known.over = False, True
                made.give_back(known.job, ended=True)
            case "read" if known := pick(rest[0], lambda known: known.unread > 0):
                known.unread -= 1
                known.job.unread -= 1
            case "cancel" if known := pick(rest[0], lambda _: True):  # also one that is over
                known.cancelled = True
                known.over = known.over or not known.begun
                made.cancel(known.job)
            case "change" if known := pick(rest[0], lambda _: True):
                known.urgency = rest[1]
        assert len(made) == len(model.present)
    assert made.refused == refused
    while (wanted := model.next()) is not None:  # nothing waits that could run
        assert made.take() is wanted.job
        wanted.running = wanted.begun = True
    assert made.take() is None
