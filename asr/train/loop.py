"""The training loop: random windows and rooms, averaged weights, and checkpoints to resume from."""

import copy
import json
import math
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from asr.moonshine.config import Windows, windows
from asr.moonshine.local import LocalEncoder
from asr.train.augment import AugmentConfig, augment, silences
from asr.train.distill import Distillation
from asr.train.pool import Clips

# Frames of look-ahead in each layer; 0, 8, 16, 24 and 32 frames in all.
LOOK_AHEADS = (
    (0, 0, 0, 0, 0, 0),
    (4, 0, 0, 0, 0, 4),
    (4, 4, 0, 0, 4, 4),
    (4, 4, 4, 4, 4, 4),
    (8, 8, 4, 4, 4, 4),
)
LEFTS = (32, 64, 128, 256)
CHOICES: tuple[Windows, ...] = tuple(windows(left, right) for left in LEFTS for right in LOOK_AHEADS)


@dataclass(frozen=True)
class LoopConfig:
    """One run; it may be interrupted after any number of minutes and resumed."""

    minutes: float
    """The length of the training in all; the learning rate follows their passing."""
    batch_s: float = 384.0
    """Seconds of audio in a step."""
    peak_rate: float = 6e-4
    warm_up_steps: int = 300
    weight_decay: float = 0.01
    average: float = 0.9995
    """The share of the averaged weights that stays in a step."""
    silence_every: int = 8
    """Steps between two with clips in which nothing is said."""
    choices: tuple[Windows, ...] = CHOICES
    augment: AugmentConfig = AugmentConfig()
    log_every: int = 200
    """Steps."""
    save_every_s: float = 120.0
    """The most training that is lost when the process is killed."""


@dataclass
class Run:
    """What changes while training."""

    student: LocalEncoder
    averaged: LocalEncoder
    optimizer: torch.optim.AdamW
    steps: int = 0
    elapsed_s: float = 0.0
    log: list[dict[str, Any]] = field(default_factory=list)


def start(student: LocalEncoder, config: LoopConfig) -> Run:
    """A run from its beginning."""
    fused = next(student.parameters()).device.type == "cuda"
    optimizer = torch.optim.AdamW(
        student.parameters(),
        lr=config.peak_rate,
        betas=(0.9, 0.98),
        weight_decay=config.weight_decay,
        fused=fused,
    )
    return Run(student, copy.deepcopy(student).requires_grad_(False), optimizer)


def save(run: Run, path: Path) -> None:
    """Write everything that `resume` needs; an interruption leaves the file before."""
    state = {
        "student": run.student.state_dict(),
        "averaged": run.averaged.state_dict(),
        "optimizer": run.optimizer.state_dict(),
        "steps": run.steps,
        "elapsed_s": run.elapsed_s,
        "log": run.log,
    }
    temporary = path.with_suffix(".part")
    torch.save(state, temporary)
    temporary.replace(path)


def resume(run: Run, path: Path) -> None:
    """Bring `run` to where it was saved."""
    state = torch.load(path, map_location=next(run.student.parameters()).device, weights_only=True)
    run.student.load_state_dict(state["student"])
    run.averaged.load_state_dict(state["averaged"])
    run.optimizer.load_state_dict(state["optimizer"])
    run.steps, run.elapsed_s, run.log = state["steps"], state["elapsed_s"], state["log"]


def rate(run: Run, config: LoopConfig) -> float:
    """The learning rate now: up to its peak in `warm_up_steps`, then down along a cosine to a hundredth."""
    progress = min(1.0, run.elapsed_s / (60 * config.minutes))
    cosine = 0.01 + 0.99 * (1 + math.cos(math.pi * progress)) / 2
    return config.peak_rate * min(1.0, (run.steps + 1) / config.warm_up_steps) * cosine


def train(
    run: Run,
    models: Distillation,
    pools: Sequence[Clips],
    config: LoopConfig,
    stop_after_s: float,
    seed: int,
    checkpoint: Path,
) -> None:
    """Train until all minutes have passed, or `stop_after_s` of this call; save on the way and at the end."""
    device = next(run.student.parameters()).device
    host = torch.Generator().manual_seed(seed + run.steps)
    generator = torch.Generator(device).manual_seed(seed + run.steps)
    shares = torch.tensor([len(pool.audio) * pool.seconds for pool in pools])
    began, before = time.monotonic(), run.elapsed_s
    saved_s = before
    try:
        while time.monotonic() - began < stop_after_s and run.elapsed_s < 60 * config.minutes:
            for group in run.optimizer.param_groups:
                group["lr"] = rate(run, config)
            pool = pools[int(torch.multinomial(shares, 1, generator=host))]
            choice = config.choices[int(torch.randint(len(config.choices), (1,), generator=host))]
            parts = _step(run, models, pool, choice, config, host, generator)
            run.steps += 1
            run.elapsed_s = before + time.monotonic() - began
            if run.steps % config.log_every == 0:
                _log(run, rate(run, config), parts)
            if run.elapsed_s - saved_s >= config.save_every_s:
                save(run, checkpoint)
                saved_s = run.elapsed_s
    finally:
        save(run, checkpoint)


def _log(run: Run, lr: float, parts: dict[str, Tensor]) -> None:
    run.log.append({"step": run.steps, "s": round(run.elapsed_s, 1), "lr": lr})
    run.log[-1] |= {name: round(float(value), 5) for name, value in parts.items()}
    print(json.dumps(run.log[-1]), flush=True)


def _step(
    run: Run,
    models: Distillation,
    pool: Clips,
    choice: Windows,
    config: LoopConfig,
    host: torch.Generator,
    generator: torch.Generator,
) -> dict[str, Tensor]:
    count = max(1, int(config.batch_s / pool.seconds))
    audio, tokens = pool.batch(count, host)
    near, far = augment(audio, config.augment, generator)
    with torch.autocast(audio.device.type, torch.bfloat16):
        losses = models.losses(near, far, tokens, choice)
        loss = losses.total
        if run.steps % config.silence_every == 0:
            quiet = silences(count, audio.shape[1], audio.device, generator)
            loss = loss + 0.5 * models.silence(quiet, choice)
    run.optimizer.zero_grad(set_to_none=True)
    torch.autograd.backward(loss)
    torch.nn.utils.clip_grad_norm_(run.student.parameters(), 1.0)
    run.optimizer.step()
    _average(run, min(config.average, (run.steps + 1) / (run.steps + 10)))
    return {"loss": loss.detach(), **{name: value.detach() for name, value in vars(losses).items()}}


@torch.no_grad()
def _average(run: Run, keep: float) -> None:
    averaged: list[Tensor] = list(run.averaged.parameters())
    now: list[Tensor] = list(run.student.parameters())
    torch._foreach_lerp_(averaged, now, 1 - keep)
