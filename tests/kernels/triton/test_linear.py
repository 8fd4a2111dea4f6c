import os

import pytest
import torch
from torch import Tensor

from kernels.formats.quantized import Quantized, quantize
from kernels.products import linear_triton
from kernels.products.linear import bytes_moved, linear, norm_gate_up, norm_is_apart
from kernels.products.linear_triton import Tile, choose_tile
from kernels.products.rms_norm import rms_norm

INTERPRETED = os.environ.get("TRITON_INTERPRET") == "1"


def weights(rows: int, columns: int, form: str, seed: int = 0) -> Quantized:
    made = torch.randn(2, rows, columns, generator=torch.Generator().manual_seed(seed)) * columns**-0.5
    w = quantize(made, 8 if form == "8" else 4)
    return Quantized(w.codes, w.scales) if form == "4 centred" else w


def meaning(w: Quantized, layer: int) -> Tensor:
    """Float64 [N, K], column by column, straight from the layout's description."""
    out = torch.zeros(w.rows, w.columns, dtype=torch.float64)
    for column in range(w.columns):
        block, i = divmod(column, 32)
        scale = w.scales[layer, :, block].double()
        if w.bits == 8:
            out[:, column] = w.codes[layer, :, column].double() * scale
            continue
        byte = w.codes[layer, :, 16 * block + i % 16].int()
        code = (byte % 16 if i < 16 else byte // 16).double()
        out[:, column] = (code - 8) * scale if w.minima is None else code * scale + w.minima[layer, :, block]
    return out


def normal(*size: int, seed: int = 1) -> Tensor:
    return torch.randn(*size, generator=torch.Generator().manual_seed(seed))


def product_of(w: Quantized, x: Tensor, residual: Tensor, device: torch.device, scale: float = 1.0) -> Tensor:
    out = residual.clone().to(device)
    assert linear(x.to(device), w.to(device), 1, residual=out, scale=scale) is out
    return out.cpu()


def mlp_of(w: Quantized, x: Tensor, norm: Tensor, device: torch.device) -> Tensor:
    out = torch.full((len(x), w.rows // 2), torch.nan, dtype=torch.float16, device=device)
    norm_gate_up(x.to(device), norm.to(device), w.to(device), 1, 1e-5, out=out)
    return out.cpu()


def mlp_meaning(w: Quantized, x: Tensor, norm: Tensor) -> Tensor:
    wide = x.double()
    normed = wide / (wide.square().mean(1, keepdim=True) + 1e-5).sqrt() * norm.double()
    gate, up = (normed @ meaning(w, 1).T).chunk(2, 1)
    return gate / (1 + (-gate).exp()) * up / 16


@pytest.mark.parametrize("form", ["4", "4 centred", "8"])
@pytest.mark.parametrize(("rows", "columns"), [(40, 96), (24, 576), (9, 1056), (17, 32)])
def test_a_product_is_added_to_the_residual(device: torch.device, form: str, rows: int, columns: int) -> None:
    w, x, residual = weights(rows, columns, form), normal(3, columns).half(), normal(3, rows, seed=2)
    found = product_of(w, x, residual, device, scale=0.5)
    meant = residual.double() + 0.5 * x.double() @ meaning(w, 1).T
    # The weights are rounded to float16 (2 ** -11) before they are multiplied; a wrong column is 1 off.
    assert torch.allclose(found.double(), meant, atol=4e-3, rtol=0)


@pytest.mark.parametrize("form", ["4", "4 centred", "8"])
@pytest.mark.parametrize("tokens", [1, 2, 5, 16, 17, 33, 70])
def test_any_number_of_rows(device: torch.device, form: str, tokens: int) -> None:
    w, x, residual = weights(72, 160, form), normal(tokens, 160).half(), normal(tokens, 72, seed=2)
    meant = residual.double() + x.double() @ meaning(w, 1).T
    assert torch.allclose(product_of(w, x, residual, device).double(), meant, atol=4e-3, rtol=0)


TILES = [
    Tile(True, 16, 8, 2, 8, 4),
    Tile(True, 16, 32, 4, 4, 3),
    Tile(True, 32, 32, 2, 8, 3),
    Tile(True, 64, 32, 2, 8, 3),
    Tile(False, 64, 64, 4, 4, 3),
    Tile(False, 128, 128, 4, 8, 3),
]


@pytest.mark.parametrize("tile", TILES, ids=str)
@pytest.mark.parametrize("form", ["4", "4 centred", "8"])
def test_every_way_to_cut_a_product(device: torch.device, tile: Tile, form: str) -> None:
    w, x, residual = weights(136, 352, form), normal(70, 352).half(), normal(70, 136, seed=2)
    out = residual.clone().to(device)
    linear_triton.launch(out, x.to(device), None, w.to(device), 1, tile=tile)
    meant = residual.double() + x.double() @ meaning(w, 1).T
    assert torch.allclose(out.cpu().double(), meant, atol=4e-3, rtol=0)


@pytest.mark.parametrize("tile", [tile for tile in TILES if not tile.split], ids=str)
def test_gate_and_up_in_tiles(device: torch.device, tile: Tile) -> None:
    w, x = weights(136, 352, "4"), normal(70, 352)
    normed, ones = rms_norm(x, torch.ones(352), 1e-5, out=torch.empty(70, 352).half()), torch.ones(352)
    out = torch.full((70, 68), torch.nan, dtype=torch.float16, device=device)
    linear_triton.launch(out, normed.to(device), None, w.to(device), 1, gated=True, tile=tile)
    assert torch.allclose(out.cpu().double(), mlp_meaning(w, x, ones), atol=1e-3, rtol=4e-3)


@pytest.mark.parametrize("form", ["4", "4 centred", "8"])
@pytest.mark.parametrize("tokens", [1, 3, 16, 20, 65])
def test_gate_and_up_of_the_normed_rows(device: torch.device, form: str, tokens: int) -> None:
    w, x, norm = weights(80, 96, form), normal(tokens, 96) * 30, normal(96, seed=3)
    assert torch.allclose(mlp_of(w, x, norm, device).double(), mlp_meaning(w, x, norm), atol=1e-3, rtol=4e-3)


def test_one_large_channel_does_not_overflow(device: torch.device) -> None:
    w, x, norm = weights(16, 576, "8"), normal(2, 576), torch.full((576,), 8.0)
    x[1, 77] = 30000.0  # times its norm it is beyond float16
    found = mlp_of(w, x, norm, device).double()
    assert torch.allclose(found, mlp_meaning(w, x, norm), atol=1e-3, rtol=4e-3)


# What the warps and their order do shows on a GPU only: there in the sizes of models.
SIZES = (
    [(40, 96), (24, 1056)]
    if INTERPRETED
    else [(40, 96), (576, 1536), (3072, 576), (4096, 4096), (8192, 2048)]
)


@pytest.mark.parametrize(("rows", "columns"), SIZES)
def test_a_row_is_the_same_whatever_is_beside_it(device: torch.device, rows: int, columns: int) -> None:
    w, x, residual = weights(rows, columns, "4"), normal(16, columns), normal(16, rows, seed=2)
    norm = normal(columns, seed=3)
    every = product_of(w, x.half(), residual, device), mlp_of(w, x, norm, device)
    for first, count in ((0, 1), (3, 1), (15, 1), (2, 2), (5, 3), (4, 8), (1, 13)):
        part = slice(first, first + count)
        assert torch.equal(product_of(w, x[part].half(), residual[part], device), every[0][part])
        assert torch.equal(mlp_of(w, x[part], norm, device), every[1][part])


def test_the_shapes_of_models_have_a_tile(device: torch.device) -> None:
    for width, hidden in ((576, 1536), (2048, 8192), (4096, 14336)):
        for rows, columns in ((width, width), (2 * hidden, width), (width, hidden)):
            one = choose_tile(1, rows, columns)
            assert all(choose_tile(tokens, rows, columns) == one for tokens in range(1, 17))
            assert -(-rows // one.rows) >= 72  # programs: more than half the processors of an H100
            assert not choose_tile(512, rows, columns).split


def test_the_norm_of_a_prompt_is_apart(device: torch.device) -> None:
    small, large = weights(80, 96, "4"), weights(8192, 1024, "8")
    assert [norm_is_apart(tokens, small) for tokens in (1, 16, 17, 64, 65)] == [False] * 4 + [True]
    assert [norm_is_apart(tokens, large) for tokens in (1, 16, 17, 64)] == [False, False, True, True]


def test_bytes_moved() -> None:
    w = weights(40, 96, "4")
    matrix = 40 * 48 + 2 * 40 * 3 * 2
    assert bytes_moved(w, 3) == matrix + 3 * (96 * 2 + 40 * 4 * 2)
    assert bytes_moved(w, 3, gated=True) == matrix + 3 * (96 * 4 + 20 * 2)


def test_what_does_not_fit_is_refused(device: torch.device) -> None:
    w = weights(40, 96, "4").to(device)
    x, residual = torch.zeros(2, 96, device=device).half(), torch.zeros(2, 40, device=device)
    with pytest.raises(ValueError, match="x is torch"):
        linear(x.float(), w, 0, residual=residual)
    with pytest.raises(ValueError, match="residual is torch"):
        linear(x, w, 0, residual=residual[:1])
    with pytest.raises(ValueError, match="strides"):
        linear(x.T.contiguous().T, w, 0, residual=residual)
    with pytest.raises(ValueError, match="layer 2: there are 2"):
        linear(x, w, 2, residual=residual)
    with pytest.raises(ValueError, match="must be"):
        linear(x[:0], w, 0, residual=residual[:0])
    norm, out = torch.ones(96, device=device), torch.zeros(2, 20, device=device).half()
    with pytest.raises(ValueError, match="norm is"):
        norm_gate_up(x.float(), norm[:4], w, 0, 1e-5, out=out)
    with pytest.raises(ValueError, match="out is"):
        norm_gate_up(x.float(), norm, w, 0, 1e-5, out=out.float())
    with pytest.raises(ValueError, match="scratch is"):
        norm_gate_up(x.float(), norm, w, 0, 1e-5, out=out, scratch=x[:1])
    with pytest.raises(ValueError, match="gate"):
        norm_gate_up(x.float(), norm, weights(9, 96, "4").to(device), 0, 1e-5, out=out)


@pytest.mark.parametrize("columns", [1, 33, 576])
def test_rms_norm(device: torch.device, columns: int) -> None:
    x, norm = normal(3, columns) * 50, normal(columns, seed=3)
    out = torch.full((3, columns), torch.nan, dtype=torch.float16, device=device)
    rms_norm(x.to(device), norm.to(device), 1e-5, out=out)
    wide = x.double()
    meant = wide / (wide.square().mean(1, keepdim=True) + 1e-5).sqrt() * norm.double()
    assert torch.allclose(out.cpu().double(), meant, atol=1e-6, rtol=1e-3)
    with pytest.raises(ValueError, match="out is"):
        rms_norm(x.to(device), norm.to(device), 1e-5, out=out[:2])
