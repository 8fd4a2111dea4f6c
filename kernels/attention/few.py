"""Attention of few single tokens over the paged cache, packed for the output product: the checked launcher.

What `paged_attention` means, for up to FEW rows: all keys that were stored before this pass are asked for
while the kernel before still runs. The keys of a row that has `near` ones only are one split; those of others
are shared out, and a second kernel puts together what was found.
"""

import torch

from kernels.attention.paged import Scratch, check_query, check_scratch, reference
from kernels.formats.llama import PagedCache, Rows
from kernels.formats.packed import FEW, Packed, check_packed

try:
    from kernels.attention import few_triton as few_attention_triton
    from kernels.attention import local_triton as local_attention_triton
except ImportError:  # triton is optional: without it everything runs in torch
    few_attention_triton = None  # type: ignore[assignment]

HEADS = (32, 64, 128)
"""Channels that a head may have."""

MOST_SHARED = 8
"""Query heads of a head of keys."""

_MOST_SPLITS = 64


def split_count(d: int, context: int) -> int:
    """Into how many parts to split the keys of a row, heads of `d`, of at most `context` of them."""
    return max(1, min(_MOST_SPLITS, -(-context // near(d))))


def near(d: int) -> int:
    """Up to so many keys of a row are not split; it is the same to the bit in one split as in several."""
    return fewest_tiles(d) * keys_at_once(d)


def keys_at_once(d: int) -> int:
    """Of a program, a tile: as many as its registers hold."""
    return 192 if d <= 64 else 128


def fewest_tiles(d: int) -> int:
    """Of a program, one after the other, if a row has so many."""
    return 1 if d <= 64 else 2


def few_attention(
    q: torch.Tensor, cache: PagedCache, layer: int, rows: Rows, *, out: Packed, splits: int, scratch: Scratch
) -> Packed:
    """Attention of q, float16 [M, heads, head_dim], packed into `out` [M, heads * head_dim]; gives `out`.

    Heads are a power of 2 of channels, 32 to 128, of which up to 8 share keys. `splits` is what `split_count`
    says, or 1 if all rows are `near`. The table, slots,
    positions and all keys but each sequence's last M must not be what the kernel just before has written: see
    `few_rows.py`. Runs the Triton kernel on CUDA (nothing is allocated, nothing waits) and the reference
    elsewhere. Raises ValueError for shapes, strides, types and devices that do not fit together.
    """
    check_query(q, cache, layer, rows)
    m, heads, d = q.shape
    if not 1 <= m <= FEW:
        raise ValueError(f"{m} rows: must be 1 to {FEW}")
    if d not in HEADS or heads > MOST_SHARED * cache.keys.shape[2]:
        shared = heads // cache.keys.shape[2]
        raise ValueError(f"{shared} heads of {d} share keys: must be up to {MOST_SHARED}, of {HEADS}")
    check_packed("out", out, m, heads * d, q.device)
    check_scratch(q, 0, splits, scratch)
    if few_attention_triton is None or local_attention_triton.why_not(q.device, q.dtype) is not None:
        attended = reference(q, cache, layer, rows).float()
        return out.fill(attended)
    buffers = (scratch.sums, scratch.peaks, scratch.totals)
    few_attention_triton.launch(out, q, cache, layer, rows, splits, keys_at_once(d), fewest_tiles(d), buffers)
    return out
