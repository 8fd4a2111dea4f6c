"""How much memory a model takes on the CPU engine, by counting: weights, KV cache and workspace."""

from collections.abc import Mapping
from dataclasses import dataclass
from math import prod
from types import MappingProxyType
from typing import Literal

from llm.config import LlamaConfig, read_config
from llm.gguf import GgufFile, TensorInfo
from llm.quants import GgmlType

KvType = Literal["int8", "f16", "f32"]

_KV_BYTES: Mapping[str, int] = MappingProxyType({"int8": 1, "f16": 2, "f32": 4})
_FLOAT32 = 4  # bytes
_BLOCK = 32  # weights that share a scale (MatMulNBits of ONNX Runtime)
_FOUR_BITS = (GgmlType.Q4_0, GgmlType.Q4_1, GgmlType.Q4_K)
_PASS_ROWS = 512  # tokens that are read in one pass at most


class SizeError(ValueError):
    """A count that cannot be one, or an unknown type of the KV cache; the message names it."""


@dataclass(frozen=True)
class WeightBytes:
    """Bytes of a model's weights: in its file, and as the CPU engine holds them."""

    stored: int
    prepared: int


@dataclass(frozen=True)
class Memory:
    """What a model needs, and what the machine has to give; all in bytes.

    The file is not counted: it is mapped and read once, and the system may drop its pages at any time.
    """

    weights: WeightBytes
    kv_cache: int
    kv_scales: int  # of int8 keys and values, once for all sessions
    workspace: int
    available: int

    @property
    def total(self) -> int:
        """What has to be in memory at once."""
        return self.weights.prepared + self.kv_cache + self.kv_scales + self.workspace

    @property
    def fits(self) -> bool:
        """Whether the machine has as much."""
        return self.total <= self.available


def memory(gguf: GgufFile, tokens: int, sessions: int, kv: KvType, available: int) -> Memory:
    """What the model takes with `sessions` conversations of `tokens` each, where `available` bytes are free.

    Raises GgufError for a model that cannot be run, and SizeError.
    """
    _check_counts(available=available)
    c = read_config(gguf)
    return Memory(
        weights=weight_bytes(gguf),
        kv_cache=kv_cache_bytes(c.layers, c.kv_heads, c.head_dim, tokens, sessions, kv),
        kv_scales=kv_scale_bytes(c.layers, c.kv_heads, c.head_dim, kv),
        workspace=workspace_bytes(c, tokens, sessions),
        available=available,
    )


def kv_cache_bytes(layers: int, kv_heads: int, head_dim: int, tokens: int, sessions: int, kv: KvType) -> int:
    """Bytes of the keys and values of `sessions` conversations of `tokens` each, scales not included.

    Raises SizeError for a count that is negative or not an int, and an unknown `kv`.
    """
    _check_counts(layers=layers, kv_heads=kv_heads, head_dim=head_dim, tokens=tokens, sessions=sessions)
    return layers * 2 * kv_heads * head_dim * tokens * sessions * _element_bytes(kv)


def kv_scale_bytes(layers: int, kv_heads: int, head_dim: int, kv: KvType) -> int:
    """Bytes of the constant scales of int8 keys and values, one a channel; of the others, none.

    Raises SizeError as `kv_cache_bytes`.
    """
    _check_counts(layers=layers, kv_heads=kv_heads, head_dim=head_dim)
    return layers * 2 * kv_heads * head_dim * _FLOAT32 if _element_bytes(kv) == 1 else 0


def weight_bytes(gguf: GgufFile) -> WeightBytes:
    """Bytes of all tensors: as stored, and as prepared for MatMulNBits.

    Q4_0, Q4_1 and Q4_K take 4 bits a weight, any other matrix 8, and so does an embedding that is the head
    too. Norms and biases are float32.
    """
    tied = "output.weight" not in gguf.tensors
    prepared = sum(
        _prepared_bytes(info, shared=tied and name == "token_embd.weight")
        for name, info in gguf.tensors.items()
    )
    return WeightBytes(sum(info.n_bytes for info in gguf.tensors.values()), prepared)


def workspace_bytes(config: LlamaConfig, tokens: int, sessions: int = 1) -> int:
    """Bytes of the float32 activations of the largest pass, with `tokens` to attend to.

    A pass reads up to 512 rows, out of one session or several. Of the layers' activations only one layer's
    exist at a time. Raises SizeError for a count that is negative or not an int.
    """
    _check_counts(tokens=tokens, sessions=sessions)
    c = config
    qkv = (c.heads + 2 * c.kv_heads) * c.head_dim
    scores = c.heads * tokens
    row = c.width + qkv + 2 * c.hidden + scores + c.vocabulary
    return min(_PASS_ROWS, tokens * sessions) * row * _FLOAT32


def _prepared_bytes(info: TensorInfo, *, shared: bool) -> int:
    """Of one tensor; rows are filled up to whole blocks, and the zero points of two share a byte."""
    *rows, columns = info.shape
    if not rows:
        return columns * _FLOAT32
    blocks = -(-columns // _BLOCK)
    if info.type in _FOUR_BITS and not shared:
        return prod(rows) * (blocks * (_BLOCK // 2 + _FLOAT32) + -(-blocks // 2))
    return prod(rows) * blocks * (_BLOCK + _FLOAT32)


def _element_bytes(kv: str) -> int:
    if kv not in _KV_BYTES:
        raise SizeError(f"kv must be one of {', '.join(_KV_BYTES)}, not {kv!r}")
    return _KV_BYTES[kv]


def _check_counts(**counts: object) -> None:
    for name, value in counts.items():
        if isinstance(value, bool) or not isinstance(value, int) or value < 0:
            raise SizeError(f"{name} must be a whole number from 0, not {value!r}")
