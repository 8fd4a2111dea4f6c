"""Attention of single tokens over the paged cache: bytes moved, a reference, the checked launcher.

Row m is a token of the sequence in slots[m], at positions[m]: it sees the keys up to and with its own, which
is stored already. Query heads in groups share a head of keys. A row at position -1 is padding: zeros.

It takes heads of any size, for models that `small_batch` does not take; a row's keys are not split, so behind
a long context it is slower.
"""

import torch
from torch import Tensor

from kernels.checks import check_tensor
from kernels.device import TRITON, runs_on
from kernels.formats.llama import PagedCache, Rows, check_cache

if TRITON:
    from kernels.attention import prompt_triton


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


def paged_attention(q: Tensor, cache: PagedCache, layer: int, rows: Rows, *, out: Tensor) -> Tensor:
    """Attention of q, float16 [M, heads, head_dim], into `out`, float16 [M, heads * head_dim]; gives `out`.

    A row is the same to the bit whatever rows are beside it. Runs the Triton kernel on CUDA (nothing is
    allocated, nothing waits) and the reference elsewhere. Raises ValueError for shapes, strides, types and
    devices that do not fit together.
    """
    check_query(q, cache, layer, rows)
    check_tensor("out", out, torch.float16, (len(q), q[0].numel()), q.device)
    if not runs_on(q.device):
        return out.copy_(reference(q, cache, layer, rows))
    prompt_triton.launch_rows(out, q, cache, layer, rows)
    return out


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
