"""Choices against `llm/decode/sample.py`: the same tokens where it is greedy, as often where it draws."""

import numpy as np
import pytest
import torch
from torch import Tensor

from kernels.products.head import keep_best
from kernels.sampling.sample import bytes_moved, exponential, reference, sample
from kernels.sampling.state import TILE, SamplingState, greedy
from llm.decode.sample import Sampling, distribution, likeliest, penalize

IMPLEMENTATIONS = pytest.mark.parametrize("implementation", ["kernel", "reference"])


def chosen(
    logits: Tensor,
    state: SamplingState,
    device: torch.device,
    implementation: str = "kernel",
    advance: bool = False,
) -> list[int]:
    """What is chosen, written over a number that is no token."""
    logits = logits.to(device)
    if implementation == "reference":
        return reference(logits, state).tolist()
    keep_best(logits, state)
    out = torch.full((len(logits),), -77, dtype=torch.int32, device=device)
    assert sample(logits, state, out=out, advance=advance) is out
    return out.tolist()


def nothing_seen(vocabulary: int, device: torch.device, slots: int = 1) -> Tensor:
    return torch.zeros(slots, vocabulary, dtype=torch.uint8, device=device)


@IMPLEMENTATIONS
@pytest.mark.parametrize("vocabulary", [5, TILE, 1000, 9000])
def test_greedy(vocabulary: int, implementation: str, device: torch.device) -> None:
    make = np.random.default_rng(vocabulary)
    logits = make.normal(size=(6, vocabulary)).astype(np.float32).round(1)  # ties
    seen = make.random((3, vocabulary)) < 0.7
    slots, penalties = [0, 0, 1, 1, 2, 2], [1.0, 1.2, 1.5, 0.5, 3.0, 0.9]
    state = greedy(8, torch.from_numpy(seen.astype(np.uint8)).to(device))
    state.slots[:6] = torch.tensor(slots)
    state.penalties[:6] = torch.tensor(penalties)
    right = [
        likeliest(penalize(row, np.flatnonzero(seen[slot]).tolist(), np.float32(penalty)))
        for row, slot, penalty in zip(logits, slots, penalties, strict=True)
    ]
    assert chosen(torch.from_numpy(logits), state, device, implementation) == right


@IMPLEMENTATIONS
@pytest.mark.parametrize("temperature", [0.0, 0.7])
def test_what_cannot_be_chosen_by_is_reported(
    temperature: float, implementation: str, device: torch.device
) -> None:
    logits = torch.zeros(5, 70)
    logits[0, 69] = torch.nan
    logits[1, 3] = torch.inf
    logits[2] = -torch.inf
    logits[3, :69] = -torch.inf  # only one is left
    logits[4, 7] = 1e30
    state = greedy(5, nothing_seen(70, device))
    state.temperatures.fill_(temperature)
    assert chosen(logits, state, device, implementation) == [-1, -1, -1, 69, 7]


DRAWN = [
    Sampling(temperature=1.0),
    Sampling(temperature=0.6, min_p=0.1),
    Sampling(temperature=1.0, min_p=0.999),
    Sampling(temperature=2.5, min_p=0.02, repetition_penalty=1.6),
]


@pytest.mark.parametrize(
    ("implementation", "sampling", "n"),
    [*(("reference", sampling, 40_000) for sampling in DRAWN), ("kernel", DRAWN[3], 200)],
    ids=str,
)
def test_drawn_as_often_as_they_are_likely(
    implementation: str, sampling: Sampling, n: int, device: torch.device
) -> None:
    vocabulary = 12
    logits = np.random.default_rng(1).normal(size=vocabulary).astype(np.float32) * 2
    used = [0, 3, 4, 11]
    seen = nothing_seen(vocabulary, device)
    seen[0, used] = 1
    state = greedy(n, seen)
    state.penalties.fill_(sampling.repetition_penalty)
    state.temperatures.fill_(sampling.temperature)
    state.min_ps.fill_(sampling.min_p)
    state.seeds.copy_(torch.arange(n) % 10 * 2**33 + 5)
    state.steps.copy_(torch.arange(n) // 10)
    tokens = chosen(torch.from_numpy(logits).expand(n, -1).contiguous(), state, device, implementation)
    right = distribution(penalize(logits, used, sampling.repetition_penalty), sampling)
    often = np.bincount(tokens, minlength=vocabulary)
    assert not often[right == 0].any()
    likely = right > 0
    # Pearson's chi-squared: its mean is the degrees of freedom, its deviation sqrt(2 * those).
    free = likely.sum() - 1
    squares = ((often[likely] - n * right[likely]) ** 2 / (n * right[likely])).sum()
    assert squares <= free + 4.5 * (2 * free) ** 0.5


@pytest.mark.parametrize("vocabulary", [1000, 9000])  # 9000: three programs a row
def test_the_kernel_draws_what_the_reference_does(vocabulary: int, device: torch.device) -> None:
    n = 12
    make = torch.Generator().manual_seed(vocabulary)
    logits = torch.randn(n, vocabulary, generator=make) * 3
    seen = (torch.rand(4, vocabulary, generator=make) < 0.5).byte()
    logits[7, -100:] += 50  # also the last program wins
    state = greedy(n, seen.to(device))
    state.slots.copy_(torch.arange(n) % 4)
    state.penalties.copy_(1 + torch.rand(n, generator=make))
    state.temperatures.copy_(torch.rand(n, generator=make) * 2)
    state.min_ps.copy_(torch.rand(n, generator=make) * 0.1)
    state.min_ps[:3] = 0
    state.temperatures[4] = 0
    state.seeds.copy_(torch.randint(2**62, (n,), generator=make))
    state.steps.copy_(torch.randint(2**31 - 1, (n,), generator=make))
    tokens = chosen(logits, state, device)
    assert tokens == chosen(logits, state, device, "reference")
    assert tokens == chosen(logits, state, device)  # whoever arrived last has counted back
    assert not state.arrived.any()
    assert tokens[7] >= vocabulary - 100


def test_philox() -> None:
    """Known answers of Random123 1.09 (kat_vectors): philox4x32 10, counter and key of zeros and of ones."""
    zeros = exponential(torch.tensor([0]), torch.tensor([0]), 4096)[0]
    for i, bits in enumerate((0x6627E8D5, 0xE169C58D, 0xBC57AC4C, 0x9B00DBD8)):
        assert zeros[1024 * i].item() == pytest.approx(-np.log1p(-(bits + 0.5) / 2**32), rel=1e-12)


def test_advance_marks_the_token_and_counts_the_step(device: torch.device) -> None:
    logits = torch.zeros(3, 40)
    logits[0, 5] = logits[1, 6] = 9.0
    logits[2, 7] = torch.nan
    state = greedy(4, nothing_seen(40, device, slots=5))
    state.slots.copy_(torch.tensor([4, 2, 1, 0]))
    state.temperatures[1] = 1e-3
    state.steps.fill_(7)
    assert chosen(logits, state, device, advance=True) == [5, 6, -1]
    assert state.seen.nonzero().tolist() == [[2, 6], [4, 5]]
    assert state.steps.tolist() == [8, 8, 8, 7]
    assert chosen(logits, state, device) == [5, 6, -1]
    assert state.steps.tolist() == [8, 8, 8, 7]


def test_bytes_moved() -> None:
    logits = torch.zeros(2, 100)
    assert bytes_moved(logits, drawn=False) == 2 * (4 * 8 + 4)
    assert bytes_moved(logits, drawn=True) == 2 * (4 * 8 + 500 + 4)


@pytest.mark.parametrize(
    ("logits", "rows", "out", "message"),
    [
        (torch.zeros(40), 2, torch.zeros(1, dtype=torch.int32), r"logits are \(40,\)"),
        (torch.zeros(2, 40).half(), 2, torch.zeros(2, dtype=torch.int32), "logits is torch.float16"),
        (torch.zeros(3, 40), 2, torch.zeros(3, dtype=torch.int32), "3 rows of logits, and settings for 2"),
        (torch.zeros(2, 41), 2, torch.zeros(2, dtype=torch.int32), r"seen is .*\(1, 40\)"),
        (torch.zeros(2, 40), 2, torch.zeros(2), "out is torch.float32"),
        (torch.zeros(2, 40), 2, torch.zeros(3, dtype=torch.int32), r"out is .*\(3,\)"),
    ],
)
def test_what_does_not_fit_is_refused(logits: Tensor, rows: int, out: Tensor, message: str) -> None:
    state = greedy(rows, nothing_seen(40, torch.device("cpu")))
    with pytest.raises(ValueError, match=message):
        sample(logits, state, out=out)
