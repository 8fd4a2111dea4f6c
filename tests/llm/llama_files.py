"""Small GGUF files of llama, qwen2 and qwen3 with random weights, and the real model read once."""

import functools
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from gguf_writer import F32, I32, STRING, U32, Entry, array, build, typed
from numpy.typing import NDArray
from tokenizers import pre_tokenizers
from torch_llama import KvCache, Llama

from llm.gguf.config import LlamaConfig
from llm.gguf.file import open_gguf

Weights = dict[str, NDArray[np.float32]]

SPECIAL = ("<|im_start|>", "<|im_end|>")
TOKENS = (*sorted(pre_tokenizers.ByteLevel.alphabet()), *SPECIAL)
CHATML = (
    "{% for message in messages %}"
    "{{ '<|im_start|>' + message['role'] + '\n' + message['content'] + '<|im_end|>\n' }}"
    "{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"
)
SMALL = LlamaConfig(
    layers=2,
    width=32,
    heads=4,
    kv_heads=2,
    head_dim=8,
    hidden=48,
    vocabulary=len(TOKENS),
    context=256,
    rope_base=100.0,  # low, so that positions matter within a few tokens
    norm_eps=1e-5,
)
SMALL_QWEN2 = replace(SMALL, rotary="half", qkv_bias=True)
SMALL_QWEN3 = replace(SMALL, rotary="half", qk_norm=True, head_dim=12)


def architecture_of(config: LlamaConfig) -> str:
    """The name that a file of such a model has under general.architecture."""
    if config.qk_norm:
        return "qwen3"
    return "qwen2" if config.qkv_bias else "llama"


def random_weights(config: LlamaConfig, *, tied: bool = True, seed: int = 0) -> Weights:
    """Weights that give logits of a few units; names and [out, in] shapes are llama.cpp's.

    Biases and norms of queries and keys are there if `config` has them.
    """
    c, rng = config, np.random.default_rng(seed)

    def matrix(out: int, into: int) -> NDArray[np.float32]:
        return rng.normal(0, 1.5 / into**0.5, (out, into)).astype(np.float32)

    def norm(channels: int = c.width) -> NDArray[np.float32]:
        return rng.normal(1, 0.3, channels).astype(np.float32)

    def bias(heads: int) -> NDArray[np.float32]:
        return rng.normal(0, 1, heads * c.head_dim).astype(np.float32)

    weights = {"token_embd.weight": matrix(c.vocabulary, c.width), "output_norm.weight": norm()}
    for i in range(c.layers):
        weights |= {
            f"blk.{i}.attn_norm.weight": norm(),
            f"blk.{i}.attn_q.weight": matrix(c.heads * c.head_dim, c.width),
            f"blk.{i}.attn_k.weight": matrix(c.kv_heads * c.head_dim, c.width),
            f"blk.{i}.attn_v.weight": matrix(c.kv_heads * c.head_dim, c.width),
            f"blk.{i}.attn_output.weight": matrix(c.width, c.heads * c.head_dim),
            f"blk.{i}.ffn_norm.weight": norm(),
            f"blk.{i}.ffn_gate.weight": matrix(c.hidden, c.width),
            f"blk.{i}.ffn_up.weight": matrix(c.hidden, c.width),
            f"blk.{i}.ffn_down.weight": matrix(c.width, c.hidden),
        }
        if c.qkv_bias:
            heads = {"q": c.heads, "k": c.kv_heads, "v": c.kv_heads}
            weights |= {f"blk.{i}.attn_{part}.bias": bias(n) for part, n in heads.items()}
        if c.qk_norm:
            weights |= {f"blk.{i}.attn_{part}_norm.weight": norm(c.head_dim) for part in "qk"}
    return weights if tied else weights | {"output.weight": matrix(c.vocabulary, c.width)}


def write_llama(
    path: Path,
    config: LlamaConfig = SMALL,
    *,
    weights: Mapping[str, NDArray[np.float32]] | None = None,
    metadata: Mapping[str, bytes | None] | None = None,
) -> Path:
    """A whole file: tokenizer of single bytes, chat template and F32 weights.

    Its architecture is the one with the rotary order, biases and norms of `config`. `metadata` replaces
    encoded values by key; None leaves the key out.
    """
    arch = architecture_of(config)
    head_dim = "attention.key_length" if arch == "qwen3" else "rope.dimension_count"
    values: dict[str, bytes | None] = {
        "general.architecture": typed(STRING, arch),
        f"{arch}.block_count": typed(U32, config.layers),
        f"{arch}.embedding_length": typed(U32, config.width),
        f"{arch}.feed_forward_length": typed(U32, config.hidden),
        f"{arch}.context_length": typed(U32, config.context),
        f"{arch}.attention.head_count": typed(U32, config.heads),
        f"{arch}.attention.head_count_kv": typed(U32, config.kv_heads),
        f"{arch}.attention.layer_norm_rms_epsilon": typed(F32, config.norm_eps),
        f"{arch}.{head_dim}": typed(U32, config.head_dim),
        f"{arch}.rope.freq_base": typed(F32, config.rope_base),
        "tokenizer.ggml.model": typed(STRING, "gpt2"),
        "tokenizer.ggml.pre": typed(STRING, "gpt-2" if arch == "llama" else "qwen2"),
        "tokenizer.ggml.tokens": array(STRING, TOKENS),
        "tokenizer.ggml.token_type": array(I32, [1] * 256 + [3] * len(SPECIAL)),
        "tokenizer.ggml.merges": array(STRING, []),
        "tokenizer.ggml.eos_token_id": typed(U32, TOKENS.index("<|im_end|>")),
        "tokenizer.chat_template": typed(STRING, CHATML),
        **(metadata or {}),
    }
    entries: list[Entry] = []
    data = b""
    for name, weight in (random_weights(config) if weights is None else weights).items():
        entries.append((name, weight.shape[::-1], 0, len(data)))
        data += weight.tobytes()
        data += bytes(-len(data) % 32)
    path.write_bytes(build([(k, v) for k, v in values.items() if v is not None], entries, data))
    return path


class CountingLlama(Llama):
    """Remembers which tokens it was asked to compute."""

    computed: list[list[int]]

    @classmethod
    def of(cls, model: Llama) -> "CountingLlama":
        """The same model (the weights are shared), counting from now on."""
        counting = cls.__new__(cls)
        counting.__dict__.update(model.__dict__)
        counting.computed = []
        return counting

    def forward(self, tokens: list[int], cache: KvCache, logits_from: int) -> torch.Tensor:
        self.computed.append(list(tokens))
        return super().forward(tokens, cache, logits_from)


@contextmanager
def one_thread() -> Iterator[None]:
    """For models this small a second thread costs a hundred times what it saves when the cores are busy."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@functools.cache
def real_model(path: Path) -> Llama:
    """The model in float32, read once for all tests: it takes two seconds and half a gigabyte."""
    return Llama(open_gguf(path))
