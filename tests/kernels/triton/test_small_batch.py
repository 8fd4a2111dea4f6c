"""Rows in fragment layout and the small-batch products of a layer, against their definition in float64."""

import os
from dataclasses import replace
from itertools import product
from typing import Any

import pytest
import torch
from torch import Tensor

from kernels.attention.paged import reference as attention_reference
from kernels.attention.small_batch import make_scratch, single_split_keys, small_batch_attention, split_count
from kernels.bench.models import unwritten
from kernels.bench.models import weights as model_weights
from kernels.formats.fragments import SMALL_BATCH, Fragments, empty_fragments, places
from kernels.formats.llama import PAGE, Rows, Shape, empty_cache
from kernels.formats.quantized import Quantized, quantize
from kernels.llama.supported import unsupported_reason
from kernels.products import small_batch
from kernels.products.embed import embed
from kernels.products.qkv import reference as qkv_reference
from kernels.sampling import state

INTERPRETED = os.environ.get("TRITON_INTERPRET") == "1"
FORMS = ["4", "4 centred", "8"]
EPS = 1e-5

# Activations and weights in float16 are 2.8e-4 of each off (the root of the mean square, of both), so a
# product of normal ones with a row of norm 1 as much times up to 4 of thousands of them. A wrong column is
# 1 off.
CLOSE = 1.5e-3
# The same operands, rounded as the kernel rounds them: what is left is the order of float32 sums.
SUMS = 2e-5


def cases(everything: Any, interpreted: list[Any]) -> list[Any]:  # noqa: ANN401
    """What a test is run with: in the interpreter, 0.3 s a program, each path through a kernel once."""
    return interpreted if INTERPRETED else list(everything)


def made(rows: int, columns: int, form: str, layers: int = 2) -> Quantized:
    generator = torch.Generator().manual_seed(rows + columns)
    w = quantize(
        torch.randn(layers, rows, columns, generator=generator) * columns**-0.5, 8 if form == "8" else 4
    )
    return Quantized(w.codes, w.scales) if form == "4 centred" else w


def normal(*size: int, seed: int = 1) -> Tensor:
    return torch.randn(*size, generator=torch.Generator().manual_seed(seed))


def fragments(x: Tensor, device: torch.device, stream: Tensor | None = None) -> Fragments:
    return empty_fragments(*x.shape, device).fill(x.to(device), None if stream is None else stream.to(device))


def nothing(rows: int, columns: int, device: torch.device) -> Fragments:
    """Rows of NaN."""
    return unwritten(rows, columns, device)


def meaning(w: Quantized, layer: int) -> Tensor:
    return w.dequantize(layer).double().cpu()


def done(device: torch.device) -> None:
    """What a kernel reads before it waits must have been there for long."""
    if device.type == "cuda":
        torch.cuda.synchronize()


@pytest.mark.parametrize("columns", [32, 96, 288])
def test_packing_keeps_float16_and_its_sums_of_squares(columns: int) -> None:
    x = normal(3, columns) * 10.0 ** torch.arange(-1, 2)[:, None]
    x[0, :16], stream = 0, normal(3, columns, seed=2)
    found = fragments(x, torch.device("cpu"), stream)
    assert torch.equal(found.unpack(), (x / 16).half().float() * 16)
    torch.testing.assert_close(found.mean_square().double(), stream.double().square().mean(1))
    assert found.halves.shape[1] % 128 == 0
    assert sorted(places(columns).tolist()) == places(columns).sort().values.unique().tolist()
    empty = torch.ones(found.halves.shape[1], dtype=torch.bool)
    empty[places(columns)] = False
    assert (found.halves[:, empty] == 0).all()


def test_a_word_of_codes_meets_its_activations() -> None:
    """A thread's 16 bytes of a row are columns whose codes are one word of 4 bits: low halves, then high."""
    columns = places(256).argsort()[32 + 8 : 32 + 16]  # the second word of the second block
    first = 32 + 4
    assert columns.tolist() == [
        first,
        first + 2,
        first + 16,
        first + 18,
        first + 1,
        first + 3,
        first + 17,
        first + 19,
    ]


# Columns are whole steps of 4 warps (512) or 8 (4096) or not. They are 1 to 4 steps, which are asked for at
# once, or 5, which are not. Of more than 8 tokens each step is asked for when it is time.
SIZES = [(32, 96), (32, 512), (64, 576), (32, 1056), (32, 2144), (32, 4096), (32, 4352)]
PRODUCTS = cases(
    ((form, rows, columns, tokens) for form, (rows, columns), tokens in product(FORMS, SIZES, (3, 9, 33))),
    [
        *((form, 32, columns, 3) for form in FORMS for columns in (96, 512)),
        ("8", 32, 1056, 9),
        ("4 centred", 32, 4096, 3),
        ("4", 32, 4352, 3),
        ("8", 32, 4352, 9),
    ],
)


@pytest.mark.parametrize(("form", "rows", "columns", "tokens"), PRODUCTS)
def test_a_product_is_added_and_packed(
    device: torch.device, form: str, rows: int, columns: int, tokens: int
) -> None:
    w, x, norm = made(rows, columns, form), normal(tokens, columns), normal(rows)
    before = normal(tokens, rows, seed=2)
    stream, out = before.clone().to(device), nothing(tokens, rows, device)
    given = fragments(x, device), w.to(device), norm.to(device)
    done(device)
    assert small_batch.add(given[0], given[1], 1, stream=stream, norm=given[2], out=out) is out
    halves = fragments(x, torch.device("cpu")).unpack().double(), meaning(w, 1).half().double()
    meant = before.double() + halves[0] @ halves[1].T
    torch.testing.assert_close(stream.double().cpu(), meant, rtol=0, atol=SUMS)
    # What was packed is what is in the stream, whatever that is.
    again = fragments(stream.cpu() * norm, torch.device("cpu"), stream.cpu())
    assert torch.equal(out.halves.cpu(), again.halves)
    torch.testing.assert_close(out.mean_square().cpu(), stream.cpu().square().mean(1))


GATED = cases(product(FORMS, (1, 2, 5, 9, 64)), [("4", 1), ("4", 17), ("4 centred", 2), ("8", 5)])


@pytest.mark.parametrize(("form", "tokens"), GATED)
def test_gate_and_up(device: torch.device, form: str, tokens: int) -> None:
    hidden = 32 if INTERPRETED else 64
    w, x, norm = made(2 * hidden, 160, form), 3 * normal(tokens, 160), 1 + normal(160) / 3
    out, given = nothing(tokens, hidden, device), fragments(x * norm, device, x)
    on_device = w.to(device)
    done(device)
    assert small_batch.gate_up(given, on_device, 1, EPS, out=out) is out
    wide = x.double()
    normed = wide / (wide.square().mean(1, keepdim=True) + EPS).sqrt() * norm.double()
    gate, up = (normed @ meaning(w, 1).T).chunk(2, 1)
    meant = gate / (1 + (-gate).exp()) * up
    torch.testing.assert_close(out.unpack().double().cpu(), meant, rtol=2e-3, atol=5e-3)


@pytest.mark.parametrize("form", cases(FORMS, ["4"]))
def test_a_row_is_the_same_whatever_is_beside_it(device: torch.device, form: str) -> None:
    m, n = (17, 32) if INTERPRETED else (SMALL_BATCH, 64)
    add, gated = made(n, 1088, form).to(device), made(2 * n, 1088, form).to(device)
    x, before = normal(m, 1088).to(device), normal(m, n, seed=2).to(device)
    rows = fragments(x, device)
    norm = torch.ones(n, device=device)

    def run(which: slice) -> list[Tensor]:
        assert rows.squares is not None
        given = Fragments(rows.halves[which].contiguous(), rows.squares[which].contiguous(), 1088)
        stream, out, hidden = (
            before[which].clone(),
            nothing(given.rows, n, device),
            nothing(given.rows, n, device),
        )
        logits = torch.full((given.rows, n), torch.nan, device=device)
        done(device)
        small_batch.add(given, add, 1, stream=stream, norm=norm, out=out)
        small_batch.gate_up(given, gated, 1, EPS, out=hidden)
        small_batch.head(given, add, EPS, out=logits)
        return [stream, out.halves, hidden.halves, logits]

    everything = run(slice(0, m))
    some = [slice(3, 4), slice(2, 6), slice(1, 9), slice(7, 9), slice(4, 15), slice(30, 62)]
    for which in cases(some, [slice(3, 4), slice(7, 16)]):
        for alone, together in zip(run(which), everything, strict=True):
            assert torch.equal(alone, together[which])


SHAPES = {
    "plain": Shape(2, 96, *((2, 2) if INTERPRETED else (6, 2)), 32, 64, 64),
    "bias": Shape(2, 96, *((2, 1) if INTERPRETED else (6, 2)), 32, 64, 64),
    "a group of 1, wide heads": Shape(2, 64, 2, 2, 128, 64, 64),
    "norms of heads": Shape(2, 96, 4, 2, 32, 64, 64),
    "norms of wide heads": Shape(2, 2144, 2, 1, 128, 64, 64),  # many rows a program, three steps of columns
}


def rows_of(places: list[tuple[int, int]], device: torch.device) -> Rows:
    slots, positions = torch.tensor(places, dtype=torch.int32).T.contiguous().to(device)
    return Rows(torch.zeros_like(slots), slots, positions)


PROJECTED = cases(
    product(SHAPES, (False, True)),
    [("plain", False), ("bias", True), ("norms of heads", False), ("norms of wide heads", True)],
)


@pytest.mark.parametrize(("kind", "int8"), PROJECTED)
def test_queries_keys_and_values(device: torch.device, kind: str, int8: bool) -> None:
    shape = SHAPES[kind]
    w = model_weights(shape, device, context=100)
    if kind == "bias":
        w = replace(w, qkv_bias=normal(2, shape.qkv_rows).to(device))
    elif kind.startswith("norms"):
        q_norm, k_norm = (1 + normal(2, 2, shape.head_dim) / 3).to(device)
        w = replace(w, q_norm=q_norm, k_norm=k_norm)
    scales = torch.full((2, 2, shape.kv_heads, shape.head_dim), 0.02, device=device) if int8 else None
    caches = [empty_cache(shape, slots=3, context=100, pages=12, device=device, scales=scales) for _ in "ab"]
    for cache in caches:
        cache.table.copy_(torch.arange(12).view(3, 4).flip(1))
    rows = rows_of([(2, 70), (0, 0), (1, 33), (2**30, -1), (2, 71)], device)
    x = 3 * normal(5, shape.width).to(device)
    q = torch.full((5, shape.heads, shape.head_dim), torch.nan, dtype=torch.float16, device=device)
    given = fragments(x * w.attn_norm[1], device, x)
    done(device)
    assert small_batch.qkv(given, w, 1, caches[0], rows, q=q) is q
    meant = qkv_reference(x, w, 1, caches[1], rows)
    real = rows.positions >= 0
    torch.testing.assert_close(q[real], meant[real], rtol=2e-3, atol=2e-3)
    for mine, right in ((caches[0].keys, caches[1].keys), (caches[0].values, caches[1].values)):
        # Of int8, a code may be the next one.
        torch.testing.assert_close(mine.float(), right.float(), rtol=2e-3, atol=1.0 if int8 else 2e-3)
        assert (mine != right).float().mean() < 0.01


ATTENTION = cases(
    ((*heads, int8) for heads in ((6, 2, 32), (3, 1, 64), (2, 2, 128), (8, 1, 64)) for int8 in (False, True)),
    [(6, 2, 32, False), (8, 1, 64, True), (3, 1, 128, False)],
)


@pytest.mark.parametrize(("heads", "kv_heads", "d", "int8"), ATTENTION)
def test_attention_is_packed(device: torch.device, heads: int, kv_heads: int, d: int, int8: bool) -> None:
    context, pages = (400, 13) if INTERPRETED else (700, 22)
    shape = Shape(2, 96, heads, kv_heads, d, 64, 64)
    scales = (0.01 + torch.rand(2, 2, kv_heads, d) / 100).to(device) if int8 else None
    cache = empty_cache(shape, slots=2, context=context, pages=2 * pages, device=device, scales=scales)
    cache.table.copy_(torch.arange(2 * pages).view(2, pages))
    for part in (cache.keys, cache.values):
        part.copy_((normal(*part.shape) * (50 if int8 else 1)).to(part.dtype))
    rows = rows_of([(0, 5), (0, -1), (1, 180), (1, context - 10)], device)
    if not int8:  # what lies behind the last key is not looked at: another sequence may have left anything
        cache.values[1, int(cache.table[0, 0]), :, 6:] = torch.nan
        cache.keys[1, int(cache.table[0, 0]), :, 6:] = torch.nan
    q = normal(4, heads, d).half().to(device)
    splits = split_count(d, context)
    assert splits > 1
    near_ones = slice(2 if INTERPRETED else 0, 3)
    scratch = make_scratch(shape, 4, splits, device)
    out, alone = nothing(4, heads * d, device), nothing(len(q[near_ones]), heads * d, device)
    done(device)
    assert small_batch_attention(q, cache, 1, rows, out=out, splits=splits, scratch=scratch) is out
    right = attention_reference(q, cache, 1, rows.slots, rows.positions)
    torch.testing.assert_close(out.unpack(), right.float(), rtol=2e-3, atol=1e-3)
    # Those that are near are the same in one split.
    rows = Rows(rows.tokens[near_ones], rows.slots[near_ones], rows.positions[near_ones])
    small_batch_attention(q[near_ones], cache, 1, rows, out=alone, splits=1, scratch=scratch)
    assert int(rows.positions.max()) < single_split_keys(d)
    assert torch.equal(alone.halves, out.halves[near_ones])


@pytest.mark.parametrize("int8", cases((False, True), [True]))
def test_far_keys_in_one_split(device: torch.device, int8: bool) -> None:
    """No pass asks for it, but it is right."""
    shape = Shape(1, 96, 3, 1, 64, 64, 64)
    scales = (0.01 + torch.rand(1, 2, 1, 64) / 100).to(device) if int8 else None
    cache = empty_cache(shape, slots=1, context=700, pages=22, device=device, scales=scales)
    cache.table.copy_(torch.arange(22).flip(0)[None])
    for part in (cache.keys, cache.values):
        part.copy_((normal(*part.shape) * (50 if int8 else 1)).to(part.dtype))
    rows, q = rows_of([(0, 400 if INTERPRETED else 600)], device), normal(1, 3, 64).half().to(device)
    out, scratch = nothing(1, 192, device), make_scratch(shape, 1, 1, device)
    done(device)
    small_batch_attention(q, cache, 0, rows, out=out, splits=1, scratch=scratch)
    right = attention_reference(q, cache, 0, rows.slots, rows.positions)
    torch.testing.assert_close(out.unpack(), right.float(), rtol=2e-3, atol=1e-3)


def test_an_embedding_is_packed(device: torch.device) -> None:
    table = made(50, 96, "4", layers=1).to(device)
    tokens = torch.tensor([3, -1, 49], dtype=torch.int32, device=device)
    norm, x, out = normal(96).to(device), torch.empty(3, 96, device=device), nothing(3, 96, device)
    assert embed(tokens, table, out=x, norm=norm, fragments=out) is x
    assert torch.equal(out.halves, fragments(x * norm, device, x).halves)
    torch.testing.assert_close(out.mean_square(), x.square().mean(1))


# Of 8 bits, two steps of columns are asked for at once.
LOGITS = cases(product(FORMS, (576, 2144), (False, True)), [("4", 576, False), ("8", 2144, True)])


@pytest.mark.parametrize(("form", "columns", "some"), LOGITS)
def test_logits_and_the_best_of_each_tile(device: torch.device, form: str, columns: int, some: bool) -> None:
    w, x = made(70, columns, form, layers=1), 3 * normal(4, columns)
    wanted = torch.tensor([2, 0], dtype=torch.int32, device=device) if some else None
    n = 2 if some else 4
    seen = torch.zeros(n, 70, dtype=torch.uint8, device=device)
    sampling = replace(
        state.greedy(n, seen),
        slots=torch.arange(n, dtype=torch.int32, device=device),
        penalties=torch.full((n,), 1.3, device=device),
    )
    out, given = torch.full((n, 70), torch.nan, device=device), fragments(x, device)
    rows = x[[2, 0]] if some else x
    wide = rows.double()
    meant = wide / (wide.square().mean(1, keepdim=True) + EPS).sqrt() @ meaning(w, 0).T
    seen[torch.arange(n), meant.argmax(1)] = 1
    on_device = w.to(device)
    done(device)
    assert small_batch.head(given, on_device, EPS, out=out, wanted=wanted, sampling=sampling) is out
    torch.testing.assert_close(out.double().cpu(), meant, rtol=0, atol=CLOSE)
    marked = meant.clone()
    for row in range(n):
        best = int(meant[row].argmax())
        marked[row, best] = meant[row, best] / 1.3 if meant[row, best] > 0 else meant[row, best] * 1.3
    tiles = torch.nn.functional.pad(marked, (0, 26), value=-torch.inf).view(n, 3, 32)
    torch.testing.assert_close(sampling.best.double().cpu(), tiles.amax(2), rtol=0, atol=CLOSE)
    assert torch.equal(sampling.best_tokens.cpu().long(), tiles.argmax(2) + 32 * torch.arange(3))


def test_what_lies_behind_a_row_is_not_read(device: torch.device) -> None:
    """Five steps of columns for each warp, in rings of four: three more are walked through."""
    w, x = made(32, 5 * 8 * 128, "4", layers=1).to(device), normal(1, 5 * 8 * 128)
    both = nothing(2, 5 * 8 * 128, device)  # the second stays what it is
    given = both.first(1).fill(x.to(device))
    stream, out = torch.zeros(1, 32, device=device), nothing(1, 32, device)
    norm = torch.ones(32, device=device)
    _ = w.pairs
    done(device)
    small_batch.add(given, w, 0, stream=stream, norm=norm, out=out)
    torch.testing.assert_close(stream.double().cpu(), x.double() @ meaning(w, 0).T, rtol=0, atol=CLOSE)


def test_what_cannot_be_packed(device: torch.device) -> None:
    assert unsupported_reason(SHAPES["plain"], device) is None
    assert "heads of 80" in str(unsupported_reason(replace(SHAPES["plain"], head_dim=80), device))
    assert "9 query heads share" in str(unsupported_reason(replace(SHAPES["plain"], heads=18), device))
    assert "heads of 96" in str(unsupported_reason(replace(SHAPES["plain"], head_dim=96), device))
    assert "width 80" in str(unsupported_reason(replace(SHAPES["plain"], width=80), device))


def test_wrong_arguments(device: torch.device) -> None:
    w = made(64, 96, "4").to(device)
    x, stream, norm = (
        fragments(normal(2, 96), device),
        torch.zeros(2, 64, device=device),
        torch.ones(64, device=device),
    )
    out = empty_fragments(2, 64, device)

    def fails(message: str, x: Fragments = x, layer: int = 0, **changed: object) -> None:
        given = {"stream": stream, "norm": norm, "out": out} | changed
        with pytest.raises(ValueError, match=message):
            small_batch.add(x, w, layer, **given)  # type: ignore[arg-type]

    fails("65 rows: must be 1 to 64", x=empty_fragments(65, 96, device))
    fails("layer 2: there are 2", layer=2)
    fails("x has 64 columns: must be 96", x=empty_fragments(2, 64, device))
    fails("out is", out=empty_fragments(1, 64, device))
    fails("stream is", stream=stream.half())
    fails("norm is", norm=norm[:32])
    with pytest.raises(ValueError, match="96 rows: must be whole blocks of 32 of gate"):
        small_batch.gate_up(x, made(96, 96, "4").to(device), 0, EPS, out=out)
    shape = SHAPES["plain"]
    cache = empty_cache(shape, slots=1, context=64, pages=2, device=device)
    q, rows = torch.zeros(2, shape.heads, 32, device=device).half(), rows_of([(0, 1), (0, 2)], device)
    attended, scratch = empty_fragments(2, 32 * shape.heads, device), make_scratch(shape, 2, 2, device)
    for message, splits in (("splits 0: must be 1", 0), ("scratch: sums is .* of .* or more", 3)):
        with pytest.raises(ValueError, match=message):
            small_batch_attention(q, cache, 0, rows, out=attended, splits=splits, scratch=scratch)
    with pytest.raises(ValueError, match="33 columns: must be a multiple of 32"):
        empty_fragments(1, 33, device)
    assert PAGE == 32
