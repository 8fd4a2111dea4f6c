"""The training loop: AdamW on the adapter alone, a cosine for the rate, and two losses.

Replies are learnt by their cross-entropy. On the base model's own texts and replies its predictions are held:
learning its samples as if they were true would do so, too, but with more noise.
"""

import math
import random
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F  # noqa: N812  # torch's own name for it

from llm.train.adapter import Adapter
from llm.train.encode import Encoded
from llm.train.model import Llama

_WARM_UP = 0.05  # of all steps
_LAST = 0.1  # of the peak rate
_LOG_EVERY = 50  # steps


@dataclass(frozen=True)
class Settings:
    """One training. alpha is always twice the rank, which keeps rates comparable between ranks."""

    rank: int = 16
    rate: float = 5e-4
    epochs: float = 3.0
    batch: int = 64
    """Examples in a step."""
    hold: float = 1.0
    """What the drift from the base weighs beside the replies."""
    seed: int = 0

    @property
    def alpha(self) -> int:
        """PEFT's lora_alpha."""
        return 2 * self.rank

    @property
    def name(self) -> str:
        """For the log and for tables."""
        return f"rank {self.rank}, rate {self.rate:g}, {self.epochs:g} epochs, hold {self.hold:g}"


@dataclass(frozen=True)
class Data:
    """What is learnt, and on what the base model's predictions are held; neither is empty."""

    learnt: Sequence[Encoded]
    held: Sequence[Encoded]


def train(
    model: Llama,
    data: Data,
    settings: Settings,
    log: Callable[[str], None],
    most_steps: int | None = None,
) -> Adapter:
    """Train an adapter: the same one each time on the same machine. `most_steps` ends it early."""
    adapter = Adapter(model.config, settings.rank, settings.alpha, settings.seed).to(model.device)
    optimizer = torch.optim.AdamW(adapter.parameters(), lr=settings.rate, weight_decay=0.0)
    steps = max(1, round(len(data.learnt) * settings.epochs / settings.batch))
    steps = steps if most_steps is None else min(steps, most_steps)
    held_batch = max(1, round(len(data.held) * settings.batch / len(data.learnt)))
    batches = zip(
        range(steps),
        _batches(data.learnt, settings.batch, settings.seed),
        _batches(data.held, held_batch, settings.seed),
        strict=False,
    )
    recent: list[Tensor] = []
    for step, learnt, held in batches:
        for group in optimizer.param_groups:
            group["lr"] = settings.rate * schedule(step, steps)
        losses = torch.stack([reply_loss(model, adapter, learnt), held_loss(model, adapter, held)])
        optimizer.zero_grad(set_to_none=True)
        torch.autograd.backward(losses[0] + settings.hold * losses[1])
        torch.nn.utils.clip_grad_norm_(adapter.parameters(), 1.0)
        optimizer.step()
        recent.append(losses.detach())
        if (step + 1) % _LOG_EVERY == 0 or step + 1 == steps:
            reply, drift = torch.stack(recent).mean(0).tolist()
            log(f"  step {step + 1} of {steps}: replies {reply:.4f}, drift from the base {drift:.4f}")
            recent.clear()
    return adapter


def reply_loss(model: Llama, adapter: Adapter, batch: Sequence[Encoded]) -> Tensor:
    """Mean cross-entropy of the replies' tokens; bfloat16 products on a GPU, float32 on a CPU."""
    ids, learnt = _padded(model, batch)
    with _products(model):
        logits = model.logits(model.hidden(ids[:, :-1], adapter)[learnt])
    return F.cross_entropy(logits, ids[:, 1:][learnt])


def held_loss(model: Llama, adapter: Adapter, batch: Sequence[Encoded]) -> Tensor:
    """Mean Kullback-Leibler divergence KL(base || adapted) over the same tokens: what is not to change."""
    ids, held = _padded(model, batch)
    with _products(model):
        adapted = model.logits(model.hidden(ids[:, :-1], adapter)[held])
        with torch.no_grad():
            base = model.logits(model.hidden(ids[:, :-1])[held])
    return F.kl_div(adapted.log_softmax(1), base.log_softmax(1), reduction="batchmean", log_target=True)


def _products(model: Llama) -> torch.autocast:
    return torch.autocast(model.device.type, torch.bfloat16, enabled=model.device.type == "cuda")


def _padded(model: Llama, batch: Sequence[Encoded]) -> tuple[Tensor, Tensor]:
    """Ids [B, T], padded behind, where no token looks; and which predictions count, [B, T - 1]."""
    longest = max(len(example.ids) for example in batch)
    padded = [list(example.ids) + [0] * (longest - len(example.ids)) for example in batch]
    spans = torch.tensor([(example.start, len(example.ids)) for example in batch], device=model.device)
    at = torch.arange(1, longest, device=model.device)
    counted = (at >= spans[:, :1]) & (at < spans[:, 1:])
    return torch.tensor(padded, device=model.device), counted


def schedule(step: int, steps: int) -> float:
    """The share of the peak rate at a step: up along a line, then down along a cosine."""
    warm_up = max(1, int(steps * _WARM_UP))
    if step < warm_up:
        return (step + 1) / warm_up
    progress = (step - warm_up) / max(1, steps - warm_up)
    return _LAST + (1 - _LAST) * (1 + math.cos(math.pi * progress)) / 2


def _batches(examples: Sequence[Encoded], size: int, seed: int) -> Iterator[list[Encoded]]:
    """Again and again all examples in a new order, those of similar length together."""
    rng = random.Random(seed)
    while True:
        order = sorted(examples, key=lambda example: len(example.ids) + rng.random() * 32)
        batches = [order[i : i + size] for i in range(0, len(order), size)]
        rng.shuffle(batches)
        yield from batches
