"""Logits against the product in float64, and what the head keeps of them for the sampling."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor

from kernels.formats.quantized import Quantized, quantize
from kernels.products.head import bytes_moved, head, keep_best, reference
from kernels.sampling.state import TILE, SamplingState, greedy

EPS = 1e-5


def given(m: int, columns: int, vocabulary: int, kind: str, device: torch.device) -> dict[str, Any]:
    make = torch.Generator().manual_seed(m + columns)
    weights = torch.randn(1, vocabulary, columns, generator=make) * 0.1
    made = quantize(weights, 8 if kind == "q8" else 4)
    rows = torch.randn(m, columns, generator=make) * torch.logspace(-2, 3, m)[:, None]
    return {
        "x": rows.to(device),
        "norm": (torch.rand(columns, generator=make) + 0.5).to(device),
        "w": Quantized(made.codes, made.scales, made.minima if kind == "q4_1" else None).to(device),
        "eps": EPS,
    }


def expected(found: dict[str, Any], wanted: list[int]) -> Tensor:
    """One row at a time, in float64."""
    x, norm = found["x"].double().cpu(), found["norm"].double().cpu()
    weights = found["w"].to(torch.device("cpu")).dequantize(0).double()
    rows = [x[i] / (x[i].square().mean() + EPS).sqrt() * norm for i in wanted]
    return torch.stack([weights @ row for row in rows])


def poisoned(n: int, vocabulary: int, device: torch.device) -> Tensor:
    return torch.full((n, vocabulary), torch.nan, device=device)


def close(out: Tensor, right: Tensor) -> bool:
    """Each row by its own size: they differ by a factor of 100 000 before the norm."""
    return bool(((out.double().cpu() - right).norm(dim=1) <= 1e-3 * right.norm(dim=1)).all())


@pytest.mark.parametrize(
    ("m", "columns", "vocabulary", "kind", "wanted"),
    [
        (1, 96, 100, "q8", None),
        (1, 32, 31, "q8", None),
        (3, 576, 65, "q8", None),
        (3, 96, 65, "q4_0", None),
        (16, 96, 40, "q4_1", None),
        (17, 96, 40, "q8", None),
        (33, 96, 40, "q8", [32, 0, 32, 7]),
        (5, 2048, 40, "q8", [4]),
        (80, 64, 70, "q4_1", None),
        (40, 64, 33, "q8", list(range(39, 5, -1))),
    ],
)
@pytest.mark.parametrize("implementation", ["kernel", "reference"])
def test_logits(
    m: int,
    columns: int,
    vocabulary: int,
    kind: str,
    wanted: list[int] | None,
    implementation: str,
    device: torch.device,
) -> None:
    found = given(m, columns, vocabulary, kind, device)
    rows = list(range(m)) if wanted is None else wanted
    picked = None if wanted is None else torch.tensor(wanted, dtype=torch.int32, device=device)
    out = poisoned(len(rows), vocabulary, device)
    if implementation == "kernel":
        assert head(**found, wanted=picked, out=out) is out
    else:
        out = reference(**found, wanted=picked)
    assert close(out, expected(found, rows))


def test_the_norm_of_many_rows_goes_into_scratch(device: torch.device) -> None:
    found = given(20, 64, 33, "q8", device)
    scratch = torch.full((20, 64), torch.nan, dtype=torch.float16, device=device)
    out = head(**found, out=poisoned(20, 33, device), scratch=scratch)
    assert close(out, expected(found, list(range(20))))
    assert scratch.isfinite().all()


@pytest.mark.parametrize("columns", [96, 2048])
def test_up_to_sixteen_rows_a_row_is_the_same_whatever_is_beside_it(
    columns: int, device: torch.device
) -> None:
    found = given(20, columns, 40, "q8", device)
    order = torch.arange(19, 3, -1, dtype=torch.int32, device=device)
    whole = head(**found, wanted=order, out=poisoned(16, 40, device))
    for n in (1, 2, 3, 5, 8, 13):
        part = head(**found, wanted=order[:n], out=poisoned(n, 40, device))
        assert torch.equal(part, whole[:n])
    x = found.pop("x")
    alone = head(x[19:].clone(), **found, out=poisoned(1, 40, device))
    assert torch.equal(alone, whole[:1])


def kept(sampling: SamplingState, n: int) -> tuple[Tensor, Tensor]:
    return sampling.best[:n].cpu(), sampling.best_tokens[:n].cpu()


@pytest.mark.parametrize("negative", [False, True])
@pytest.mark.parametrize("implementation", ["kernel", "reference"])
def test_the_largest_of_each_tile_is_kept_after_the_penalty(
    implementation: str, negative: bool, device: torch.device
) -> None:
    n, vocabulary = 3, 2 * TILE + 5
    found = given(n, 96, vocabulary, "q8", device)
    if negative:  # all logits
        found["x"] = found["x"].abs()
        found["w"].codes.abs_().neg_()
    seen = torch.zeros(2, vocabulary, dtype=torch.uint8, device=device)
    seen[1, ::2] = 1
    sampling = greedy(4, seen)
    sampling.best.fill_(torch.nan)
    sampling.best_tokens.fill_(-5)
    sampling.slots.copy_(torch.tensor([0, 1, 1, 0]))
    sampling.penalties.copy_(torch.tensor([3.0, 3.0, 0.5, 1.0]))
    out = poisoned(n, vocabulary, device)
    if implementation == "kernel":
        head(**found, out=out, sampling=sampling)
    else:
        out = reference(**found)
        keep_best(out, sampling)
    best, tokens = kept(sampling, n)
    for row, (slot, penalty) in enumerate(((0, 3.0), (1, 3.0), (1, 0.5))):
        logits = out[row].cpu()
        for tile in range(3):
            right = []
            for token in range(tile * TILE, min((tile + 1) * TILE, vocabulary)):
                value = logits[token]
                if seen[slot, token]:
                    value = value / penalty if value > 0 else value * penalty
                right.append((value.item(), -token))
            top, negative = max(right)
            assert best[row, tile].item() == pytest.approx(top, rel=1e-6)
            assert tokens[row, tile] == -negative
    assert sampling.best[3].isnan().all()  # of no row


def test_of_equal_logits_the_first_is_kept_and_nan_is_infinite(device: torch.device) -> None:
    found = given(2, 64, 70, "q8", device)
    found["w"].codes[:] = 0
    found["x"][1, 3] = torch.nan
    sampling = greedy(2, torch.zeros(1, 70, dtype=torch.uint8, device=device))
    out = head(**found, out=poisoned(2, 70, device), sampling=sampling)
    best, tokens = kept(sampling, 2)
    assert out[0].tolist() == [0.0] * 70
    assert out[1].isnan().all()
    assert best.tolist() == [[0.0] * 3, [torch.inf] * 3]
    assert tokens.tolist() == [[0, 32, 64]] * 2


def test_bytes_moved(device: torch.device) -> None:
    found = given(1, 96, 100, "q8", device)
    # 100 rows of 96 codes and 3 scales; twice, 96 inputs and 100 logits; 96 weights of the norm
    assert bytes_moved(found["w"], 2) == 100 * (96 + 6) + 4 * (2 * 196 + 96)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda g: g | {"x": g["x"][0]}, r"x is \(64,\): must be \[rows, columns\]"),
        (lambda g: g | {"x": g["x"].half()}, "x is torch.float16"),
        (lambda g: g | {"x": g["x"][:, :32]}, r"x is .*\(2, 32\)"),
        (lambda g: g | {"norm": g["norm"][:32]}, "norm is"),
        (lambda g: g | {"out": g["out"][:1]}, r"out is .*\(1, 70\)"),
        (lambda g: g | {"wanted": torch.zeros(2, dtype=torch.int64)}, "wanted is torch.int64"),
        (lambda g: g | {"wanted": torch.zeros(0, dtype=torch.int32)}, r"wanted is \(0,\)"),
        (lambda g: g | {"scratch": g["x"]}, "scratch is torch.float32"),
        (lambda g: g | {"w": quantize(torch.zeros(2, 70, 64))}, "the head has 2 matrices"),
        (lambda g: g | {"sampling": greedy(1, torch.zeros(1, 70, dtype=torch.uint8))}, "settings for 1"),
        (
            lambda g: g | {"sampling": greedy(2, torch.zeros(1, 71, dtype=torch.uint8))},
            r"seen is .*\(1, 71\)",
        ),
    ],
)
def test_what_does_not_fit_is_refused(
    change: Callable[[dict[str, Any]], dict[str, Any]], message: str
) -> None:
    here = torch.device("cpu")
    found = given(2, 64, 70, "q8", here) | {"out": poisoned(2, 70, here)}
    with pytest.raises(ValueError, match=message):
        head(**change(found))
