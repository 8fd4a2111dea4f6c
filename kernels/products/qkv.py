"""The first part of a layer: RMSNorm, queries, keys and values of all heads, rotated, keys and values stored.

Row m of x is a token of the sequence in slots[m], at positions[m]. Channels 2i and 2i + 1 of a head of q and
k are rotated together. A row at position -1 is padding: nothing of it is stored.
"""

import torch
from torch import Tensor

from kernels.checks import check_tensor
from kernels.device import TRITON, runs_on
from kernels.formats.llama import PagedCache, Rows, Weights, check_cache

if TRITON:
    from kernels.products import qkv_triton


def bytes_moved(weights: Weights, cache: PagedCache, m: int) -> int:
    """The fewest bytes it can move: a layer's matrix, x, q, and the keys and values stored, once each."""
    shape = weights.shape
    kept = 2 * shape.kv_heads * shape.head_dim * cache.keys.element_size()
    return weights.qkv.layer_bytes + m * (4 * shape.width + 2 * shape.heads * shape.head_dim + kept)


def reference(x: Tensor, weights: Weights, layer: int, cache: PagedCache, rows: Rows) -> Tensor:
    """What is meant, in float32: gives q, float16 [M, heads, head_dim], and stores keys and values."""
    normed = _rms_norm(x, weights.attn_norm[layer], weights.shape.norm_eps)
    return finish(normed @ weights.qkv.dequantize(layer).T, weights, layer, cache, rows)


def finish(flat: Tensor, weights: Weights, layer: int, cache: PagedCache, rows: Rows) -> Tensor:
    """What follows the product, float32 [M, rows of q, k and v]: gives q, and stores keys and values."""
    shape = weights.shape
    if weights.qkv_bias is not None:
        flat = flat + weights.qkv_bias[layer]
    heads = [shape.heads, shape.kv_heads, shape.kv_heads]
    q, k, v = torch.split(flat.reshape(len(flat), -1, shape.head_dim), heads, 1)
    if weights.q_norm is not None and weights.k_norm is not None:
        q = _rms_norm(q, weights.q_norm[layer], shape.norm_eps)
        k = _rms_norm(k, weights.k_norm[layer], shape.norm_eps)
    angles = rows.positions.clamp(min=0).long()
    cos, sin = weights.cos[angles, None], weights.sin[angles, None]  # [M, 1, head_dim / 2]
    q, k = (_rotate(part, cos, sin) for part in (q, k))
    for row, (slot, position) in enumerate(zip(rows.slots.tolist(), rows.positions.tolist(), strict=True)):
        if position >= 0:
            cache.store(layer, slot, position, k[row], v[row])
    return q.half()


def qkv(x: Tensor, weights: Weights, layer: int, cache: PagedCache, rows: Rows, *, q: Tensor) -> Tensor:
    """Queries of x, float32 [M, width], into `q`, float16 [M, heads, head_dim]; gives `q`.

    Keys and values go into the cache. Up to 16 rows, each is the same to the bit whatever is beside it.
    Runs the Triton kernel on CUDA (nothing is allocated, nothing waits) and the reference elsewhere. Raises
    ValueError for shapes, strides, types and devices that do not fit together.
    """
    if x.dim() != 2 or not len(x):
        raise ValueError(f"x is {tuple(x.shape)}: must be [rows, width]")
    check_tensor("x", x, torch.float32, (len(x), weights.shape.width), x.device)
    check_qkv(len(x), x.device, weights, layer, cache, rows, q)
    if not runs_on(x.device):
        return q.copy_(reference(x, weights, layer, cache, rows))
    qkv_triton.launch(q, x, weights, layer, cache, rows)
    return q


def _rms_norm(x: Tensor, weight: Tensor, eps: float) -> Tensor:
    return x * (x.square().mean(-1, keepdim=True) + eps).rsqrt() * weight


def _rotate(x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    even, odd = x[..., ::2], x[..., 1::2]
    return torch.stack([even * cos - odd * sin, even * sin + odd * cos], -1).flatten(-2)


def check_qkv(
    m: int, device: torch.device, weights: Weights, layer: int, cache: PagedCache, rows: Rows, q: Tensor
) -> None:
    """Raise ValueError unless all but x fits together, M rows, and is on the device."""
    shape = weights.shape
    d, layers = shape.head_dim, shape.layers
    if d % 2:
        raise ValueError(f"heads of {d}: must be even, to be rotated by pairs")
    if (weights.q_norm is None) != (weights.k_norm is None):
        raise ValueError("one of q_norm and k_norm is missing: give both or none")
    codes = weights.qkv
    if (codes.layers, codes.rows, codes.columns) != (layers, shape.qkv_rows, shape.width):
        raise ValueError(
            f"qkv is [{codes.layers}, {codes.rows}, {codes.columns}]: not of this shape of model"
        )
    wanted: dict[str, tuple[Tensor | None, torch.dtype, tuple[int, ...]]] = {
        "q": (q, torch.float16, (m, shape.heads, d)),
        "attn_norm": (weights.attn_norm, torch.float32, (layers, shape.width)),
        "qkv codes": (codes.codes, codes.codes.dtype, tuple(codes.codes.shape)),
        "qkv_bias": (weights.qkv_bias, torch.float32, (layers, shape.qkv_rows)),
        "q_norm": (weights.q_norm, torch.float32, (layers, d)),
        "k_norm": (weights.k_norm, torch.float32, (layers, d)),
        "cos": (weights.cos, torch.float32, (len(weights.cos), d // 2)),
        "sin": (weights.sin, torch.float32, (len(weights.cos), d // 2)),
    }
    for name, (tensor, dtype, size) in wanted.items():
        if tensor is not None:
            check_tensor(name, tensor, dtype, size, device)
    if (cache.keys.shape[0], cache.keys.shape[2], cache.keys.shape[4]) != (layers, shape.kv_heads, d):
        raise ValueError(f"the cache's keys are {tuple(cache.keys.shape)}: not of this shape of model")
    check_cache(cache, layer, rows, m, device)
