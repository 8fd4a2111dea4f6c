"""The next token of each row from its logits, on the device: settings, a reference, the checked launcher.

As `llm/decode/sample.py` means it: a repetition penalty on the tokens seen, then the likeliest token or, at a
temperature, a draw from those at least `min_p` times as likely as the likeliest. The draw is a race (the
Gumbel-max trick): the token with the least exponential draw over probability wins. The draws are a function
of seed, step and token (Philox4x32-10, Salmon et al. 2011), so a choice can be repeated. Nucleus sampling
(top_p) is not done here.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from kernels.attention.paged import check_tensor

try:
    from kernels.attention import local_triton as local_attention_triton
    from kernels.sampling import choose_triton
except ImportError:  # triton is optional: without it everything runs in torch
    choose_triton = None  # type: ignore[assignment]

TILE = 32
"""Logits of which the head keeps the largest."""

_MASK = 0xFFFFFFFF


@dataclass(frozen=True)
class Choice:
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


def greedy(rows: int, seen: Tensor) -> Choice:
    """The settings that take the likeliest token without a penalty, to be written over; `seen` is kept."""
    vocabulary, device = seen.shape[1], seen.device
    tiles, parts = -(-vocabulary // TILE), -(-vocabulary // (4 * _lanes(vocabulary)))

    def integers(*shape: int, dtype: torch.dtype = torch.int32) -> Tensor:
        return torch.zeros(shape, dtype=dtype, device=device)

    return Choice(
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


def bytes_moved(logits: Tensor, *, drawn: bool) -> int:
    """The fewest bytes it can move: the tiles' largest, and, to draw, the logits and what was seen."""
    n, vocabulary = logits.shape
    return n * (8 * -(-vocabulary // TILE) + drawn * 5 * vocabulary + 4)


def penalize(logits: Tensor, choice: Choice) -> Tensor:
    """Logits [n, V] after each row's penalty; NaN becomes infinity, which no choice survives."""
    penalty = choice.penalties[: len(logits), None]
    worse = torch.where(logits > 0, logits / penalty, logits * penalty)
    marked = choice.seen[choice.slots[: len(logits)].long()] != 0
    return torch.where(marked, worse, logits).nan_to_num(nan=torch.inf, posinf=torch.inf, neginf=-torch.inf)


def reference(logits: Tensor, choice: Choice) -> Tensor:
    """What is meant, with the kernel's draws: int32 [n]."""
    n, vocabulary = logits.shape
    x = penalize(logits.float(), choice)
    peak = x.amax(1, keepdim=True)
    temperature, min_p = choice.temperatures[:n, None], choice.min_ps[:n, None]
    below = (x - peak) / torch.where(temperature == 0, 1, temperature)
    raced = below.double() - exponential(choice.seeds[:n], choice.steps[:n], vocabulary).log()
    raced = torch.where(below >= min_p.log(), raced, -torch.inf)
    score = torch.where(temperature == 0, x.double(), raced)
    token = (score == score.amax(1, keepdim=True)).int().argmax(1)  # the first
    return torch.where(peak[:, 0].isfinite(), token, -1).int()


def exponential(seeds: Tensor, steps: Tensor, vocabulary: int) -> Tensor:
    """The draws of each token, from the exponential distribution of rate 1: float64 [n, V]."""
    token = torch.arange(vocabulary, device=seeds.device)
    lanes = _lanes(vocabulary)
    counter = token // (4 * lanes) * lanes + token % lanes
    c = [
        counter.expand(len(seeds), -1),
        steps.long()[:, None] & _MASK,
        *[torch.zeros_like(seeds)[:, None]] * 2,
    ]
    key = [seeds[:, None] & _MASK, seeds[:, None] >> 32 & _MASK]
    for _ in range(10):
        low, high = 0xD2511F53 * c[0], 0xCD9E8D57 * c[2]  # wraps at 64 bits, whose halves are what is wanted
        c = [
            (high >> 32 & _MASK) ^ c[1] ^ key[0],
            high & _MASK,
            (low >> 32 & _MASK) ^ c[3] ^ key[1],
            low & _MASK,
        ]
        key = [key[0] + 0x9E3779B9 & _MASK, key[1] + 0xBB67AE85 & _MASK]
    which = (token // lanes % 4).expand(len(seeds), 1, -1)
    bits = torch.stack([x.expand(len(seeds), -1) for x in c], 1).gather(1, which)[:, 0]
    return -torch.log1p(-(bits.double() + 0.5) / 2**32)


def choose(logits: Tensor, choice: Choice, *, out: Tensor, advance: bool = False) -> Tensor:
    """A token for each row of logits, float32 [n, V], into `out`, int32 [n]; gives `out`.

    `choice.best` is what `head` wrote with those logits. A row whose largest logit is NaN or infinite gets -1
    (`llm.decode.sample.BrokenLogits`). With `advance`, tokens are marked as seen and steps counted up, for
    the next pass: rows must have slots of their own then. Runs the Triton kernel on CUDA (nothing is
    allocated, nothing waits) and the reference elsewhere. Raises ValueError for what does not fit together.
    """
    check_choice(choice, logits)
    check_tensor("out", out, torch.int32, (len(logits),), logits.device)
    if choose_triton is not None and local_attention_triton.why_not(logits.device, logits.dtype) is None:
        choose_triton.launch(out, logits, choice, _lanes(logits.shape[1]), advance)
        return out
    out.copy_(reference(logits, choice))
    if advance:
        chosen = out >= 0
        choice.seen[choice.slots[: len(out)][chosen].long(), out[chosen].long()] = 1
        choice.steps[: len(out)] += 1
    return out


def check_choice(choice: Choice, logits: Tensor) -> None:
    """Raise ValueError unless the settings are whole, for as many rows or more, and of that vocabulary."""
    if logits.dim() != 2 or 0 in logits.shape:
        raise ValueError(f"logits are {tuple(logits.shape)}: must be [rows, vocabulary]")
    (n, vocabulary), rows, device = logits.shape, len(choice.penalties), logits.device
    check_tensor("logits", logits, torch.float32, (n, vocabulary), device)
    if rows < n:
        raise ValueError(f"{n} rows of logits, and settings for {rows}")
    tiles, parts = (rows, -(-vocabulary // TILE)), (rows, -(-vocabulary // (4 * _lanes(vocabulary))))
    for name, dtype, shape in (
        ("penalties", torch.float32, (rows,)),
        ("temperatures", torch.float32, (rows,)),
        ("min_ps", torch.float32, (rows,)),
        ("seeds", torch.int64, (rows,)),
        ("steps", torch.int32, (rows,)),
        ("slots", torch.int32, (rows,)),
        ("seen", torch.uint8, (len(choice.seen), vocabulary)),
        ("best", torch.float32, tiles),
        ("best_tokens", torch.int32, tiles),
        ("scores", torch.float32, parts),
        ("picks", torch.int32, parts),
        ("arrived", torch.int32, (rows,)),
    ):
        check_tensor(name, getattr(choice, name), dtype, shape, device)


def _lanes(vocabulary: int) -> int:
    """Counters of a program of the kernel, which draws 4 times as many numbers: what Philox gives at once."""
    return min(1024, max(32, 1 << (-(-vocabulary // 4) - 1).bit_length()))
