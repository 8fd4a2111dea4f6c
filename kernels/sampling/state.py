"""How tokens are sampled on the device: settings of each row, and what kernels leave for one another."""

from dataclasses import dataclass

import torch
from torch import Tensor

from kernels.checks import check_tensor

TILE = 32
"""Logits of which the head keeps the largest."""


@dataclass(frozen=True)
class SamplingState:
    """How the tokens of up to R rows are chosen, each in its way, and what kernels leave for one another."""

    penalties: Tensor  # float32 [R], above 0; 1 is none
    temperatures: Tensor  # float32 [R]; 0 takes the likeliest
    min_ps: Tensor  # float32 [R], 0 to 1
    seeds: Tensor  # int64 [R]
    steps: Tensor  # int32 [R]: no two choices of a seed at the same step
    slots: Tensor  # int32 [R]: the row of `seen` that is this row's
    seen: Tensor  # uint8 [slots, V]: 1 for a token that is penalised
    best: Tensor  # float32 [R, V / TILE]: of a tile, the largest logit after the penalty
    best_tokens: Tensor  # int32 [R, V / TILE]: the first that has it
    scores: Tensor  # float32 [R, parts]
    picks: Tensor  # int32 [R, parts]
    arrived: Tensor  # int32 [R]: zeros between launches

    @property
    def of_head(self) -> tuple[Tensor, ...]:
        """What the head reads to penalise logits, and where it leaves the largest."""
        return self.penalties, self.slots, self.seen, self.best, self.best_tokens


def greedy(rows: int, seen: Tensor) -> SamplingState:
    """The settings that take the likeliest token without a penalty, to be written over; `seen` is kept."""
    vocabulary, device = seen.shape[1], seen.device
    tiles, parts = -(-vocabulary // TILE), -(-vocabulary // (4 * lanes_of(vocabulary)))

    def integers(*shape: int, dtype: torch.dtype = torch.int32) -> Tensor:
        return torch.zeros(shape, dtype=dtype, device=device)

    return SamplingState(
        penalties=torch.ones(rows, device=device),
        temperatures=torch.zeros(rows, device=device),
        min_ps=torch.zeros(rows, device=device),
        seeds=integers(rows, dtype=torch.int64),
        steps=integers(rows),
        slots=integers(rows),
        seen=seen,
        best=torch.zeros(rows, tiles, device=device),
        best_tokens=integers(rows, tiles),
        scores=torch.zeros(rows, parts, device=device),
        picks=integers(rows, parts),
        arrived=integers(rows),
    )


def check_sampling(sampling: SamplingState, logits: Tensor) -> None:
    """Raise ValueError unless the settings are whole, for as many rows or more, and of that vocabulary."""
    if logits.dim() != 2 or 0 in logits.shape:
        raise ValueError(f"logits are {tuple(logits.shape)}: must be [rows, vocabulary]")
    (n, vocabulary), rows, device = logits.shape, len(sampling.penalties), logits.device
    check_tensor("logits", logits, torch.float32, (n, vocabulary), device)
    if rows < n:
        raise ValueError(f"{n} rows of logits, and settings for {rows}")
    tiles, parts = (rows, -(-vocabulary // TILE)), (rows, -(-vocabulary // (4 * lanes_of(vocabulary))))
    for name, dtype, shape in (
        ("penalties", torch.float32, (rows,)),
        ("temperatures", torch.float32, (rows,)),
        ("min_ps", torch.float32, (rows,)),
        ("seeds", torch.int64, (rows,)),
        ("steps", torch.int32, (rows,)),
        ("slots", torch.int32, (rows,)),
        ("seen", torch.uint8, (len(sampling.seen), vocabulary)),
        ("best", torch.float32, tiles),
        ("best_tokens", torch.int32, tiles),
        ("scores", torch.float32, parts),
        ("picks", torch.int32, parts),
        ("arrived", torch.int32, (rows,)),
    ):
        check_tensor(name, getattr(sampling, name), dtype, shape, device)


def lanes_of(vocabulary: int) -> int:
    """Counters of a program of the kernel, which draws 4 times as many numbers: what Philox gives at once."""
    return min(1024, max(32, 1 << (-(-vocabulary // 4) - 1).bit_length()))
