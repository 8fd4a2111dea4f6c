"""Attention of prompts against one query at a time in float64, over a cache in shuffled pages."""

from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any

import pytest
import torch
from torch import Tensor

from kernels.attention.paged import bytes_moved, paged_attention, reference
from kernels.attention.paged_triton import choose_tile, launch
from kernels.formats.llama import PAGE, PagedCache

LAYERS, SLOTS = 2, 3


@dataclass(frozen=True)
class Case:
    """T tokens behind `start`; `count` of them real."""

    tokens: int
    start: int = 0
    heads: int = 6
    kv_heads: int = 2
    d: int = 32
    int8: bool = False
    count: int | None = None
    tile: tuple[int, int, int, int] | None = None

    def __str__(self) -> str:
        return " ".join(f"{name}={value}" for name, value in asdict(self).items() if value is not None)


CASES = [
    Case(1),
    Case(1, start=31),
    Case(1, start=32, int8=True),
    Case(33, heads=3, kv_heads=1, d=64),  # groups that divide no tile
    Case(64, start=77, heads=9, kv_heads=3, d=64),
    Case(64, start=77, heads=9, kv_heads=3, d=64, int8=True),
    Case(50, start=100, heads=4, kv_heads=4, d=24),
    Case(40, start=9, heads=8, kv_heads=1, d=128, int8=True),
    Case(70, start=5, heads=5, kv_heads=1, d=16, tile=(16, 32, 4, 2)),
    Case(70, start=5, heads=4, kv_heads=2, d=16, tile=(128, 64, 8, 3)),
    Case(64, start=10, count=1),
    Case(64, start=10, count=37, int8=True),
    Case(64, start=200, count=0),
    Case(70, start=290, d=16, count=20, tile=(16, 32, 4, 2)),
]


def given(case: Case, device: torch.device) -> dict[str, Any]:
    """Keys and values of real tokens are random; all else in the cache is far from them."""
    make = torch.Generator().manual_seed(case.tokens + case.start)
    real = case.start + (case.tokens if case.count is None else case.count)
    width = -(-(case.start + case.tokens) // PAGE) + 1
    pages = SLOTS * width + 1
    shape = (LAYERS, pages, case.kv_heads, PAGE, case.d)
    table = torch.randperm(pages, generator=make)[: SLOTS * width].reshape(SLOTS, width).to(torch.int32)
    scales = None
    if case.int8:
        scales = torch.rand(LAYERS, 2, case.kv_heads, case.d, generator=make) * 0.05 + 0.005
    fill, dtype = (127, torch.int8) if case.int8 else (1000, torch.float16)
    keys, values = (torch.full(shape, fill, dtype=dtype) for _ in range(2))
    cache = PagedCache(keys, values, table, scales)
    for position in range(real):
        new = torch.randn(2, case.kv_heads, case.d, generator=make)
        cache.store(1, 2, position, *new)
    # The rest of the table is never to be read: a page past the end is a fault on a GPU.
    table[2, -(-real // PAGE) :] = 1_000_000_000
    moved = (None if x is None else x.to(device) for x in (cache.keys, cache.values, table, scales))
    return {
        "q": (torch.randn(case.tokens, case.heads, case.d, generator=make) * 2).half().to(device),
        "cache": PagedCache(*moved),
        "layer": 1,
        "slots": torch.tensor([2], dtype=torch.int32, device=device),
        "starts": torch.tensor([case.start], dtype=torch.int32, device=device),
        "count": None if case.count is None else torch.tensor([case.count], dtype=torch.int32, device=device),
    }


def expected(case: Case, found: dict[str, Any]) -> Tensor:
    """One query at a time over the list of its keys, in float64; padding is zeros."""
    cache = found["cache"]
    q = found["q"].double().cpu()
    out = torch.zeros_like(q)
    count = case.tokens if case.count is None else case.count
    every = [part.double() for part in cache.gather(1, 2, case.start + count)] if count else []
    keys, values = (part.cpu() for part in every) if every else (None, None)
    for i in range(count):
        seen = slice(case.start + i + 1)
        for head in range(case.heads):
            kv = head // (case.heads // case.kv_heads)
            weights = (keys[kv, seen] @ q[i, head] / case.d**0.5).softmax(0)
            out[i, head] = weights @ values[kv, seen]
    return out.flatten(1)


def close(out: Tensor, right: Tensor) -> bool:
    return bool((out.double().cpu() - right).norm() <= 2e-3 * right.norm())


def poisoned(q: Tensor) -> Tensor:
    return torch.full((q.shape[0], q[0].numel()), torch.nan, dtype=torch.float16, device=q.device)


@pytest.mark.parametrize("case", CASES, ids=str)
def test_kernel(case: Case, device: torch.device) -> None:
    found = given(case, device)
    out = poisoned(found["q"])
    if case.tile is None:
        assert paged_attention(**found, out=out) is out
    else:
        launch(out, **found, tile=case.tile)
    assert close(out, expected(case, found))
    if case.count is not None:
        assert not out[case.count :].any()


@pytest.mark.parametrize("case", CASES, ids=str)
def test_reference(case: Case, device: torch.device) -> None:
    found = given(case, device)
    assert close(reference(**found), expected(case, found))


def test_a_longer_chunk_gives_the_same_as_two_short_ones(device: torch.device) -> None:
    found = given(Case(100, start=20), device)
    whole, parts = poisoned(found["q"]), poisoned(found["q"])
    paged_attention(**found, out=whole)
    q, start = found.pop("q"), found.pop("starts")
    paged_attention(q[:37], **found, starts=start, out=parts[:37])
    paged_attention(q[37:], **found, starts=start + 37, out=parts[37:])
    assert close(parts, whole.double().cpu())


def test_bytes_moved(device: torch.device) -> None:
    found = given(Case(64, start=77, int8=True), device)
    # 141 keys and values of 2 heads of 32 bytes, 64 queries and results of 6 heads of 64 bytes
    assert bytes_moved(found["q"], found["cache"], 141) == 2 * 141 * 2 * 32 + 2 * 64 * 6 * 64


def test_tiles_fill_the_machine() -> None:
    assert choose_tile(64, 9, 3, 64, 132)[0] == 64
    assert choose_tile(1, 17, 17, 64, 132)[0] == 32
    assert choose_tile(2048, 32, 4, 128, 132)[0] == 128


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda g: g | {"q": g["q"][:, 0]}, r"q is \(64, 32\): must be \[rows, heads, head dim\]"),
        (lambda g: g | {"q": g["q"].float()}, "q is torch.float32"),
        (lambda g: g | {"q": g["q"].mT.contiguous().mT}, "q is .* with strides"),
        (lambda g: g | {"q": g["q"][:, :5].contiguous()}, "q has 5 heads of 32, the cache 2 of 32"),
        (lambda g: g | {"q": g["q"][..., :16].contiguous()}, "q has 6 heads of 16, the cache 2 of 32"),
        (lambda g: g | {"out": g["out"][:5]}, r"out is .*\(5, 192\)"),
        (lambda g: g | {"layer": 2}, "layer 2: the cache has 2"),
        (lambda g: g | {"slots": g["slots"].long()}, "slots is torch.int64"),
        (lambda g: g | {"starts": g["starts"][:0]}, r"positions is torch.int32 \(0,\)"),
        (lambda g: g | {"count": g["starts"].float()}, "count is torch.float32"),
    ],
)
def test_what_does_not_fit_is_refused(
    change: Callable[[dict[str, Any]], dict[str, Any]], message: str, device: torch.device
) -> None:
    found = given(Case(64), device)
    found["out"] = poisoned(found["q"])
    with pytest.raises(ValueError, match=message):
        paged_attention(**change(found))
