"""Attention of few single tokens over the paged cache, packed for the output product: the checked launcher.

What `paged_attention` means, for up to FEW rows: a row's few products are done where its keys are, without
tensor cores; all keys that were stored before this pass are asked for while the kernel before still runs.
"""

import torch

from kernels.llama_gpu import PagedCache, Rows
from kernels.packed import FEW, Packed, check_packed
from kernels.paged_attention import Scratch, check_query, check_scratch, reference
from kernels.quantized import BLOCK

try:
    from kernels import few_attention_triton, local_attention_triton
except ImportError:  # triton is optional: without it everything runs in torch
    few_attention_triton = None  # type: ignore[assignment]

_MOST_SPLITS = 64


def split_count(d: int, context: int) -> int:
    """Into how many parts to split the keys of a row, heads of `d`, of at most `context` of them."""
    return max(1, min(_MOST_SPLITS, -(-context // keys_at_once(d))))


def keys_at_once(d: int) -> int:
    """Of a program: as many as its registers hold."""
    return 256 if d <= 64 else 128


def few_attention(
    q: torch.Tensor, cache: PagedCache, layer: int, rows: Rows, *, out: Packed, splits: int, scratch: Scratch
) -> Packed:
    """Attention of q, float16 [M, heads, head_dim], packed into `out` [M, heads * head_dim]; gives `out`.

    Heads are a power of 2 of channels, 32 or more. `splits` is what `split_count` says. The table, slots,
    positions and all keys but each sequence's last M must not be what the kernel just before has written: see
    `few_rows.py`. Runs the Triton kernel on CUDA (nothing is allocated, nothing waits) and the reference
    elsewhere. Raises ValueError for shapes, strides, types and devices that do not fit together.
    """
    check_query(q, cache, layer, rows)
    m, heads, d = q.shape
    if not 1 <= m <= FEW:
        raise ValueError(f"{m} rows: must be 1 to {FEW}")
    if d % BLOCK or d & (d - 1):
        raise ValueError(f"heads of {d}: must be a power of 2, and whole blocks of {BLOCK}")
    check_packed("out", out, m, heads * d, q.device)
    check_scratch(q, m * heads, splits, scratch)
    if few_attention_triton is None or local_attention_triton.why_not(q.device, q.dtype) is not None:
        attended = reference(q, cache, layer, rows).float()
        return out.fill(attended)
    buffers = (scratch.sums, scratch.peaks, scratch.totals, scratch.counters)
    few_attention_triton.launch(out, q, cache, layer, rows, splits, keys_at_once(d), buffers)
    return out
