"""Capacity, autoscaling and the fleet: pure decisions, by hand."""

import random

import pytest
from made_costs import costs

import assistant.cluster.plan.plan as planning
from assistant.cluster.plan.autoscaling import Autoscaler, Autoscaling
from assistant.cluster.plan.calls import day, simulate
from assistant.cluster.plan.capacity import Level, capacity
from assistant.cluster.plan.errors import PlanError
from assistant.cluster.plan.fleet import Fleet
from assistant.cluster.plan.machine import Machine
from assistant.cluster.plan.plan import Row
from assistant.cluster.plan.room import Room


def test_capacity_is_read_off_the_line_between_two_levels() -> None:
    """1.5 times 400 is 600: halfway from 500 at 4 to 700 at 8."""
    assert capacity([Level(1, 400, 0), Level(4, 500, 0), Level(8, 700, 0)]) == 6.0


@pytest.mark.parametrize("level", [Level(8, 450, 0.02), Level(8, 450, 0.0, dropped=1)])
def test_gaps_and_dropped_frames_end_it_too(level: Level) -> None:
    assert capacity([Level(1, 400, 0), level]) == 8.0


def test_capacity_beyond_the_levels_is_not_known() -> None:
    assert capacity([Level(1, 400, 0), Level(8, 599, 0.01)]) is None


def test_a_bound_can_be_given() -> None:
    levels = [Level(1, 400, 0), Level(2, 500, 0)]
    assert capacity(levels, 450) == 1.5
    assert capacity(levels, 300) == 0.0


def asked(scaler: Autoscaler, ongoing: int, present: int, until_s: int, since_s: int = 0) -> list[int]:
    return [scaler.replicas(float(at), ongoing, present) for at in range(since_s, until_s + 1, 10)]


def test_more_replicas_come_after_the_delay() -> None:
    """35 conversations at 10 each want four; Serve waits for 30 s of that answer."""
    scaler = Autoscaler(Autoscaling(10.0, 1, 9))
    assert asked(scaler, 35, 2, 30) == [2, 2, 2, 4]


def test_a_moment_of_more_changes_nothing() -> None:
    """The delay counts anew once the answer was another."""
    scaler = Autoscaler(Autoscaling(10.0, 1, 9, look_back_period_s=0.0))
    assert [scaler.replicas(at, ongoing, 1) for at, ongoing in ((0, 30), (20, 5), (40, 30), (60, 30))] == [
        1
    ] * 4
    assert scaler.replicas(70, 30, 1) == 3


def test_fewer_come_much_later_and_within_the_limits() -> None:
    scaler = Autoscaler(Autoscaling(10.0, 2, 5, downscale_delay_s=60.0))
    assert asked(scaler, 0, 4, 60) == [4] * 6 + [2]
    assert asked(scaler, 900, 2, 200, since_s=100)[3] == 5


def test_what_counts_is_the_mean_of_the_last_half_minute() -> None:
    scaler = Autoscaler(Autoscaling(10.0, 1, 99, upscale_delay_s=0.0))
    assert [scaler.replicas(at, ongoing, 1) for at, ongoing in ((0, 10), (10, 10), (20, 70))] == [1, 1, 3]


def test_a_fleet_drains_the_emptiest_and_keeps_their_calls() -> None:
    fleet = Fleet(4, random.Random(0))
    fleet.resize(2, 0.0, 0.0)
    taken = [fleet.take(0.0) for _ in range(3)]
    fleet.resize(1, 5.0, 0.0)
    assert (fleet.present, len(fleet.replicas)) == (1, 2)
    emptier = min(fleet.replicas, key=lambda replica: replica.taken)
    assert emptier.drains
    fleet.end(next(replica for replica in taken if replica is emptier), 9.0)
    assert len(fleet.replicas) == 1


def test_a_replica_that_starts_takes_no_calls_yet() -> None:
    fleet = Fleet(1, random.Random(0))
    fleet.resize(1, 0.0, 20.0)
    assert fleet.take(19.0) is None
    assert fleet.take(20.0) is not None
    assert fleet.take(21.0) is None


def test_the_day_rises_holds_and_falls() -> None:
    load = day(100.0)
    at = [load(minutes * 60.0) for minutes in (0, 15, 37.5, 60, 90, 120, 142.5, 165, 180, 270)]
    assert at == pytest.approx([20, 20, 60, 100, 100, 100, 60, 20, 20, 100])


def test_autoscaling_follows_the_day() -> None:
    """With room to spare nobody is refused, and it takes fewer replica hours than the peak all the time."""
    settings = Autoscaling(6.0, 1, 20)
    calls = simulate(day(80.0), 80.0, 10, 3, hours=3.0, autoscaling=settings)
    assert calls.refused_share < 0.005
    assert 12 <= calls.most_replicas <= 17
    assert calls.replica_hours < 3 * calls.most_replicas


def test_no_scaling_refuses_the_peak() -> None:
    calls = simulate(day(80.0), 80.0, 10, 3, hours=3.0)
    assert calls.refused_share > 0.4


def test_a_bound_that_no_number_of_replicas_keeps_ends_the_search(monkeypatch: pytest.MonkeyPatch) -> None:
    """Ten callers on replicas of two: from four replicas on."""
    tried: list[int] = []

    def row_of(replicas: int, *_: object) -> Row:
        tried.append(replicas)
        return Row(replicas, 1.0, 300.0, 900.0, 0.0, 1.0, 1.0)

    monkeypatch.setattr(planning, "room_of", lambda *_: Room(2, "cores", 500.0, ()))
    monkeypatch.setattr(planning, "row_of", row_of)
    with pytest.raises(PlanError, match="not even 28 replicas"):
        planning.plan(10, Machine(2), costs())
    assert tried == list(range(4, 29))
