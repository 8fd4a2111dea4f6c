"""The shape of a llama-like model (llama, qwen2, qwen3), read from what its GGUF file says."""

from collections.abc import Mapping
from dataclasses import dataclass
from math import inf
from types import MappingProxyType
from typing import Literal, NamedTuple

from llm.gguf.file import GgufError, GgufFile

Rotary = Literal["interleaved", "half"]


@dataclass(frozen=True)
class LlamaConfig:
    """Sizes and constants of one model (Touvron et al. 2023; grouped queries as in Llama 2).

    rotary: which channels of a head are turned together, neighbours or those half a head apart.
    qkv_bias: whether q, k and v have a bias. qk_norm: whether each head of q and k is RMS-normed before
    the rotation.
    """

    layers: int
    width: int
    heads: int
    kv_heads: int
    head_dim: int
    hidden: int
    vocabulary: int
    context: int
    rope_base: float
    norm_eps: float
    rotary: Rotary = "interleaved"
    qkv_bias: bool = False
    qk_norm: bool = False


class _Traits(NamedTuple):
    rotary: Rotary
    qkv_bias: bool
    qk_norm: bool


# Files of the architecture llama hold q and k with their rows permuted, which makes neighbours of the pairs.
_ARCHITECTURES: Mapping[str, _Traits] = MappingProxyType(
    {
        "llama": _Traits("interleaved", qkv_bias=False, qk_norm=False),
        "qwen2": _Traits("half", qkv_bias=True, qk_norm=False),
        "qwen3": _Traits("half", qkv_bias=False, qk_norm=True),
    }
)


def read_config(gguf: GgufFile) -> LlamaConfig:
    """Read the configuration; raise GgufError for another architecture or sizes that cannot be."""
    a = gguf.get_str("general.architecture")
    if a not in _ARCHITECTURES:
        known = ", ".join(map(repr, _ARCHITECTURES))
        raise GgufError(gguf.path, None, f"architecture {a!r} is not supported, only {known}")
    heads = gguf.get_int(f"{a}.attention.head_count")
    width = gguf.get_int(f"{a}.embedding_length")
    kv_heads = gguf.get_int(f"{a}.attention.head_count_kv", heads)
    if min(heads, kv_heads, width) < 1 or heads % kv_heads:
        raise GgufError(
            gguf.path, None, f"{width} channels, {heads} heads, {kv_heads} KV heads do not divide"
        )
    config = LlamaConfig(
        layers=gguf.get_int(f"{a}.block_count"),
        width=width,
        heads=heads,
        kv_heads=kv_heads,
        head_dim=_head_dim(gguf, a, width, heads),
        hidden=gguf.get_int(f"{a}.feed_forward_length"),
        vocabulary=len(gguf.get_strs("tokenizer.ggml.tokens")),
        context=gguf.get_int(f"{a}.context_length"),
        rope_base=gguf.get_float(f"{a}.rope.freq_base", 10000.0),
        norm_eps=gguf.get_float(f"{a}.attention.layer_norm_rms_epsilon"),
        **_ARCHITECTURES[a]._asdict(),
    )
    _check_sizes(gguf, a, config)
    _check_tensors(gguf, a, config)
    return config


def layer_shapes(config: LlamaConfig) -> dict[str, tuple[int, ...]]:
    """The tensors of one block, without their `blk.N.`, with their row-major shapes."""
    c, q, kv = config, config.heads * config.head_dim, config.kv_heads * config.head_dim
    shapes: dict[str, tuple[int, ...]] = {
        "attn_norm.weight": (c.width,),
        "attn_q.weight": (q, c.width),
        "attn_k.weight": (kv, c.width),
        "attn_v.weight": (kv, c.width),
        "attn_output.weight": (c.width, q),
        "ffn_norm.weight": (c.width,),
        "ffn_gate.weight": (c.hidden, c.width),
        "ffn_up.weight": (c.hidden, c.width),
        "ffn_down.weight": (c.width, c.hidden),
    }
    if c.qkv_bias:
        shapes |= {"attn_q.bias": (q,), "attn_k.bias": (kv,), "attn_v.bias": (kv,)}
    if c.qk_norm:
        shapes |= {"attn_q_norm.weight": (c.head_dim,), "attn_k_norm.weight": (c.head_dim,)}
    return shapes


def expected_shapes(config: LlamaConfig) -> dict[str, tuple[int, ...]]:
    """The tensors that such a model has, with their row-major shapes (the head may be absent: tied)."""
    shapes: dict[str, tuple[int, ...]] = {
        "token_embd.weight": (config.vocabulary, config.width),
        "output_norm.weight": (config.width,),
    }
    layer = layer_shapes(config)
    return shapes | {f"blk.{i}.{name}": shape for i in range(config.layers) for name, shape in layer.items()}


def _head_dim(gguf: GgufFile, architecture: str, width: int, heads: int) -> int:
    """Channels of a head. Keys, values and rotation must agree: no model of these families differs there."""
    key, value, rotated = (
        f"{architecture}.{name}"
        for name in ("attention.key_length", "attention.value_length", "rope.dimension_count")
    )
    stated = {name: gguf.get_int(name) for name in (key, value, rotated) if name in gguf.metadata}
    if len(set(stated.values())) > 1:
        sizes = ", ".join(f"{name} {size}" for name, size in stated.items())
        raise GgufError(gguf.path, None, f"heads of unequal parts are not supported: {sizes}")
    if not stated and width % heads:
        raise GgufError(gguf.path, None, f"{width} channels, {heads} heads do not divide")
    return next(iter(stated.values()), width // heads)


def _check_sizes(gguf: GgufFile, architecture: str, config: LlamaConfig) -> None:
    if not 1 <= config.layers <= len(gguf.tensors) or config.head_dim % 2 or config.context < 1:
        raise GgufError(gguf.path, None, f"impossible model sizes: {config}")
    if not (0 < config.rope_base < inf and 0 <= config.norm_eps < inf):  # false of a NaN
        raise GgufError(gguf.path, None, f"impossible rotary base or epsilon: {config}")
    if (scaling := gguf.get_str(f"{architecture}.rope.scaling.type", "none")) != "none":
        raise GgufError(gguf.path, None, f"rotary scaling {scaling!r} is not supported")


def _check_tensors(gguf: GgufFile, architecture: str, config: LlamaConfig) -> None:
    needed = expected_shapes(config)
    if missing := needed.keys() - gguf.tensors.keys():
        raise GgufError(gguf.path, None, f"tensor {min(missing)!r} is missing")
    known = needed | {"output.weight": (config.vocabulary, config.width)}
    if architecture == "llama":  # llama.cpp reads it of no other
        known["rope_freqs.weight"] = (config.head_dim // 2,)
    for name, info in gguf.tensors.items():
        if name not in known:  # biases, say: without them the replies would be garbage
            raise GgufError(gguf.path, None, f"tensor {name!r} is not supported")
        if info.shape != known[name]:
            raise GgufError(gguf.path, None, f"tensor {name!r} is {info.shape}, not {known[name]}")
