"""Attention of single tokens over the paged cache: bytes moved, a reference, scratch, the checked launcher.

Row m is a token of the sequence in slots[m], at positions[m]: it sees the keys up to and with its own, which
is stored already. Query heads in groups share a head of keys. A row at position -1 is padding: zeros.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from kernels.formats.llama import PAGE, PagedCache, Rows, Shape

try:
    from kernels.attention import local_triton as local_attention_triton
    from kernels.attention import paged_triton as paged_attention_triton
except ImportError:  # triton is optional: without it everything runs in torch
    paged_attention_triton = None  # type: ignore[assignment]

ALIKE = 16
"""Up to as many rows, a row's result is the same to the bit whatever rows are beside it."""

_FEWEST_KEYS = 64  # a split; the kernel's TILE
_MOST_SPLITS = 64
_PROGRAMS_OF_ONE = 264  # two a processor of an H100: what one row is split into, if it is long
_PROGRAMS_OF_MANY = 1056  # eight a processor


@dataclass(frozen=True)
class Scratch:
    """What the programs of a launch leave for one another; one serves all launches of a stream."""

    sums: Tensor  # float32 [rows * heads * splits * head_dim], at least
    peaks: Tensor  # float32 [rows * heads * splits]
    totals: Tensor  # float32 [rows * heads * splits]
    counters: Tensor  # int32 [rows * kv heads]: zeros between launches


def bytes_moved(q: Tensor, cache: PagedCache, positions: Tensor) -> int:
    """The fewest bytes it can move for rows that share no keys: those, q and the result, once each."""
    _, _, kv_heads, _, d = cache.keys.shape
    keys = int((positions + 1).sum())
    return 2 * keys * kv_heads * d * cache.keys.element_size() + 2 * q.nbytes


def reference(q: Tensor, cache: PagedCache, layer: int, rows: Rows) -> Tensor:
    """What is meant, in float32, a row after the other: float16 [M, heads * head_dim]."""
    m, _, d = q.shape
    out = torch.zeros(m, q[0].numel(), dtype=torch.float16, device=q.device)
    slots, positions = rows.slots.tolist(), rows.positions.tolist()
    for row in (row for row in range(m) if positions[row] >= 0):
        keys, values = cache.gather(layer, slots[row], positions[row] + 1)  # [kv heads, T, D]
        queries = q[row].float().reshape(len(keys), -1, d)  # [kv heads, group, D]
        weights = (queries @ keys.mT * d**-0.5).softmax(-1)
        out[row] = (weights @ values).flatten().half()
    return out


def split_count(rows: int, kv_heads: int, context: int) -> int:
    """Into how many parts to split the keys of a row, of at most `context` of them.

    The same for all that is up to ALIKE rows: the order of a row's sums follows from it.
    """
    if rows <= ALIKE:
        wanted = 1 << max(_PROGRAMS_OF_ONE // kv_heads, 1).bit_length() - 1
    else:
        wanted = _PROGRAMS_OF_MANY // (rows * kv_heads)
    return max(1, min(wanted, _MOST_SPLITS, -(-context // _FEWEST_KEYS)))


def make_scratch(
    shape: Shape, rows: int, context: int, device: torch.device, *, few: tuple[int, int] = (0, 0)
) -> Scratch:
    """Scratch for launches of up to `rows` rows that are split as `split_count` says.

    And for `few`: so many rows, each split so many times.
    """
    most = max(m * split_count(m, shape.kv_heads, context) for m in range(1, rows + 1))
    parts = max(most, few[0] * few[1]) * shape.heads
    sums, peaks, totals = (torch.empty(n, device=device) for n in (parts * shape.head_dim, parts, parts))
    counters = torch.zeros(rows * shape.kv_heads, dtype=torch.int32, device=device)
    return Scratch(sums, peaks, totals, counters)


def paged_attention(
    q: Tensor, cache: PagedCache, layer: int, rows: Rows, *, out: Tensor, splits: int, scratch: Scratch
) -> Tensor:
    """Attention of q, float16 [M, heads, head_dim], into `out`, float16 [M, heads * head_dim]; gives `out`.

    `splits` is what `split_count` says; how a row is summed follows from it and from its position alone.
    Runs the Triton kernel on CUDA (nothing is allocated, nothing waits) and the reference elsewhere. Raises
    ValueError for shapes, strides, types and devices that do not fit together.
    """
    check_query(q, cache, layer, rows)
    check_tensor("out", out, torch.float16, (len(q), q[0].numel()), q.device)
    check_scratch(q, len(q) * cache.keys.shape[2], splits, scratch)
    if paged_attention_triton is None or local_attention_triton.why_not(q.device, q.dtype) is not None:
        return out.copy_(reference(q, cache, layer, rows))
    buffers = (scratch.sums, scratch.peaks, scratch.totals, scratch.counters)
    paged_attention_triton.launch(out, q, cache, layer, rows, splits, buffers)
    return out


def check_cache(cache: PagedCache, layer: int, rows: Rows, m: int, device: torch.device) -> None:
    """Raise ValueError unless the cache is whole, has that layer, and the rows are M, all on the device."""
    layers, _, kv_heads, page, d = cache.keys.shape
    wanted = {
        "keys": (cache.keys, torch.float16 if cache.scales is None else torch.int8, tuple(cache.keys.shape)),
        "values": (cache.values, cache.keys.dtype, tuple(cache.keys.shape)),
        "table": (cache.table, torch.int32, tuple(cache.table.shape)),
        "slots": (rows.slots, torch.int32, (m,)),
        "positions": (rows.positions, torch.int32, (m,)),
    }
    if cache.scales is not None:
        wanted["scales"] = cache.scales, torch.float32, (layers, 2, kv_heads, d)
    for name, (x, dtype, shape) in wanted.items():
        check_tensor(name, x, dtype, shape, device)
    if page != PAGE:
        raise ValueError(f"pages are of {page} tokens: must be {PAGE}")
    if not 0 <= layer < layers:
        raise ValueError(f"layer {layer}: the cache has {layers}")


def check_tensor(
    name: str, x: Tensor, dtype: torch.dtype, shape: tuple[int, ...], device: torch.device
) -> None:
    """Raise ValueError unless a tensor is of that type and shape, contiguous, and on that device."""
    if x.dtype != dtype or tuple(x.shape) != shape or not x.is_contiguous():
        what = f"{x.dtype} {tuple(x.shape)} with strides {x.stride()}"
        raise ValueError(f"{name} is {what}: must be contiguous {dtype} {shape}")
    if x.device != device:
        raise ValueError(f"{name} is on {x.device} and the rest on {device}: move it there")


def check_query(q: Tensor, cache: PagedCache, layer: int, rows: Rows) -> None:
    """Raise ValueError unless queries, cache and rows fit together, on one device."""
    if q.dim() != 3 or 0 in q.shape:
        raise ValueError(f"q is {tuple(q.shape)}: must be [rows, heads, head dim]")
    m, heads, d = q.shape
    kv_heads = cache.keys.shape[2]
    if cache.keys.shape[4] != d or heads % kv_heads:
        raise ValueError(f"q has {heads} heads of {d}, the cache {kv_heads} of {cache.keys.shape[4]}")
    check_tensor("q", q, torch.float16, (m, heads, d), q.device)
    check_cache(cache, layer, rows, m, q.device)


def check_scratch(q: Tensor, counters: int, splits: int, scratch: Scratch) -> None:
    """Raise ValueError unless the scratch is enough for so many splits and counters."""
    m, heads, d = q.shape
    if splits < 1:
        raise ValueError(f"splits {splits}: must be 1 or more")
    parts = m * heads * splits
    wanted = {
        "sums": (torch.float32, parts * d),
        "peaks": (torch.float32, parts),
        "totals": (torch.float32, parts),
        "counters": (torch.int32, counters),
    }
    for name, (dtype, size) in wanted.items():
        x: Tensor = getattr(scratch, name)
        if x.dtype != dtype or x.numel() < size or not x.is_contiguous() or x.device != q.device:
            what = f"{x.dtype} of {x.numel()} on {x.device}"
            raise ValueError(f"scratch: {name} is {what}, must be {dtype} of {size} or more on {q.device}")
