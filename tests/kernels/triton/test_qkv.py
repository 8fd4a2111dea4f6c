"""Queries, keys and values of a layer against their definition in float64, a row and a head at a time."""

import math
from collections.abc import Iterator
from dataclasses import replace
from types import SimpleNamespace

import pytest
import torch
from torch import Tensor

from kernels.formats.llama import PAGE, PagedCache, Rows, Shape, Weights, empty_cache
from kernels.formats.quantized import quantize
from kernels.products.qkv import bytes_moved, qkv, reference

LAYER = 1
CONTEXT = 100


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def make_weights(
    device: torch.device,
    *,
    width: int = 96,
    heads: int = 4,
    kv_heads: int = 2,
    d: int = 16,
    bits: int = 4,
    minima: bool = True,
    bias: bool = False,
    head_norms: bool = False,
) -> Weights:
    """Random ones; the parts that are not used here are small."""
    generator = torch.Generator().manual_seed(heads * width + d)

    def random(*size: int) -> Tensor:
        return torch.randn(*size, generator=generator)

    shape = Shape(2, width, heads, kv_heads, d, 32, 64)
    matrix = quantize(random(2, shape.qkv_rows, width) / width**0.5, bits)
    if bits == 4 and not minima:
        matrix = replace(matrix, minima=None)
    small = quantize(random(1, 32, 32)).to(device)
    angles = torch.outer(
        torch.arange(CONTEXT).double(), 1000.0 ** (-torch.arange(d // 2).double() / (d // 2))
    )
    return Weights(
        shape=shape,
        embedding=small,
        attn_norm=(1 + random(2, width) / 3).to(device),
        qkv=matrix.to(device),
        out=small,
        ffn_norm=torch.ones(2, width, device=device),
        gate_up=small,
        down=small,
        output_norm=torch.ones(width, device=device),
        head=small,
        cos=angles.cos().float().to(device),
        sin=angles.sin().float().to(device),
        qkv_bias=random(2, shape.qkv_rows).to(device) if bias else None,
        q_norm=(1 + random(2, d) / 3).to(device) if head_norms else None,
        k_norm=(1 + random(2, d) / 3).to(device) if head_norms else None,
    )


def make_cache(weights: Weights, device: torch.device, *, int8: bool, slots: int = 4) -> PagedCache:
    """Filled with a number that no key has; pages in no order."""
    shape, pages = weights.shape, 4 * slots + 1
    scales = None
    if int8:
        scales = torch.rand(2, 2, shape.kv_heads, shape.head_dim, generator=torch.Generator().manual_seed(5))
        scales = (scales / 100 + 0.01).to(device)
    cache = empty_cache(shape, slots=slots, context=CONTEXT, pages=pages, device=device, scales=scales)
    cache.keys.fill_(-128 if int8 else torch.nan), cache.values.fill_(-128 if int8 else torch.nan)
    order = torch.randperm(pages, generator=torch.Generator().manual_seed(6))[: 4 * slots]
    cache.table.copy_(order.to(torch.int32).view(slots, 4))
    return cache


def make_rows(places: list[tuple[int, int]], device: torch.device) -> Rows:
    slots, positions = torch.tensor(places, dtype=torch.int32).T.contiguous().to(device)
    return Rows(torch.zeros_like(slots), slots, positions)


def many(m: int, device: torch.device) -> Rows:
    """M rows of several slots, every seventh of them padding, whose slot must not be read."""
    places = [(i % 4, i // 4) if i % 7 != 3 else (2**30, -1) for i in range(m)]
    return make_rows(places, device)


def inputs(m: int, weights: Weights, device: torch.device, size: float = 3.0) -> Tensor:
    x = torch.randn(m, weights.shape.width, generator=torch.Generator().manual_seed(m))
    return (size * x).to(device)


def head_norm(x: Tensor, weight: Tensor | None, eps: float) -> Tensor:
    return x if weight is None else x / (x.square().mean() + eps).sqrt() * weight


def expected(x: Tensor, weights: Weights, row_position: int) -> tuple[Tensor, Tensor, Tensor]:
    """What a row should give, in float64: q [heads, d], k and v [kv heads, d]."""
    shape = weights.shape
    x = x.double().cpu()
    normed = x / (x.square().mean() + shape.norm_eps).sqrt() * weights.attn_norm[LAYER].double().cpu()
    flat = weights.qkv.dequantize(LAYER).double().cpu() @ normed
    if weights.qkv_bias is not None:
        flat = flat + weights.qkv_bias[LAYER].double().cpu()
    heads = list(flat.view(-1, shape.head_dim))
    norms = [None if n is None else n[LAYER].double().cpu() for n in (weights.q_norm, weights.k_norm)]
    for head in range(shape.heads + shape.kv_heads):
        y = head_norm(heads[head], norms[head >= shape.heads], shape.norm_eps).clone()
        for i in range(shape.head_dim // 2):
            angle = row_position * 1000.0 ** (-i / (shape.head_dim // 2))
            turned = complex(y[2 * i], y[2 * i + 1]) * complex(math.cos(angle), math.sin(angle))
            y[2 * i], y[2 * i + 1] = turned.real, turned.imag
        heads[head] = y
    found = torch.stack(heads)
    return found[: shape.heads], found[shape.heads : -shape.kv_heads], found[-shape.kv_heads :]


def check(x: Tensor, weights: Weights, cache: PagedCache, rows: Rows, q: Tensor, tolerance: float) -> None:
    """All of q, all that was stored, and that nothing else was."""
    touched = torch.zeros(*cache.keys.shape[:2], PAGE, dtype=torch.bool)
    for row, (slot, position) in enumerate(zip(rows.slots.tolist(), rows.positions.tolist(), strict=True)):
        if position < 0:
            assert torch.isfinite(q[row]).all()
            continue
        wanted = expected(x[row], weights, position)
        page = int(cache.table[slot, position // PAGE])
        touched[LAYER, page, position % PAGE] = True
        allowed = tolerance * float(torch.cat(wanted).abs().max())
        torch.testing.assert_close(q[row].double().cpu(), wanted[0], rtol=0, atol=allowed)
        for i, (part, exact) in enumerate(zip((cache.keys, cache.values), wanted[1:], strict=True)):
            found = part[LAYER, page, :, position % PAGE].double().cpu()
            if cache.scales is None:
                torch.testing.assert_close(found, exact, rtol=0, atol=allowed)
            else:
                scale = cache.scales[LAYER, i].double().cpu()
                ideal = (exact / scale).clamp(-127, 127)
                assert ((found - ideal).abs() <= 0.5 + allowed / scale).all()
    for part in (cache.keys, cache.values):
        rest = part.cpu().transpose(2, 3)[~touched].float()
        assert (rest.isnan() if cache.scales is None else rest == -128).all()


CASES = [
    {"heads": 3, "kv_heads": 1, "d": 64, "width": 576},
    {"bits": 8, "width": 32, "heads": 1, "kv_heads": 1, "d": 8},
    {"minima": False, "width": 160, "heads": 5, "kv_heads": 1, "d": 10, "bias": True},
    {"heads": 2, "kv_heads": 2, "d": 24, "head_norms": True, "bias": True, "bits": 8},
    {"heads": 4, "kv_heads": 1, "d": 128, "width": 1120, "head_norms": True},
    {"heads": 6, "kv_heads": 3, "d": 20, "width": 1056},
]


@pytest.mark.parametrize("int8", [False, True])
@pytest.mark.parametrize("case", CASES, ids=str)
@pytest.mark.parametrize("m", [1, 5, 19])
def test_of_rows_anywhere(device: torch.device, case: dict[str, int], m: int, int8: bool) -> None:
    weights = make_weights(device, **case)
    cache, rows, x = make_cache(weights, device, int8=int8), many(m, device), inputs(m, weights, device)
    q = torch.full((m, weights.shape.heads, weights.shape.head_dim), torch.nan, device=device).half()
    assert qkv(x, weights, LAYER, cache, rows, q=q) is q
    check(x, weights, cache, rows, q, 2e-3)


@pytest.mark.parametrize("tile", ["64", "128", "64 with norms of heads"])
def test_with_many_tokens_a_program(device: torch.device, tile: str, monkeypatch: pytest.MonkeyPatch) -> None:
    launcher = pytest.importorskip("kernels.products.qkv_triton")
    norms = "norms" in tile
    chosen = launcher.Tile(128, 128, 2, 0, 8, 3) if tile == "128" else launcher.Tile(64, 64, 2, 0, 4, 3)
    monkeypatch.setattr(launcher, "choose_tile", lambda *_: chosen)
    weights = make_weights(device, heads=5, kv_heads=1, d=40, width=352, head_norms=norms, bias=True)
    m = 70
    cache, rows, x = make_cache(weights, device, int8=True), many(m, device), inputs(m, weights, device)
    q = torch.full((m, 5, 40), torch.nan, device=device).half()
    qkv(x, weights, LAYER, cache, rows, q=q)
    check(x, weights, cache, rows, q, 2e-3)


def test_the_reference(device: torch.device) -> None:
    weights = make_weights(device, bias=True, head_norms=True)
    cache, rows, x = make_cache(weights, device, int8=False), many(9, device), inputs(9, weights, device)
    q = reference(x, weights, LAYER, cache, rows)
    check(x, weights, cache, rows, q, 6e-4)


@pytest.mark.parametrize("head_norms", [False, True])
def test_a_row_is_the_same_whatever_is_beside_it(device: torch.device, head_norms: bool) -> None:
    weights = make_weights(device, width=1120, heads=2, kv_heads=1, d=64, head_norms=head_norms)
    x, places = inputs(16, weights, device), [(i % 3, 80 - i) for i in range(16)]

    def of(first: int, last: int) -> list[Tensor]:
        """q, keys and values of each of those rows, which share a pass."""
        cache, rows = make_cache(weights, device, int8=False), make_rows(places[first:last], device)
        q = torch.full((last - first, 2, 64), torch.nan, device=device).half()
        qkv(x[first:last], weights, LAYER, cache, rows, q=q)
        kept = [torch.cat(cache.gather(LAYER, slot, at + 1))[:, -1] for slot, at in places[first:last]]
        return [torch.cat([row, stored]) for row, stored in zip(q, kept, strict=True)]

    together = of(0, 16)
    for first, last in ((0, 1), (15, 16), (7, 9), (2, 5), (9, 16)):
        for one, other in zip(of(first, last), together[first:last], strict=True):
            assert torch.equal(one, other)


@pytest.mark.parametrize("size", [1e-4, 3e4])
def test_rows_of_any_size(device: torch.device, size: float) -> None:
    weights = make_weights(device)
    weights = replace(weights, shape=replace(weights.shape, norm_eps=1e-12))
    cache, rows, x = (
        make_cache(weights, device, int8=False),
        many(2, device),
        inputs(2, weights, device, size),
    )
    q = torch.full((2, 4, 16), torch.nan, device=device).half()
    qkv(x, weights, LAYER, cache, rows, q=q)
    check(x, weights, cache, rows, q, 5e-3)


def test_every_number_of_tokens_has_a_tile(device: torch.device) -> None:
    choose = pytest.importorskip("kernels.products.qkv_triton").choose_tile
    for m in (1, 2, 3, 4, 8, 9, 16):  # the order of the sums follows from these
        assert (choose(m, 960, None).rows, choose(m, 960, None).blocks, choose(m, 960, None).parts) == (
            16,
            4,
            8,
        )
        assert (choose(m, 6144, 128).rows, choose(m, 6144, 128).blocks) == (128, 1)
    assert choose(64, 960, None).tokens == 16  # 15 programs with tiles of 64
    assert choose(512, 960, None).tokens == 64
    assert choose(512, 6144, None).tokens == 128


def test_bytes_moved(device: torch.device) -> None:
    weights = make_weights(device, width=64, heads=3, kv_heads=1, d=8)  # 40 rows of 32 bytes and 2 x 2 scales
    cache = make_cache(weights, device, int8=True)
    assert bytes_moved(weights, cache, 2) == 40 * (32 + 2 * 2 * 2) + 2 * (64 * 4 + 3 * 8 * 2 + 2 * 8)


def test_wrong_arguments(device: torch.device) -> None:
    weights = make_weights(device)
    cache, rows, x = make_cache(weights, device, int8=False), many(2, device), inputs(2, weights, device)
    q = torch.empty(2, 4, 16, dtype=torch.float16, device=device)
    good = SimpleNamespace(x=x, weights=weights, layer=LAYER, cache=cache, rows=rows, q=q)

    def fails(message: str, **changed: object) -> None:
        given = SimpleNamespace(**(vars(good) | changed))
        with pytest.raises(ValueError, match=message):
            qkv(given.x, given.weights, given.layer, given.cache, given.rows, q=given.q)

    fails("x is .* must be \\[rows, width\\]", x=x[0])
    fails("x is .* must be contiguous torch.float32 \\(2, 96\\)", x=x.half())
    fails("x is", x=inputs(4, weights, device)[::2])
    fails("q is", q=q.float())
    fails("q is", q=q[:1])
    fails("layer 2", layer=2)
    fails("positions is", rows=Rows(rows.tokens, rows.slots, rows.positions[:1]))
    fails("attn_norm is", weights=replace(weights, attn_norm=weights.attn_norm[:1]))
    fails("one of q_norm and k_norm is missing", weights=replace(weights, q_norm=torch.ones(2, 16)))
    fails("qkv_bias is", weights=replace(weights, qkv_bias=torch.ones(2, 3, device=device)))
    fails("qkv is \\[1, 32, 32\\]", weights=replace(weights, qkv=weights.out))
    fails("the cache's keys are", cache=replace(cache, keys=cache.keys[:, :, :1]))
    fails("values is", cache=replace(cache, values=cache.values.float()))
