"""Attention of a prompt's tokens over the paged cache: bytes moved, a reference, the checked launcher.

The rows are tokens start .. start + T - 1 of the sequence in a slot; their keys are stored already. A token
sees the keys up to and with its own. Query heads in groups share a head of keys. Rows from `count` on are padding: zeros.
"""

import torch
from torch import Tensor

from kernels.checks import check_tensor
from kernels.device import TRITON, runs_on
from kernels.formats.llama import PagedCache, Rows, check_cache

if TRITON:
    from kernels.attention import prompt_triton


def bytes_moved(q: Tensor, cache: PagedCache, start: int) -> int:
    """The fewest bytes it can move without a window: keys, values, q and the result, once each."""
    _, _, kv_heads, _, d = cache.keys.shape
    return 2 * (start + len(q)) * kv_heads * d * cache.keys.element_size() + 2 * q.nbytes


def reference(
    q: Tensor,
    cache: PagedCache,
    layer: int,
    slot: Tensor,
    start: Tensor,
    count: Tensor | None = None,
) -> Tensor:
    """What is meant, in float32: float16 [T, heads * head_dim]."""
    tokens, heads, d = q.shape
    begin, real = int(start), tokens if count is None else min(int(count), tokens)
    out = torch.zeros(tokens, heads * d, dtype=torch.float16, device=q.device)
    if real > 0:
        keys, values = cache.gather(layer, int(slot), begin + real)  # [kv heads, begin + real, D]
        queries = q[:real].float().reshape(real, len(keys), -1, d).permute(1, 2, 0, 3)
        scores = queries @ keys[:, None].mT * d**-0.5  # [kv heads, group, real, begin + real]
        seen = torch.ones(real, begin + real, dtype=torch.bool, device=q.device).tril(begin)
        weights = scores.masked_fill(~seen, -torch.inf).softmax(-1)
        out[:real] = (weights @ values[:, None]).permute(2, 0, 1, 3).flatten(1).half()
    return out


def prompt_attention(
    q: Tensor,
    cache: PagedCache,
    layer: int,
    slot: Tensor,
    start: Tensor,
    *,
    out: Tensor,
    count: Tensor | None = None,
) -> Tensor:
    """Attention of q, float16 [T, heads, head_dim], into `out`, float16 [T, heads * head_dim]; gives `out`.

    `slot`, `start` and `count` are int32 [1] and read on the device, so a CUDA graph may hold the launch.
    Runs the Triton kernel on CUDA (nothing is allocated, nothing waits) and the reference elsewhere. Raises
    ValueError for shapes, strides, types and devices that do not fit together.
    """
    _check(q, cache, layer, slot, start, out, count)
    if not runs_on(q.device):
        return out.copy_(reference(q, cache, layer, slot, start, count))
    prompt_triton.launch(out, q, cache, layer, slot, start, count)
    return out


def _check(
    q: Tensor,
    cache: PagedCache,
    layer: int,
    slot: Tensor,
    start: Tensor,
    out: Tensor,
    count: Tensor | None,
) -> None:
    if q.dim() != 3 or 0 in q.shape:
        raise ValueError(f"q is {tuple(q.shape)}: must be [tokens, heads, head dim]")
    tokens, heads, d = q.shape
    kv_heads = cache.keys.shape[2]
    if cache.keys.shape[4] != d or heads % kv_heads:
        raise ValueError(f"q has {heads} heads of {d}, the cache {kv_heads} of {cache.keys.shape[4]}")
    check_tensor("q", q, torch.float16, (tokens, heads, d), q.device)
    check_tensor("out", out, torch.float16, (tokens, heads * d), q.device)
    check_cache(cache, layer, Rows(slot, slot, start), 1, q.device)
    if count is not None:
        check_tensor("count", count, torch.int32, (1,), q.device)
