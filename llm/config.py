"""The shape of a llama-architecture model, read from what its GGUF file says."""

from dataclasses import dataclass
from math import inf

from llm.gguf import GgufError, GgufFile


@dataclass(frozen=True)
class LlamaConfig:
    """Sizes and constants of one model (Touvron et al. 2023; grouped queries as in Llama 2)."""

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


def read_config(gguf: GgufFile) -> LlamaConfig:
    """Read the configuration; raise GgufError for another architecture or sizes that cannot be."""
    architecture = gguf.get_str("general.architecture")
    if architecture != "llama":
        raise GgufError(gguf.path, None, f"architecture {architecture!r} is not supported, only 'llama'")
    heads = gguf.get_int("llama.attention.head_count")
    width = gguf.get_int("llama.embedding_length")
    kv_heads = gguf.get_int("llama.attention.head_count_kv", heads)
    if min(heads, kv_heads, width) < 1 or width % heads or heads % kv_heads:
        raise GgufError(
            gguf.path, None, f"{width} channels, {heads} heads, {kv_heads} KV heads do not divide"
        )
    config = LlamaConfig(
        layers=gguf.get_int("llama.block_count"),
        width=width,
        heads=heads,
        kv_heads=kv_heads,
        head_dim=gguf.get_int("llama.rope.dimension_count", width // heads),
        hidden=gguf.get_int("llama.feed_forward_length"),
        vocabulary=len(gguf.get_strs("tokenizer.ggml.tokens")),
        context=gguf.get_int("llama.context_length"),
        rope_base=gguf.get_float("llama.rope.freq_base", 10000.0),
        norm_eps=gguf.get_float("llama.attention.layer_norm_rms_epsilon"),
    )
    _check(gguf, config)
    return config


def expected_shapes(config: LlamaConfig) -> dict[str, tuple[int, ...]]:
    """The tensors that such a model has, with their row-major shapes (the head may be absent: tied)."""
    c, kv = config, config.kv_heads * config.head_dim
    shapes = {"token_embd.weight": (c.vocabulary, c.width), "output_norm.weight": (c.width,)}
    for i in range(c.layers):
        shapes |= {
            f"blk.{i}.attn_norm.weight": (c.width,),
            f"blk.{i}.attn_q.weight": (c.heads * c.head_dim, c.width),
            f"blk.{i}.attn_k.weight": (kv, c.width),
            f"blk.{i}.attn_v.weight": (kv, c.width),
            f"blk.{i}.attn_output.weight": (c.width, c.heads * c.head_dim),
            f"blk.{i}.ffn_norm.weight": (c.width,),
            f"blk.{i}.ffn_gate.weight": (c.hidden, c.width),
            f"blk.{i}.ffn_up.weight": (c.hidden, c.width),
            f"blk.{i}.ffn_down.weight": (c.width, c.hidden),
        }
    return shapes


def _check(gguf: GgufFile, config: LlamaConfig) -> None:
    if not 1 <= config.layers <= len(gguf.tensors) or config.head_dim % 2 or config.context < 1:
        raise GgufError(gguf.path, None, f"impossible model sizes: {config}")
    if not (0 < config.rope_base < inf and 0 <= config.norm_eps < inf):  # false of a NaN
        raise GgufError(gguf.path, None, f"impossible rotary base or epsilon: {config}")
    if (scaling := gguf.get_str("llama.rope.scaling.type", "none")) != "none":
        raise GgufError(gguf.path, None, f"rotary scaling {scaling!r} is not supported")
    needed = expected_shapes(config)
    if missing := needed.keys() - gguf.tensors.keys():
        raise GgufError(gguf.path, None, f"tensor {min(missing)!r} is missing")
    known = needed | {
        "output.weight": (config.vocabulary, config.width),
        "rope_freqs.weight": (config.head_dim // 2,),
    }
    for name, info in gguf.tensors.items():
        if name not in known:  # biases, say: without them the replies would be garbage
            raise GgufError(gguf.path, None, f"tensor {name!r} is not supported")
        if info.shape != known[name]:
            raise GgufError(gguf.path, None, f"tensor {name!r} is {info.shape}, not {known[name]}")
