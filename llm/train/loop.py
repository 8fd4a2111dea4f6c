"""The training loop: the replies' cross-entropy, AdamW on the adapter alone, a cosine for the rate."""

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
    seed: int = 0

    @property
    def alpha(self) -> int:
        """PEFT's lora_alpha."""
        return 2 * self.rank

    @property
    def name(self) -> str:
        """For the log and for tables."""
        return f"rank {self.rank}, rate {self.rate:g}, {self.epochs:g} epochs"


def train(
    model: Llama,
    examples: Sequence[Encoded],
    settings: Settings,
    log: Callable[[str], None],
    most_steps: int | None = None,
) -> Adapter:
    """Train an adapter: the same one each time on the same machine. `most_steps` ends it early."""
    adapter = Adapter(model.config, settings.rank, settings.alpha, settings.seed).to(model.device)
    optimizer = torch.optim.AdamW(adapter.parameters(), lr=settings.rate, weight_decay=0.0)
    steps = max(1, round(len(examples) * settings.epochs / settings.batch))
    steps = steps if most_steps is None else min(steps, most_steps)
    recent: list[Tensor] = []
    for step, batch in zip(range(steps), _batches(examples, settings), strict=False):
        for group in optimizer.param_groups:
            group["lr"] = settings.rate * schedule(step, steps)
        loss = batch_loss(model, adapter, batch)
        optimizer.zero_grad(set_to_none=True)
        torch.autograd.backward(loss)
        torch.nn.utils.clip_grad_norm_(adapter.parameters(), 1.0)
        optimizer.step()
        recent.append(loss.detach())
        if (step + 1) % _LOG_EVERY == 0 or step + 1 == steps:
            log(f"  step {step + 1} of {steps}: loss {float(torch.stack(recent).mean()):.4f}")
            recent.clear()
    return adapter


def batch_loss(model: Llama, adapter: Adapter, batch: Sequence[Encoded]) -> Tensor:
    """Mean cross-entropy of the replies' tokens; bfloat16 products on a GPU, float32 on a CPU."""
    longest = max(len(example.ids) for example in batch)
    padded = [list(example.ids) + [0] * (longest - len(example.ids)) for example in batch]
    ids = torch.tensor(padded, device=model.device)
    spans = torch.tensor([(example.start, len(example.ids)) for example in batch], device=model.device)
    at = torch.arange(1, longest, device=model.device)
    learnt = (at >= spans[:, :1]) & (at < spans[:, 1:])  # [B, T - 1]
    with torch.autocast(model.device.type, torch.bfloat16, enabled=model.device.type == "cuda"):
        hidden = model.hidden(ids[:, :-1], adapter)[learnt]  # pads stand behind: none is looked at
        logits = model.logits(hidden)
    return F.cross_entropy(logits, ids[:, 1:][learnt])


def schedule(step: int, steps: int) -> float:
    """The share of the peak rate at a step: up along a line, then down along a cosine."""
    warm_up = max(1, int(steps * _WARM_UP))
    if step < warm_up:
        return (step + 1) / warm_up
    progress = (step - warm_up) / max(1, steps - warm_up)
    return _LAST + (1 - _LAST) * (1 + math.cos(math.pi * progress)) / 2


def _batches(examples: Sequence[Encoded], settings: Settings) -> Iterator[list[Encoded]]:
    """Again and again all examples in a new order, those of similar length together."""
    rng = random.Random(settings.seed)
    while True:
        order = sorted(examples, key=lambda example: len(example.ids) + rng.random() * 32)
        batches = [order[i : i + settings.batch] for i in range(0, len(order), settings.batch)]
        rng.shuffle(batches)
        yield from batches
