"""The transformers library's llama with its static cache, on the weights and the first tokens of ours."""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from kernels.bench.dense import plain_cache
from kernels.bench.models import BASE, Sequences
from kernels.formats.llama import Shape, Weights

Step = Callable[[], Tensor]
"""Logits [B, wanted, vocabulary] of the last rows that follow, and as many tokens further each time."""


def transformers_step(
    weights: Weights,
    there: Sequences,
    context: int,
    length: int,
    dtype: torch.dtype,
    *,
    wanted: int,
    compiled: bool,
) -> tuple[Step, Callable[[], None]]:
    """A step, and what puts the cache back to `context` tokens. Raises ImportError without transformers."""
    from transformers import AutoModelForCausalLM, LlamaConfig, StaticCache  # noqa: PLC0415  (optional)

    shape, device = weights.shape, weights.cos.device
    config = LlamaConfig(
        vocab_size=shape.vocabulary,
        hidden_size=shape.width,
        intermediate_size=shape.hidden,
        num_hidden_layers=shape.layers,
        num_attention_heads=shape.heads,
        num_key_value_heads=shape.kv_heads,
        head_dim=shape.head_dim,
        max_position_embeddings=len(weights.cos),
        rms_norm_eps=shape.norm_eps,
        rope_parameters={"rope_type": "default", "rope_theta": BASE},
        tie_word_embeddings=True,
        dtype=dtype,
    )
    # Made in its type, as what is loaded from a file is: `.to(bfloat16)` would round the angles' frequencies
    # too, and behind 4096 tokens the angles would be off by whole turns.
    with device:  # its attention is SDPA if nothing else is asked for
        made: Any = AutoModelForCausalLM.from_config(config)  # type: ignore[no-untyped-call]
    model = made.eval()
    _load(model, weights)
    slots = len(there.cache.table)
    cache: Any = StaticCache(config=config, max_cache_len=length)
    cache.early_initialization(slots, shape.kv_heads, shape.head_dim, dtype, device)
    for i, layer in enumerate(cache.layers):
        keys, values = plain_cache(there, i, context, length, dtype)
        layer.keys.copy_(keys[..., _halves(shape, device)])
        layer.values.copy_(values)
    forward = torch.compile(model, mode="reduce-overhead") if compiled else model
    tokens = there.rows.tokens.view(slots, -1).long()

    def reset() -> None:
        for layer in cache.layers:
            layer.cumulative_length.fill_(context)

    def step() -> Tensor:
        found = forward(input_ids=tokens, past_key_values=cache, use_cache=True, logits_to_keep=wanted)
        logits: Tensor = found.logits
        return logits

    return step, reset


def _halves(shape: Shape, device: torch.device) -> Tensor:
    """Channels of a head, so that those which ours rotates together lie half a head apart, as theirs do."""
    channels = torch.arange(shape.head_dim, device=device)
    return torch.cat([channels[0::2], channels[1::2]])


def _load(model: torch.nn.Module, weights: Weights) -> None:
    """Give the model our weights, one matrix at a time."""
    shape = weights.shape
    own = dict(model.named_parameters())
    order = _halves(shape, weights.cos.device)

    def give(name: str, x: Tensor) -> None:
        own.pop(name).data.copy_(x)

    def turned(rows: Tensor) -> Tensor:
        return rows.view(-1, shape.head_dim, shape.width)[:, order].flatten(0, 1)

    give("model.embed_tokens.weight", weights.embedding.dequantize(0))
    give("model.norm.weight", weights.output_norm)
    ends = [heads * shape.head_dim for heads in (shape.heads, shape.heads + shape.kv_heads)]
    for i in range(shape.layers):
        q, k, v = weights.qkv.dequantize(i).tensor_split(ends)
        gate, up = weights.gate_up.dequantize(i).chunk(2)
        parts = {
            "self_attn.q_proj": turned(q),
            "self_attn.k_proj": turned(k),
            "self_attn.v_proj": v,
            "self_attn.o_proj": weights.out.dequantize(i),
            "mlp.gate_proj": gate,
            "mlp.up_proj": up,
            "mlp.down_proj": weights.down.dequantize(i),
            "input_layernorm": weights.attn_norm[i],
            "post_attention_layernorm": weights.ffn_norm[i],
        }
        for name, x in parts.items():
            give(f"model.layers.{i}.{name}.weight", x)
    assert not own, f"parameters without weights: {list(own)}"
