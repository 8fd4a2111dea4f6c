import math

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from scipy.stats import chisquare

from llm.decode.sample import Sampler, Sampling, distribution, likeliest, penalize, without

NAN, INF = float("nan"), float("inf")


def logs(*weights: float) -> np.ndarray:
    """Logits of tokens with these relative probabilities."""
    return np.log(np.array(weights, np.float64)).astype(np.float32)


def draws(logits: np.ndarray, sampling: Sampling, n: int, seen: tuple[int, ...] = ()) -> list[int]:
    sampler = Sampler(sampling)
    return [sampler.choose(logits, seen) for _ in range(n)]


@pytest.mark.parametrize(
    ("weights", "sampling", "expected"),
    [
        ((1, 2, 1), Sampling(temperature=1.0), (0.25, 0.5, 0.25)),
        ((1, 2, 1), Sampling(temperature=0.5), (1 / 6, 4 / 6, 1 / 6)),  # squared
        ((1, 4, 1), Sampling(temperature=2.0), (0.25, 0.5, 0.25)),  # square roots
        ((1, 5, 3, 1), Sampling(temperature=1.0, top_p=0.49), (0, 1, 0, 0)),
        ((1, 5, 3, 1), Sampling(temperature=1.0, top_p=0.51), (0, 5 / 8, 3 / 8, 0)),
        ((2, 5, 3), Sampling(temperature=1.0, top_p=0.81), (0.2, 0.5, 0.3)),
        ((2, 5, 3), Sampling(temperature=1.0, top_p=1e-9), (0, 1, 0)),  # never nothing
        ((1, 10, 4), Sampling(temperature=1.0, min_p=0.09), (1 / 15, 10 / 15, 4 / 15)),
        ((1, 10, 4), Sampling(temperature=1.0, min_p=0.11), (0, 10 / 14, 4 / 14)),
        ((1, 10, 4), Sampling(temperature=1.0, min_p=0.99), (0, 1, 0)),
        # Temperature comes before the filters: 1 : 100 : 16 of 117, of which 16 is not under 0.15 of 100.
        ((1, 10, 4), Sampling(temperature=0.5, min_p=0.15), (0, 100 / 116, 16 / 116)),
        ((1, 10, 4), Sampling(temperature=0.5, top_p=0.9), (0, 100 / 116, 16 / 116)),
        ((1, 10, 4), Sampling(temperature=0.5, top_p=0.9, min_p=0.17), (0, 1, 0)),
        ((7,), Sampling(temperature=3.0, top_p=0.1, min_p=0.9), (1,)),
    ],
)
def test_distributions_by_hand(
    weights: tuple[float, ...], sampling: Sampling, expected: tuple[float, ...]
) -> None:
    np.testing.assert_allclose(distribution(logs(*weights), sampling), expected, atol=1e-6)


@given(
    weights=st.lists(st.integers(1, 10_000), min_size=1, max_size=9, unique=True),
    temperature=st.sampled_from([0.25, 0.5, 1.0, 2.0]),
    top_p=st.floats(0.01, 1.0),
    min_p=st.floats(0.0, 0.99),
)
@settings(max_examples=300, deadline=None)
def test_distributions_by_brute_force(
    weights: list[int], temperature: float, top_p: float, min_p: float
) -> None:
    powers = [w ** (1 / temperature) for w in weights]
    p = [w / sum(powers) for w in powers]
    # The smallest of all the sets of tokens that have the mass, and of these the likeliest.
    subsets = [[i for i in range(len(p)) if bits >> i & 1] for bits in range(1, 2 ** len(p))]
    masses = [(sum(p[i] for i in subset), subset) for subset in subsets]
    assume(
        top_p == 1.0 or min(abs(mass - top_p) for mass, _ in masses) > 1e-6
    )  # on the edge, either is right
    enough = [(len(s), -mass, s) for mass, s in masses if mass > top_p - 1e-9 or len(s) == len(p)]
    nucleus = min(enough)[2]
    top = max(p)
    assume(all(abs(x / top - min_p) > 1e-6 for x in p))
    left = [p[i] if i in nucleus and p[i] >= min_p * top else 0.0 for i in range(len(p))]
    got = distribution(logs(*weights), Sampling(temperature=temperature, top_p=top_p, min_p=min_p))
    np.testing.assert_allclose(got, [x / sum(left) for x in left], atol=1e-5)


def test_equally_likely_tokens_fill_the_nucleus_by_number() -> None:
    p = distribution(np.zeros(8, np.float32), Sampling(temperature=1.0, top_p=0.5))
    assert sorted(p) == [0.0] * 4 + [0.25] * 4


def test_extreme_logits_give_probabilities() -> None:
    logits = np.array([3e38, -3e38, -INF, 1.0, 3e38], np.float32)
    for temperature in (5e-324, 1e-300, 1e-3, 1.0, 1e3, 1.7e308):
        p = distribution(logits, Sampling(temperature=temperature))
        assert p.sum() == pytest.approx(1)
        assert p[2] == 0
        assert p[0] == p[4]
    assert draws(logits, Sampling(temperature=1e-9), 50) != [0] * 50


@pytest.mark.parametrize(
    ("n", "sampling", "expected"),
    [
        (100_000, Sampling(temperature=1.0, seed=1), (0.30, 0.05, 0.10, 0.40, 0.15)),
        (20_000, Sampling(temperature=1.0, top_p=0.8, seed=2), (30 / 85, 0, 0, 40 / 85, 15 / 85)),
        (20_000, Sampling(temperature=1.0, min_p=0.3, seed=3), (30 / 85, 0, 0, 40 / 85, 15 / 85)),
        (
            20_000,
            Sampling(temperature=0.5, seed=4),
            (900 / 2850, 25 / 2850, 100 / 2850, 1600 / 2850, 225 / 2850),
        ),
    ],
)
def test_draws_follow_the_distribution(n: int, sampling: Sampling, expected: tuple[float, ...]) -> None:
    counts = np.bincount(draws(logs(0.30, 0.05, 0.10, 0.40, 0.15), sampling, n), minlength=5)
    assert [c == 0 for c in counts] == [p == 0 for p in expected]
    possible = [i for i in range(5) if expected[i]]
    assert chisquare(counts[possible], [n * expected[i] for i in possible]).pvalue > 1e-3


def test_the_largest_random_number_draws_a_possible_token(monkeypatch: pytest.MonkeyPatch) -> None:
    class Edge:
        def __init__(self, seed: int) -> None: ...

        def random(self) -> float:
            return math.nextafter(1.0, 0.0)

    monkeypatch.setattr(np.random, "default_rng", Edge)
    for n in range(1, 200):  # sums of n equal shares miss 1 by a little, on either side
        logits = np.append(np.zeros(n), [-INF] * 3).astype(np.float32)
        assert draws(logits, Sampling(temperature=1.0), 1) == [n - 1]


def test_a_seed_gives_the_same_draws() -> None:
    logits = np.random.default_rng(0).normal(size=50).astype(np.float32)
    runs = [draws(logits, Sampling(temperature=1.0, seed=seed), 40) for seed in (7, 7, 8)]
    assert runs[0] == runs[1] != runs[2]
    assert len(set(runs[0])) > 5


def test_temperature_zero_is_the_likeliest_token() -> None:
    logits = np.array([-1.0, 3.0, 2.9, -INF], np.float32)
    assert draws(logits, Sampling(), 5) == [1] * 5
    assert draws(logits, Sampling(top_p=0.1, min_p=0.9, seed=3), 5) == [1] * 5


def test_a_repetition_penalty_by_hand() -> None:
    logits = np.array([4.0, -4.0, 3.0, 0.0], np.float32)
    np.testing.assert_array_equal(penalize(logits, [0, 1, 0, 0, 3], 2.0), [2, -8, 3, 0])  # once each
    np.testing.assert_array_equal(penalize(logits, [1], 0.5), [4, -2, 3, 0])
    np.testing.assert_array_equal(penalize(logits, [], 2.0), logits)
    np.testing.assert_array_equal(penalize(logits, [0, 1], 1.0), logits)
    np.testing.assert_array_equal(logits, [4, -4, 3, 0])  # the engine's array is its own
    assert draws(logits, Sampling(repetition_penalty=1.3), 1) == [0]
    assert draws(logits, Sampling(repetition_penalty=1.4), 1, seen=(0,)) == [2]


def test_a_repetition_penalty_comes_before_the_temperature() -> None:
    logits = np.array([2.0, 1.0], np.float32)
    sampling = Sampling(repetition_penalty=2.0, temperature=0.1, seed=0)
    counts = np.bincount(draws(logits, sampling, 2000, seen=(0,)), minlength=2)
    assert chisquare(counts).pvalue > 1e-3  # penalized to 1.0 each


@pytest.mark.parametrize(
    "values",
    [
        {"temperature": -0.1},
        {"temperature": NAN},
        {"temperature": INF},
        {"top_p": 0.0},
        {"top_p": 1.01},
        {"top_p": -1.0},
        {"top_p": NAN},
        {"min_p": -0.01},
        {"min_p": 1.0},
        {"min_p": NAN},
        {"repetition_penalty": 0.0},
        {"repetition_penalty": -1.0},
        {"repetition_penalty": NAN},
        {"repetition_penalty": INF},
        {"seed": -1},
    ],
)
def test_values_that_mean_nothing_are_refused(values: dict[str, float]) -> None:
    (name,) = values
    with pytest.raises(ValueError, match=name):
        Sampling(**values)  # type: ignore[arg-type]


def test_what_may_not_be_chosen_is_the_least_likely() -> None:
    logits = np.array([1.0, 5.0, 3.0, -2.0], np.float32)
    assert likeliest(without(logits, [1])) == 2
    assert likeliest(without(logits, [1, 2])) == 0
    assert likeliest(logits) == 1, "the model's own are left as they are"
