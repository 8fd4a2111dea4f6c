"""What a section of the bench found, contender by contender, and the ratios that its checks allow."""

import gc
import math
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from typing import Any

import torch
from torch import Tensor

OURS = "ours"


@dataclass(frozen=True)
class Bench:
    """What a section is asked for."""

    device: torch.device
    speed: float  # of the memory, bytes a second
    models: tuple[str, ...]
    contexts: tuple[int, ...]  # tokens
    rows: tuple[int, ...]  # of a pass that decodes
    prompts: tuple[int, ...]  # tokens of a pass that reads a prompt
    frames: tuple[int, ...]  # of local attention
    caches: tuple[str, ...]  # f16, int8
    full: bool = False  # odder sizes too
    compiled: bool = True  # rivals that take a compiler, on a GPU


@dataclass(frozen=True)
class Figure:
    """A number of the machine itself."""

    name: str
    value: float
    unit: str


@dataclass
class Result:
    """One case: microseconds and errors by contender; `failed` says why one has none."""

    case: dict[str, int | str]
    limit: float  # of the relative error
    bytes: int = 0  # the fewest that ours can move
    tokens: int = 0  # that come out of it, or go in with a prompt
    us: dict[str, float] = field(default_factory=dict)
    errors: dict[str, float] = field(default_factory=dict)
    failed: dict[str, str] = field(default_factory=dict)
    ours: tuple[str, ...] = (OURS,)
    rival_limit: float | None = None  # if the others may be further off

    def right(self, name: str) -> bool:
        """Whether the contender's result was checked, and is a number and near enough."""
        limit = self.limit if name in self.ours else self.rival_limit or self.limit
        return self.errors.get(name, math.nan) < limit

    @property
    def red(self) -> bool:
        """Whether a result of ours is wrong, or failed to come."""
        tried = [name for name in self.ours if name in self.errors or name in self.failed]
        return not tried or not all(self.right(name) and name in self.us for name in tried)

    @property
    def best(self) -> float:
        """Microseconds of the faster form of ours."""
        return min(self.us[name] for name in self.ours if name in self.us)

    @property
    def ratio(self) -> float | None:
        """How many times faster ours is than the fastest rival that is right; None while ours is red."""
        rivals = [us for name, us in self.us.items() if name not in self.ours and self.right(name)]
        return min(rivals) / self.best if rivals and not self.red else None

    def attempt(self, name: str, work: Callable[[], tuple[float, float]], device: torch.device) -> None:
        """Note the error and the microseconds that `work` gives, or why it gives none."""
        try:
            self.errors[name], self.us[name] = work()
        except Exception as error:  # noqa: BLE001  (whatever a contender dies of, the others are measured)
            self.failed[name] = f"{type(error).__name__}: {error}"[:600]
        if device.type == "cuda":
            gc.collect()
            torch.cuda.synchronize()  # raises again if the device is lost: then no other can run
            torch.cuda.empty_cache()

    def as_json(self) -> dict[str, Any]:
        """Everything, with what follows from it; a number that is none is null."""
        errors = {name: None if math.isnan(error) else error for name, error in self.errors.items()}
        return asdict(self) | {"errors": errors, "red": self.red}


def relative_error(out: Tensor, right: Tensor) -> float:
    """The error of the whole tensor, in float64; NaN if any element is."""
    return float((out.double() - right.double()).norm() / right.double().norm())


def worst(*errors: float) -> float:
    """The largest; NaN if any is."""
    return torch.tensor(errors, dtype=torch.float64).max().item()


def regret(tokens: Tensor, logits: Tensor) -> float:
    """By how much the worst choice falls short of the largest logit, of a norm; more than 1 if it is none."""
    if not bool(((tokens >= 0) & (tokens < logits.shape[1])).all()):
        return 2.0
    short = logits.amax(1) - logits.gather(1, tokens.long()[:, None])[:, 0]
    return float((short / logits.std()).max())
