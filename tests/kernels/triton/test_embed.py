"""Rows of an embedding against the layout's definition, worked out element by element."""

from typing import Any

import pytest
import torch
from torch import Tensor

from kernels.formats.quantized import Quantized, quantize
from kernels.products.embed import bytes_moved, embed, reference


def embedding(kind: str, vocabulary: int, width: int, device: torch.device) -> Quantized:
    weights = torch.randn(1, vocabulary, width, generator=torch.Generator().manual_seed(width))
    made = quantize(weights, 8 if kind == "q8" else 4)
    return Quantized(made.codes, made.scales, made.minima if kind == "q4_1" else None).to(device)


def expected(made: Quantized, token: int) -> list[float]:
    """One row, from the definition."""
    codes, scales = made.codes[0, token].tolist(), made.scales[0, token].tolist()
    minima = [-8 * s for s in scales] if made.minima is None else made.minima[0, token].tolist()
    if made.bits == 8:
        return [code * scales[i // 32] for i, code in enumerate(codes)]
    halves = [((codes[i // 32 * 16 + i % 16] >> (4 * (i % 32 // 16))) & 15) for i in range(made.columns)]
    return [code * scales[i // 32] + minima[i // 32] for i, code in enumerate(halves)]


@pytest.mark.parametrize("kind", ["q8", "q4_0", "q4_1"])
@pytest.mark.parametrize("width", [32, 96, 576, 1120])
@pytest.mark.parametrize("implementation", ["kernel", "reference"])
def test_rows(kind: str, width: int, implementation: str, device: torch.device) -> None:
    made = embedding(kind, 11, width, device)
    tokens = torch.tensor([10, 0, 3, 3, -1, 11, 7], dtype=torch.int32, device=device)
    out = torch.full((7, width), torch.nan, device=device)
    if implementation == "kernel":
        assert embed(tokens, made, out=out) is out
    else:
        out = reference(tokens, made)
    for row, token in zip(out.cpu(), tokens.tolist(), strict=True):
        right: Any = expected(made, token) if 0 <= token < 11 else [0.0] * width
        torch.testing.assert_close(row, torch.tensor(right), rtol=1e-6, atol=1e-6)


def test_bytes_moved(device: torch.device) -> None:
    made = embedding("q4_1", 11, 96, device)
    tokens = torch.zeros(5, dtype=torch.int32, device=device)
    # A token of 4 bytes, 48 bytes of codes, 3 scales, 3 minima, 96 float32
    assert bytes_moved(tokens, made) == 5 * (4 + 48 + 2 * 6 + 4 * 96)


@pytest.mark.parametrize(
    ("tokens", "out", "message"),
    [
        (torch.zeros(2, dtype=torch.int64), torch.zeros(2, 32), "tokens is torch.int64"),
        (torch.zeros(0, dtype=torch.int32), torch.zeros(0, 32), r"tokens are \(0,\)"),
        (torch.zeros(2, 1, dtype=torch.int32), torch.zeros(2, 32), r"tokens are \(2, 1\)"),
        (torch.zeros(2, dtype=torch.int32), torch.zeros(3, 32), r"out is torch.float32 \(3, 32\)"),
        (torch.zeros(2, dtype=torch.int32), torch.zeros(2, 32).half(), "out is torch.float16"),
        (torch.zeros(2, dtype=torch.int32), torch.zeros(32, 2).mT, "out is .* with strides"),
    ],
)
def test_what_does_not_fit_is_refused(
    tokens: Tensor, out: Tensor, message: str, device: torch.device
) -> None:
    with pytest.raises(ValueError, match=message):
        embed(tokens.to(device), embedding("q8", 5, 32, device), out=out.to(device))


def test_one_matrix_only(device: torch.device) -> None:
    made = quantize(torch.randn(2, 5, 32, device=device))
    with pytest.raises(ValueError, match="2 matrices"):
        embed(torch.zeros(1, dtype=torch.int32, device=device), made, out=torch.zeros(1, 32, device=device))
