"""The head and the choice of a token, beside torch's in half precision."""

import functools
from collections.abc import Callable, Iterable, Iterator
from typing import TypeVar

import torch
from torch import Tensor
from torch.nn import functional as F  # noqa: N812  # torch's own name for it

from kernels.bench.models import MODELS, layers_for, matrices
from kernels.bench.products import LIMIT, TORCH, VERIFIED
from kernels.bench.results import OURS, Bench, Result, regret, relative_error
from kernels.bench.timing import in_turn
from kernels.formats.llama import Shape
from kernels.formats.packed import FEW, empty_packed
from kernels.products import few_rows, head
from kernels.sampling import choose

AGAINST = {"x torch": (TORCH,)}

T = TypeVar("T")

TEMPERATURE, MIN_P = 0.7, 0.05


def section(bench: Bench) -> Iterator[Result]:
    """Logits alone; the likeliest token with its head; a token drawn from logits that are there."""
    for model in bench.models:
        for m in sorted({*bench.rows, VERIFIED}):
            for measure in (_logits, _greedy, _drawn):
                yield measure(model, MODELS[model], m, bench.device)


class _Heads:
    """Heads enough that each is cold, as after a pass, and rows."""

    def __init__(self, shape: Shape, m: int, device: torch.device) -> None:
        torch.manual_seed(m)
        first = matrices(1, shape.vocabulary, shape.width, 8, device)
        more = range(layers_for(first.layer_bytes, device) - 1)
        self.heads = [first, *(matrices(1, shape.vocabulary, shape.width, 8, device) for _ in more)]
        self.eps = shape.norm_eps
        self.x = torch.randn(m, shape.width, device=device)
        self.norm = 1 + 0.1 * torch.randn(shape.width, device=device)
        self.out = torch.full((m, shape.vocabulary), torch.nan, device=device)
        few = m <= FEW and few_rows.why_not(shape, device) is None
        self.packed = empty_packed(m, shape.width, device).fill(self.x * self.norm, self.x) if few else None
        self.scratch = torch.empty(m, shape.width, dtype=torch.float16, device=device)
        self.choice = choose.greedy(m, torch.zeros(m, shape.vocabulary, dtype=torch.uint8, device=device))

    def right(self) -> Tensor:
        """Logits of the first."""
        return self._normed() @ self.heads[0].dequantize(0).T

    def ours(self, i: int, *, choosing: bool = False) -> Tensor:
        """Logits, and, when choosing, the largest of each tile."""
        choice = self.choice if choosing else None
        if self.packed is not None:
            return few_rows.head(self.packed, self.heads[i], self.eps, out=self.out, choice=choice)
        return head.head(
            self.x, self.norm, self.heads[i], self.eps, out=self.out, choice=choice, scratch=self.scratch
        )

    def plain(self) -> list[Tensor]:
        """The matrices in half precision, as many as make each cold."""
        count = layers_for(2 * self.heads[0].rows * self.heads[0].columns, self.x.device)
        return [w.dequantize(0).half() for w in self.heads[:count]]

    def torch(self, matrix: Tensor) -> Tensor:
        """Torch's logits."""
        return F.linear(self._normed().half(), matrix)

    def _normed(self) -> Tensor:
        return F.rms_norm(self.x, self.norm.shape, self.norm, self.eps)


def _case(name: str, model: str, m: int) -> dict[str, int | str]:
    return {"kernel": name, "model": model, "M": m}


def _logits(model: str, shape: Shape, m: int, device: torch.device) -> Result:
    given = _Heads(shape, m, device)
    right = given.right()
    result = Result(_case("head", model, m), LIMIT, head.bytes_moved(given.heads[0], m))

    def ours() -> tuple[float, float]:
        error = relative_error(given.ours(0), right)
        return error, in_turn(_each(given.ours, range(len(given.heads))), device)

    def rival() -> tuple[float, float]:
        plain = given.plain()
        return relative_error(given.torch(plain[0]), right), in_turn(_each(given.torch, plain), device)

    result.attempt(OURS, ours, device)
    result.attempt(TORCH, rival, device)
    return result


def _greedy(model: str, shape: Shape, m: int, device: torch.device) -> Result:
    given = _Heads(shape, m, device)
    right = given.right()
    moved = head.bytes_moved(given.heads[0], m) + choose.bytes_moved(given.out, drawn=False)
    result = Result(_case("head and greedy choice", model, m), LIMIT, moved)
    tokens = torch.full((m,), -2, dtype=torch.int32, device=device)

    def chosen(i: int) -> Tensor:
        return choose.choose(given.ours(i, choosing=True), given.choice, out=tokens)

    def theirs(matrix: Tensor) -> Tensor:
        return given.torch(matrix).argmax(1)

    def ours() -> tuple[float, float]:
        return regret(chosen(0), right), in_turn(_each(chosen, range(len(given.heads))), device)

    def rival() -> tuple[float, float]:
        plain = given.plain()
        return regret(theirs(plain[0]), right), in_turn(_each(theirs, plain), device)

    result.attempt(OURS, ours, device)
    result.attempt(TORCH, rival, device)
    return result


def _drawn(model: str, shape: Shape, m: int, device: torch.device) -> Result:
    """The choice alone; torch's has the same steps, with draws of its own: only ours can be checked."""
    torch.manual_seed(m)
    logits = 3 * torch.randn(m, shape.vocabulary, device=device)
    choice = choose.greedy(m, torch.zeros(m, shape.vocabulary, dtype=torch.uint8, device=device))
    choice.temperatures.fill_(TEMPERATURE)
    choice.min_ps.fill_(MIN_P)
    choice.seeds.copy_(torch.arange(m))
    tiles = choice.best.shape[1]
    padded = F.pad(logits, (0, -shape.vocabulary % choose.TILE), value=-torch.inf).view(m, tiles, -1)
    choice.best.copy_(padded.amax(2))
    first = (padded == padded.amax(2, keepdim=True)).int().argmax(2)
    choice.best_tokens.copy_(first + torch.arange(tiles, device=device) * choose.TILE)
    tokens = torch.full((m,), -2, dtype=torch.int32, device=device)
    moved = choose.bytes_moved(logits, drawn=True)
    result = Result(_case("drawn choice", model, m), LIMIT, moved)

    def chosen() -> Tensor:
        return choose.choose(logits, choice, out=tokens)

    def ours() -> tuple[float, float]:
        wrong = (chosen() != choose.reference(logits, choice)).double().mean().item()
        return wrong, in_turn([chosen] * 10, device)

    result.attempt(OURS, ours, device)
    return result


def _each(call: Callable[[T], object], over: Iterable[T]) -> list[Callable[[], object]]:
    return [functools.partial(call, one) for one in over]
