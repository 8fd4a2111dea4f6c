"""Attention over the paged cache against its definition in float64."""

from collections.abc import Iterator

import pytest
import torch
from torch import Tensor

from kernels.attention.paged import bytes_moved, paged_attention, reference
from kernels.formats.llama import PAGE, PagedCache, Rows, Shape

LAYERS, LAYER = 2, 1
CONTEXT = 700


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def shape_of(kv_heads: int, group: int, d: int) -> Shape:
    return Shape(LAYERS, 64, kv_heads * group, kv_heads, d, 64, 100)


def make_rows(places: list[tuple[int, int]], device: torch.device) -> Rows:
    """Rows by slot and position; a padding row has a slot too."""
    slots, positions = torch.tensor(places, dtype=torch.int32).T.contiguous().to(device)
    return Rows(torch.zeros_like(slots), slots, positions)


def make_cache(shape: Shape, longest: list[int], device: torch.device, int8: bool) -> PagedCache:
    """Sequences of up to those lengths, in pages in no order, with NaN past their ends."""
    generator = torch.Generator().manual_seed(3)
    pages = sum(-(-n // PAGE) for n in longest) + 2
    size = (LAYERS, pages, shape.kv_heads, PAGE, shape.head_dim)
    scales = None
    if int8:
        keys, values = (
            torch.randint(-127, 128, size, generator=generator, dtype=torch.int8) for _ in range(2)
        )
        scales = torch.rand(LAYERS, 2, shape.kv_heads, shape.head_dim, generator=generator) / 40 + 1e-3
        scales = scales.to(device)
    else:
        keys, values = (torch.randn(size, generator=generator).half() for _ in range(2))
    free = torch.randperm(pages, generator=generator).tolist()
    table = torch.full(
        (len(longest), -(-CONTEXT // PAGE)), 2**30, dtype=torch.int32
    )  # unmapped: not to be read
    for slot, length in enumerate(longest):
        for i in range(-(-length // PAGE)):
            table[slot, i] = free.pop()
            if not int8 and length < (i + 1) * PAGE:
                keys[:, table[slot, i], :, length - i * PAGE :] = torch.nan
                values[:, table[slot, i], :, length - i * PAGE :] = torch.nan
    return PagedCache(keys.to(device), values.to(device), table.to(device), scales)


def expected(q: Tensor, cache: PagedCache, rows: Rows) -> Tensor:
    """Head by head and key by key, in float64: [M, heads, head_dim]."""
    m, heads, d = q.shape
    group = heads // cache.keys.shape[2]
    table, keys, values = (
        cache.table.tolist(),
        cache.keys[LAYER].double().cpu(),
        cache.values[LAYER].double().cpu(),
    )
    out = torch.zeros(m, heads, d, dtype=torch.float64)
    for row, (slot, position) in enumerate(zip(rows.slots.tolist(), rows.positions.tolist(), strict=True)):
        if position < 0:
            continue
        found = [(table[slot][t // PAGE], t % PAGE) for t in range(position + 1)]
        for head in range(heads):
            k, v = (torch.stack([x[page, head // group, at] for page, at in found]) for x in (keys, values))
            if cache.scales is not None:
                k, v = (
                    x * scale
                    for x, scale in zip((k, v), cache.scales[LAYER, :, head // group].cpu(), strict=True)
                )
            weights = torch.softmax(k @ q[row, head].double().cpu() / d**0.5, 0)
            out[row, head] = weights @ v
    return out


def run(q: Tensor, cache: PagedCache, rows: Rows) -> Tensor:
    out = torch.full((len(q), q[0].numel()), torch.nan, dtype=torch.float16, device=q.device)
    assert paged_attention(q, cache, LAYER, rows.slots, rows.positions, out=out) is out
    return out


def query(m: int, shape: Shape, device: torch.device) -> Tensor:
    generator = torch.Generator().manual_seed(m)
    return torch.randn(m, shape.heads, shape.head_dim, generator=generator).half().to(device)


@pytest.mark.parametrize("int8", [False, True])
@pytest.mark.parametrize(
    ("kv_heads", "group", "d"),
    [(3, 3, 64), (1, 1, 8), (2, 4, 128), (1, 5, 20), (2, 1, 40), (1, 17, 16), (1, 2, 96), (1, 2, 160)],
)
def test_of_rows_of_all_lengths(device: torch.device, kv_heads: int, group: int, d: int, int8: bool) -> None:
    shape = shape_of(kv_heads, group, d)
    rows = make_rows([(0, 0), (1, 63), (2, -1), (1, 64), (3, 389), (0, 31), (1, 32), (2, 200)], device)
    cache = make_cache(shape, [32, 65, 201, 390], device, int8)
    q = query(8, shape, device)
    out = run(q, cache, rows)
    wanted = expected(q, cache, rows).flatten(1)
    assert torch.all(out[2] == 0)
    torch.testing.assert_close(out.double().cpu(), wanted, rtol=2e-3, atol=2e-3 * float(wanted.abs().max()))
    torch.testing.assert_close(
        reference(q, cache, LAYER, rows.slots, rows.positions).double().cpu(), wanted, rtol=2e-3, atol=1e-3
    )


@pytest.mark.parametrize("int8", [False, True])
def test_a_row_is_the_same_whatever_is_beside_it(device: torch.device, int8: bool) -> None:
    shape = shape_of(2, 3, 32)
    cache = make_cache(shape, [600, 300], device, int8)
    places = [(0, 590), (0, 591), (1, 299), (0, 3), (0, -1), (1, 128), (0, 592), (1, 0)]
    q = query(len(places), shape, device)
    together = run(q, cache, make_rows(places, device))
    for row, place in enumerate(places):
        alone = run(q[row : row + 1], cache, make_rows([place], device))
        assert torch.equal(alone[0], together[row])


def test_large_scores_do_not_overflow(device: torch.device) -> None:
    shape = shape_of(1, 2, 16)
    cache = make_cache(shape, [257], device, int8=False)
    cache.keys[:, :, :, :, :] *= 60
    rows = make_rows([(0, 256)], device)
    q = query(1, shape, device) * 100
    out = run(q, cache, rows)
    torch.testing.assert_close(out.double().cpu(), expected(q, cache, rows).flatten(1), rtol=2e-3, atol=2e-3)


def test_bytes_moved(device: torch.device) -> None:
    shape = shape_of(3, 3, 64)
    cache = make_cache(shape, [100], device, int8=True)
    # 10 keys and values of 3 heads of 64 bytes; q and the result are 2 rows of 9 heads of 64, 2 bytes each.
    assert bytes_moved(query(2, shape, device), cache, 10) == 2 * 10 * 3 * 64 + 2 * (2 * 9 * 64 * 2)


def test_wrong_arguments(device: torch.device) -> None:
    shape = shape_of(2, 2, 16)
    cache, rows = make_cache(shape, [40], device, int8=False), make_rows([(0, 5), (0, 6)], device)
    q, out = query(2, shape, device), torch.empty(2, 64, dtype=torch.float16, device=device)

    def fails(message: str, q: Tensor = q, rows: Rows = rows, **changed: object) -> None:
        given = {"out": out} | changed
        layer = given.pop("layer", LAYER)
        with pytest.raises(ValueError, match=message):
            paged_attention(q, given.pop("cache", cache), layer, rows.slots, rows.positions, **given)  # type: ignore[arg-type]

    fails("q is .* must be contiguous torch.float16", q=q.float())
    fails("q is .*: must be \\[rows, heads, head dim\\]", q=q[0])
    fails("q has 3 heads of 16, the cache 2 of 16", q=q[:, :3])
    fails("q is .* with strides", q=q.transpose(1, 2).contiguous().transpose(1, 2))
    fails("out is", out=out.float())
    fails("out is", out=out[:1])
    fails("layer 2: the cache has 2", layer=2)
    fails("3 rows of 2 sequences", q=query(3, shape, device), out=torch.empty(3, 64, device=device).half())
    fails("slots is", rows=Rows(rows.tokens, rows.slots.long(), rows.positions))
    fails("positions is", rows=Rows(rows.tokens, rows.slots, rows.positions[:1]))
    fails("keys is", cache=PagedCache(cache.keys.float(), cache.values, cache.table))
    fails("keys is", cache=PagedCache(cache.keys.to(torch.int8), cache.values, cache.table))
    fails(
        "pages are of 16 tokens",
        cache=PagedCache(
            cache.keys[:, :, :, :16].contiguous(), cache.values[:, :, :, :16].contiguous(), cache.table
        ),
    )
