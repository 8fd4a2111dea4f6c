"""Attention of a small batch of single tokens over the paged cache, in MMA fragment layout for the product
behind it: scratch, the checked launcher.

What `paged_attention` means, for up to SMALL_BATCH rows: all keys that were stored before this pass are asked
for while the kernel before still runs. A row of up to `single_split_keys` keys has one split; the keys of
others are shared out, and a second kernel puts together what was found.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from kernels.attention.paged import check_query, reference
from kernels.device import TRITON, runs_on
from kernels.formats.fragments import SMALL_BATCH, Fragments, check_fragments
from kernels.formats.llama import PagedCache, Rows, Shape

if TRITON:
    from kernels.attention import small_batch_triton

HEADS = (32, 64, 128)
"""Channels that a head may have."""

MOST_SHARED = 8
"""Query heads of a head of keys."""

_MOST_SPLITS = 64


@dataclass(frozen=True)
class Scratch:
    """What the splits of a launch leave for the kernel that combines them; one serves all of a stream."""

    sums: Tensor  # float32 [rows * heads * splits * head_dim], at least
    peaks: Tensor  # float32 [rows * heads * splits]
    totals: Tensor  # float32 [rows * heads * splits]


def split_count(d: int, context: int) -> int:
    """Into how many parts to split the keys of a row, heads of `d`, of at most `context` of them."""
    return max(1, min(_MOST_SPLITS, -(-context // single_split_keys(d))))


def single_split_keys(d: int) -> int:
    """Up to so many keys of a row are not split; it is the same to the bit in one split as in several."""
    return fewest_tiles(d) * keys_at_once(d)


def keys_at_once(d: int) -> int:
    """Keys of a program's tile: as many as its registers hold."""
    return 192 if d <= 64 else 128


def fewest_tiles(d: int) -> int:
    """Tiles of a program, one after the other, if a row has so many."""
    return 1 if d <= 64 else 2


def make_scratch(shape: Shape, rows: int, splits: int, device: torch.device) -> Scratch:
    """Scratch for launches of up to `rows` rows and `splits` splits."""
    parts = rows * splits * shape.heads
    sums, peaks, totals = (torch.empty(n, device=device) for n in (parts * shape.head_dim, parts, parts))
    return Scratch(sums, peaks, totals)


def small_batch_attention(
    q: Tensor, cache: PagedCache, layer: int, rows: Rows, *, out: Fragments, splits: int, scratch: Scratch
) -> Fragments:
    """Attention of q, float16 [M, heads, head_dim], into `out` [M, heads * head_dim]; gives `out`.

    Heads are a power of 2 of channels, 32 to 128, of which up to 8 share keys. `splits` is what `split_count`
    says, or 1 if no row has more than `single_split_keys`. The table, slots, positions and all keys but each
    sequence's last M must not be what the kernel just before has written: see `products/small_batch.py`. Runs
    the Triton kernel on CUDA (nothing is allocated, nothing waits) and the reference elsewhere. Raises
    ValueError for shapes, strides, types and devices that do not fit together.
    """
    check_query(q, cache, layer, rows, len(q))
    m, heads, d = q.shape
    if not 1 <= m <= SMALL_BATCH:
        raise ValueError(f"{m} rows: must be 1 to {SMALL_BATCH}")
    if d not in HEADS or heads > MOST_SHARED * cache.keys.shape[2]:
        shared = heads // cache.keys.shape[2]
        raise ValueError(f"{shared} heads of {d} share keys: must be up to {MOST_SHARED}, of {HEADS}")
    check_fragments("out", out, m, heads * d, q.device)
    _check_scratch(q, splits, scratch)
    if not runs_on(q.device):
        return out.fill(reference(q, cache, layer, rows.slots, rows.positions).float())
    buffers = (scratch.sums, scratch.peaks, scratch.totals)
    small_batch_triton.launch(out, q, cache, layer, rows, splits, keys_at_once(d), fewest_tiles(d), buffers)
    return out


def _check_scratch(q: Tensor, splits: int, scratch: Scratch) -> None:
    """Raise ValueError unless the scratch is enough for so many splits."""
    m, heads, d = q.shape
    if splits < 1:
        raise ValueError(f"splits {splits}: must be 1 or more")
    parts = m * heads * splits
    for name, size in (("sums", parts * d), ("peaks", parts), ("totals", parts)):
        x: Tensor = getattr(scratch, name)
        if x.dtype != torch.float32 or x.numel() < size or not x.is_contiguous() or x.device != q.device:
            what = f"{x.dtype} of {x.numel()} on {x.device}"
            raise ValueError(f"scratch: {name} is {what}, must be float32 of {size} or more on {q.device}")
