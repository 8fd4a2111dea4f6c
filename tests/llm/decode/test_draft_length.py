import random
from collections.abc import Callable, Sequence
from itertools import chain, product

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from llm.decode.draft_length import Acceptance, DraftLength, PassTimes, best_plan

MS = 1_000_000


def expected(shares: Sequence[float]) -> float:
    """Tokens of a pass, summed over all ways in which the drafted ones turn out; shares[i]: of token i."""
    total = 0.0
    for outcome in product((True, False), repeat=len(shares)):
        probability = 1.0
        for right, share in zip(outcome, shares, strict=True):
            probability *= share if right else 1 - share
        accepted = next((i for i, right in enumerate(outcome) if not right), len(outcome))
        total += probability * (1 + accepted)
    return total


@given(a=st.floats(0, 1), costs=st.lists(st.floats(1, 12), min_size=1, max_size=8))
@settings(max_examples=200, deadline=None)
def test_the_best_length_by_brute_force(a: float, costs: list[float]) -> None:
    costs = [1.0, *costs]
    tokens = [expected([a] * k) for k in range(len(costs))]
    if a < 1:
        assert tokens == pytest.approx([(1 - a ** (k + 1)) / (1 - a) for k in range(len(costs))])
    plan = best_plan(tokens, costs)
    best = max(t / c for t, c in zip(tokens, costs, strict=True))
    if best < 1.02:
        assert plan.length == 0
    elif best > 1.04:
        assert tokens[plan.length] / costs[plan.length] == best == plan.speed
    assert plan.length > 0 or plan.speed == 1.0


@pytest.mark.parametrize(("start", "further"), [(0.9, 0.9), (0.1, 0.9), (0.5, 0.5), (0.8, 0.2)])
def test_acceptance_is_learned_apart_for_the_start_and_further_on(start: float, further: float) -> None:
    rng, errors = random.Random(1), []
    acceptance = Acceptance()
    for i in range(2000):
        shares = [start, *[further] * 4]
        accepted = next((i for i, share in enumerate(shares) if rng.random() >= share), 5)
        acceptance.observe(accepted, rejected=accepted < 5, going=False)
        if i > 100:
            errors.append(acceptance.expected_tokens(3, going=False) - expected([start, further, further]))
    assert abs(sum(errors) / len(errors)) < 0.1  # without bias
    assert sum(abs(e) for e in errors) / len(errors) < 0.5


def test_a_draft_behind_an_accepted_one_is_no_new_start() -> None:
    acceptance = Acceptance()
    for _ in range(100):
        acceptance.observe(0, rejected=True, going=False)
        acceptance.observe(4, rejected=False, going=True)
    assert acceptance.expected_tokens(4, going=False) < 1.1
    assert acceptance.expected_tokens(4, going=True) > 4.8


def test_a_share_that_is_no_longer_tried_is_forgotten() -> None:
    acceptance = Acceptance()
    for _ in range(100):
        acceptance.observe(1, rejected=True, going=False)
    assert acceptance.expected_tokens(8, going=False) < 2.2
    for _ in range(200):
        acceptance.observe(1, rejected=False, going=False)  # drafts of one token
    assert acceptance.expected_tokens(8, going=False) > 4


def measured(ratio: Callable[[int], float], rows: Sequence[int]) -> PassTimes:
    """Passes over so many tokens, in turn with plain ones of 7 ms."""
    times = PassTimes()
    for size in [1, 1, *chain.from_iterable((1, size) for size in rows)]:
        times.observe(size, int(7 * ratio(size) * MS))
    return times


def test_ratios_that_were_measured_and_those_between_and_beyond() -> None:
    times = measured({1: 1.0, 3: 1.4, 7: 3.4}.__getitem__, [3, 7] * 3)
    assert [times.ratio(m) for m in (1, 3, 7)] == pytest.approx([1, 1.4, 3.4])
    assert [times.ratio(m) for m in (2, 5)] == pytest.approx([1.2, 2.4])
    assert times.ratio(9) == pytest.approx(3.4 + 2 * 0.27)


def test_beyond_what_was_measured_it_is_tried_rather_than_feared() -> None:
    times = measured({1: 1.0, 3: 1.02}.__getitem__, [3] * 3)
    assert times.ratio(9) == pytest.approx(1.08)


def test_before_anything_is_measured_the_ratios_are_those_of_the_findings() -> None:
    for rows, ms in ((1, 7.3), (2, 9.1), (4, 12.9), (8, 20.5)):
        assert PassTimes().ratio(rows) == pytest.approx(ms / 7.3, rel=0.03)


def test_outliers_do_not_count() -> None:
    rng = random.Random(2)

    def noisy(rows: int) -> float:
        slow = 20 if rng.random() < 0.05 else 1
        return {1: 1.0, 3: 1.5, 5: 2.0}[rows] * rng.lognormvariate(0, 0.05) * slow

    times = measured(noisy, [3, 5] * 100)
    assert times.ratio(3) == pytest.approx(1.5, rel=0.1)
    assert times.ratio(5) == pytest.approx(2.0, rel=0.1)


def test_one_slow_pass_says_nothing_about_its_size() -> None:
    times = measured(lambda rows: 100.0 if rows == 4 else 1.0, [4])
    assert times.ratio(4) == pytest.approx(1.81)


@pytest.mark.parametrize("later", [5.0, 0.2])
def test_a_machine_that_gets_busy_changes_no_ratio(later: float) -> None:
    slow = iter([1.0] * 23 + [later] * 30)
    times = measured(lambda rows: next(slow) * (1.8 if rows > 1 else 1.0), [4] * 20)
    assert times.ratio(4) == pytest.approx(1.8)


def test_a_plain_pass_is_wanted_to_compare_with() -> None:
    times, sizes = PassTimes(), list[int]()
    for _ in range(100):
        sizes.append(1 if times.wants_plain else 5)
        times.observe(sizes[-1], 7 * MS)
    assert sizes[:10] == [1, 1, 1, 5, 5, 1, 5, 5, 5, 5]  # until 5 was measured three times
    assert sizes[10:].count(1) == 2  # after 32 each


def test_a_clock_that_stands_still_is_no_error() -> None:
    assert measured({1: 0.0, 2: 0.0}.__getitem__, [2] * 5).ratio(2) == 1.0


@pytest.mark.parametrize(("draft_cost", "speed"), [(0.0, 2.1), (0.3, 1.5), (1.2, 1.0)])
def test_what_drafting_costs_counts(draft_cost: float, speed: float) -> None:
    policy, times = DraftLength(8), PassTimes()
    for _ in range(100):
        policy.observe_cost(draft_cost)
        policy.observe_draft(9, rejected=True, going=False)  # nine of ten
    policy.plan(times)
    by_hand = max(expected([0.95] + [0.9] * (k - 1)) / (1 + k * (0.27 + draft_cost)) for k in range(1, 9))
    assert policy.fresh.speed == pytest.approx(max(1.0, by_hand), rel=0.1)
    assert policy.fresh.speed == pytest.approx(speed, rel=0.15)


def test_a_first_call_that_takes_long_does_not_switch_a_drafter_off() -> None:
    policy = DraftLength(8)
    for cost in (50.0, 0.1, 0.1):
        policy.observe_cost(cost)
    policy.plan(PassTimes())
    assert policy.fresh.length > 0
