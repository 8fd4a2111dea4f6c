"""GGUF files as the GPU's kernels want them: one piece for each kind of matrix, of all layers.

Q4_0, Q4_1 and Q8_0 are exact, and so is Q5_0, in 8 bits; the scales of Q4_K are rounded to float16, and the
rest to 8 bits (`llm.gguf.blocks`). A kind, q, k and v being one and gate and up another, is in 4 bits only if
all its matrices are: in a file of mixed types the others are rounded to 8 bits with them.
"""

from collections.abc import Iterable, Mapping, Sequence
from types import MappingProxyType
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from kernels.formats import BLOCK, Quantized, Shape, Weights
from llm.gguf.blocks import Blocks, bits_of, read_blocks
from llm.gguf.config import LlamaConfig
from llm.gguf.file import GgufError, GgufFile
from llm.gguf.quants import GgmlType
from llm.gguf.rope import rope_frequencies

Kind = Literal["qkv", "out", "gate_up", "down"]

KINDS: Mapping[Kind, tuple[str, ...]] = MappingProxyType(
    {
        "qkv": ("attn_q", "attn_k", "attn_v"),
        "out": ("attn_output",),
        "gate_up": ("ffn_gate", "ffn_up"),
        "down": ("ffn_down",),
    }
)
"""The matrices of a layer, and which are held together."""

_LARGEST = float(np.finfo(np.float16).max)  # kernels multiply float16 weights


def unsupported_reason(config: LlamaConfig) -> str | None:
    """What keeps a model of these sizes from being held so; None if it can be."""
    sizes = (config.width, config.hidden, config.heads * config.head_dim)
    if any(size % BLOCK for size in sizes):
        return f"width, hidden and the heads together must be multiples of {BLOCK} channels, not {sizes}"
    return None


def read_weights(gguf: GgufFile, config: LlamaConfig, context: int, device: torch.device) -> Weights:
    """The weights on `device`, for sequences of up to `context` tokens.

    Where channels half a head apart are rotated together, the rows of q and k are put in another order, so
    that they are neighbours: scores are the same. Raises GgufError for weights that are not finite, or too
    large for float16, and rows that are not whole blocks.
    """
    embedding = _matrices(gguf, [["token_embd.weight"]], device)
    tied = "output.weight" not in gguf.tensors
    angles = np.arange(context)[:, None] * rope_frequencies(gguf, config)
    kinds = {kind: _kind(gguf, config, kind, device) for kind in KINDS}
    order = head_order(config)

    def norms(name: str, order: NDArray[np.int64] | None = None) -> Tensor:
        rows = np.stack([_floats(gguf, f"blk.{i}.{name}") for i in range(config.layers)])
        return _tensor(rows if order is None else rows[:, order], device)

    return Weights(
        shape=shape_of(config),
        embedding=embedding,
        attn_norm=norms("attn_norm.weight"),
        ffn_norm=norms("ffn_norm.weight"),
        output_norm=_tensor(_floats(gguf, "output_norm.weight"), device),
        head=embedding if tied else _matrices(gguf, [["output.weight"]], device),
        cos=_tensor(np.cos(angles).astype(np.float32), device),
        sin=_tensor(np.sin(angles).astype(np.float32), device),
        qkv_bias=_tensor(_biases(gguf, config), device) if config.qkv_bias else None,
        q_norm=norms("attn_q_norm.weight", order) if config.qk_norm else None,
        k_norm=norms("attn_k_norm.weight", order) if config.qk_norm else None,
        **kinds,
    )


def shape_of(config: LlamaConfig) -> Shape:
    """The sizes as kernels name them."""
    c = config
    return Shape(
        layers=c.layers,
        width=c.width,
        heads=c.heads,
        kv_heads=c.kv_heads,
        head_dim=c.head_dim,
        hidden=c.hidden,
        vocabulary=c.vocabulary,
        norm_eps=c.norm_eps,
    )


def bits_of_kind(gguf: GgufFile, config: LlamaConfig, kind: Kind) -> int:
    """Bits of a weight in these matrices."""
    return _bits(_types(gguf, _names(config, kind)))


def head_order(config: LlamaConfig) -> NDArray[np.int64]:
    """The file's channel for each of a head's, [head dim]: 0, half, 1, half + 1 ... if halves are rotated."""
    channels = np.arange(config.head_dim)
    return channels.reshape(2, -1).T.ravel() if config.rotary == "half" else channels


def _kind(gguf: GgufFile, config: LlamaConfig, kind: Kind, device: torch.device) -> Quantized:
    order = _qkv_order(config) if kind == "qkv" and config.rotary == "half" else None
    return _matrices(gguf, _names(config, kind), device, order)


def _names(config: LlamaConfig, kind: Kind) -> list[list[str]]:
    return [[f"blk.{i}.{part}.weight" for part in KINDS[kind]] for i in range(config.layers)]


def _qkv_order(config: LlamaConfig) -> NDArray[np.int64]:
    """The file's row for each row of q, k and v."""
    turned, d = config.heads + config.kv_heads, config.head_dim
    heads = np.arange(turned)[:, None] * d + head_order(config)
    return np.concatenate([heads.ravel(), np.arange(turned * d, (turned + config.kv_heads) * d)])


def _types(gguf: GgufFile, layers: Sequence[Sequence[str]]) -> set[GgmlType]:
    return {gguf.tensors[name].type for names in layers for name in names}


def _bits(types: Iterable[GgmlType]) -> int:
    return max(map(bits_of, types))


def _matrices(
    gguf: GgufFile,
    layers: Sequence[Sequence[str]],
    device: torch.device,
    order: NDArray[np.int64] | None = None,
) -> Quantized:
    """The named matrices of each layer, one below the other; row i is then row order[i] of them."""
    types = _types(gguf, layers)
    bits = _bits(types)
    minima = bits == 4 and types != {GgmlType.Q4_0}
    held: Quantized | None = None
    for i, names in enumerate(layers):
        parts = _layer([_checked(gguf, name, bits) for name in names], minima=minima, order=order)
        if held is None:  # filled layer by layer: a model need not fit into the processor's memory twice
            held = _empty(parts, len(layers), device)
        for target, source in zip((held.codes, held.scales, held.minima), parts, strict=True):
            if target is not None:
                target[i].copy_(torch.from_numpy(source))
    assert held is not None, "a model of no layers"
    return held


def _checked(gguf: GgufFile, name: str, bits: int) -> Blocks:
    blocks = read_blocks(gguf, name, bits=bits)
    scales = np.abs(blocks.scales.astype(np.float32))
    largest = 127 * scales if blocks.bits == 8 else 15 * scales
    if blocks.minima is not None:
        largest += np.abs(blocks.minima.astype(np.float32))
    if largest.max() > _LARGEST:
        raise GgufError(gguf.path, None, f"weights of {name!r} are too large for float16")
    return blocks


def _layer(
    parts: Sequence[Blocks], *, minima: bool, order: NDArray[np.int64] | None
) -> tuple[NDArray[Any], NDArray[Any], NDArray[Any] | None]:
    """Codes [N, K or K / 2], scales and, if wanted, minima [N, K / 32] of matrices one below the other."""
    codes = np.concatenate([part.codes.reshape(len(part.codes), -1) for part in parts])
    scales = np.concatenate([part.scales for part in parts])
    least = None
    if minima:
        least = np.concatenate([-8 * p.scales if p.minima is None else p.minima for p in parts])
    if order is None:
        return codes, scales, least
    return codes[order], scales[order], None if least is None else least[order]


def _empty(
    parts: tuple[NDArray[Any], NDArray[Any], NDArray[Any] | None], layers: int, device: torch.device
) -> Quantized:
    codes, scales, minima = (
        None if x is None else torch.empty((layers, *x.shape), dtype=torch.from_numpy(x).dtype, device=device)
        for x in parts
    )
    assert codes is not None
    assert scales is not None
    return Quantized(codes, scales, minima)


def _biases(gguf: GgufFile, config: LlamaConfig) -> NDArray[np.float32]:
    """Float32 [layers, rows of q, k and v]."""
    layers = [
        np.concatenate([_floats(gguf, f"blk.{i}.attn_{part}.bias") for part in "qkv"])
        for i in range(config.layers)
    ]
    rows = np.stack(layers)
    return rows[:, _qkv_order(config)] if config.rotary == "half" else rows


def _tensor(array: NDArray[np.float32], device: torch.device) -> Tensor:
    """The array on the device, its rows one after the other: numpy leaves `x[:, order]` column by column."""
    return torch.from_numpy(np.ascontiguousarray(array)).to(device)


def _floats(gguf: GgufFile, name: str) -> NDArray[np.float32]:
    tensor = gguf.tensor(name)
    if not np.isfinite(tensor).all():
        raise GgufError(gguf.path, None, f"weights of {name!r} are not finite")
    return tensor
