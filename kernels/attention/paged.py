"""Attention over the paged cache: bytes moved, a reference, the checked launcher.

The rows of q are S sequences of T tokens each: of sequence s, tokens starts[s] .. starts[s] + T - 1 of slot
slots[s]. T is 1 when sequences decode; a prompt is one sequence. Keys and values of all rows are stored
already. A token sees the keys up to and with its own. Query heads in groups share a head of keys. Tokens from
`count` on, and a single one at -1, are padding: zeros.

Heads may be of any size. Where sequences decode, `small_batch` is faster, for the models that it takes.
"""

import torch
from torch import Tensor

from kernels.checks import check_tensor
from kernels.device import TRITON, runs_on
from kernels.formats.llama import PagedCache, Rows, check_cache

if TRITON:
    from kernels.attention import paged_triton


def bytes_moved(q: Tensor, cache: PagedCache, keys: int) -> int:
    """The fewest bytes it can move: so many keys in all, their values, q and the result, once each."""
    _, _, kv_heads, _, d = cache.keys.shape
    return 2 * keys * kv_heads * d * cache.keys.element_size() + 2 * q.nbytes


def reference(
    q: Tensor, cache: PagedCache, layer: int, slots: Tensor, starts: Tensor, count: Tensor | None = None
) -> Tensor:
    """What is meant, in float32, a sequence after the other: float16 [S * T, heads * head_dim]."""
    out = torch.zeros(len(q), q[0].numel(), dtype=torch.float16, device=q.device)
    tokens = len(q) // len(slots)
    real = tokens if count is None else min(int(count), tokens)
    for i, (slot, start) in enumerate(zip(slots.tolist(), starts.tolist(), strict=True)):
        if start < 0 or not real:
            continue
        keys, values = cache.gather(layer, slot, start + real)  # [kv heads, start + real, D]
        own = slice(i * tokens, i * tokens + real)
        queries = q[own].float().reshape(real, len(keys), -1, q.shape[2]).permute(1, 2, 0, 3)
        scores = queries @ keys[:, None].mT * q.shape[2] ** -0.5  # [kv heads, group, real, start + real]
        seen = torch.ones(real, start + real, dtype=torch.bool, device=q.device).tril(start)
        weights = scores.masked_fill(~seen, -torch.inf).softmax(-1)
        out[own] = (weights @ values[:, None]).permute(2, 0, 1, 3).flatten(1).half()
    return out


def paged_attention(
    q: Tensor,
    cache: PagedCache,
    layer: int,
    slots: Tensor,
    starts: Tensor,
    *,
    out: Tensor,
    count: Tensor | None = None,
) -> Tensor:
    """Attention of q, float16 [S * T, heads, head_dim], into `out`, float16 [S * T, heads * head_dim].

    `slots` and `starts`, int32 [S], and `count`, int32 [1], are read on the device, so a CUDA graph may hold
    the launch. A sequence is the same to the bit whatever sequences are beside it. Gives `out`. Runs the
    Triton kernel on CUDA (nothing is allocated, nothing waits) and the reference elsewhere. Raises ValueError
    for shapes, strides, types and devices that do not fit together.
    """
    check_query(q, cache, layer, Rows(slots, slots, starts), len(slots))
    check_tensor("out", out, torch.float16, (len(q), q[0].numel()), q.device)
    if len(q) % len(slots):
        raise ValueError(f"{len(q)} rows of {len(slots)} sequences: each must have as many")
    if count is not None:
        check_tensor("count", count, torch.int32, (1,), q.device)
    if not runs_on(q.device):
        return out.copy_(reference(q, cache, layer, slots, starts, count))
    paged_triton.launch(out, q, cache, layer, slots, starts, count)
    return out


def check_query(q: Tensor, cache: PagedCache, layer: int, rows: Rows, sequences: int) -> None:
    """Raise ValueError unless queries, cache and so many slots and positions fit together, on one device."""
    if q.dim() != 3 or 0 in q.shape:
        raise ValueError(f"q is {tuple(q.shape)}: must be [rows, heads, head dim]")
    m, heads, d = q.shape
    kv_heads = cache.keys.shape[2]
    if cache.keys.shape[4] != d or heads % kv_heads:
        raise ValueError(f"q has {heads} heads of {d}, the cache {kv_heads} of {cache.keys.shape[4]}")
    check_tensor("q", q, torch.float16, (m, heads, d), q.device)
    check_cache(cache, layer, rows, sequences, q.device)
