"""Replies to many prompts at once: greedy for judging, sampled for replay."""

from collections.abc import Iterator, Sequence

import torch
from torch import Tensor

from llm.train.model import Cache, Delta, Llama


def replies(
    model: Llama,
    prompts: Sequence[Sequence[int]],
    ends: frozenset[int],
    *,
    delta: Delta | None = None,
    most: int = 96,
    batch: int = 256,
    sampled: tuple[float, torch.Generator] | None = None,
) -> list[list[int]]:
    """Up to `most` tokens after each prompt, with the one of `ends` that ended it, if one did.

    sampled: a temperature and the randomness, on the model's device; None takes the likeliest token.
    """
    order = sorted(range(len(prompts)), key=lambda i: len(prompts[i]))
    written: dict[int, list[int]] = {}
    for start in range(0, len(order), batch):
        chosen = order[start : start + batch]
        rows = _batch(model, [prompts[i] for i in chosen], ends, delta, most, sampled)
        written |= dict(zip(chosen, rows, strict=True))
    return [written[i] for i in range(len(prompts))]


@torch.inference_mode()
def _batch(
    model: Llama,
    prompts: Sequence[Sequence[int]],
    ends: frozenset[int],
    delta: Delta | None,
    most: int,
    sampled: tuple[float, torch.Generator] | None,
) -> list[list[int]]:
    rows: list[list[int]] = [[] for _ in prompts]
    over = [False] * len(prompts)
    for tokens in _steps(model, prompts, delta, most, sampled):
        for row, token in enumerate(tokens):
            if not over[row]:
                rows[row].append(token)
                over[row] = token in ends
        if all(over):
            break
    return rows


def _steps(
    model: Llama,
    prompts: Sequence[Sequence[int]],
    delta: Delta | None,
    most: int,
    sampled: tuple[float, torch.Generator] | None,
) -> Iterator[list[int]]:
    """The next token of every row, again and again; rows are padded on the left."""
    longest, device = max(map(len, prompts)), model.device
    ids = torch.tensor([[0] * (longest - len(p)) + list(p) for p in prompts], device=device)
    seen = torch.tensor([[False] * (longest - len(p)) + [True] * len(p) for p in prompts], device=device)
    positions = (seen.cumsum(1) - 1).clamp(min=0)
    causal = torch.ones(longest, longest, dtype=torch.bool, device=device).tril()
    itself = torch.eye(longest, dtype=torch.bool, device=device)  # else what pads see is NaN
    mask, cache = (causal & seen[:, None, :] | itself)[:, None], Cache()
    for _ in range(most):
        hidden = model.hidden(ids, delta, positions=positions, mask=mask, cache=cache)
        ids = _choose(model.logits(hidden[:, -1]), sampled)[:, None]
        yield ids[:, 0].tolist()
        seen = torch.cat([seen, torch.ones_like(seen[:, :1])], 1)
        positions, mask = positions[:, -1:] + 1, seen[:, None, None, :]


def _choose(logits: Tensor, sampled: tuple[float, torch.Generator] | None) -> Tensor:
    if sampled is None:
        return logits.argmax(1)
    temperature, generator = sampled
    chances = torch.softmax(logits / temperature, 1)
    return torch.multinomial(chances, 1, generator=generator)[:, 0]
