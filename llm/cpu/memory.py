"""How much memory a model takes on the CPU engine, by counting: weights, KV cache and workspace."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import prod
from types import MappingProxyType
from typing import Literal

from llm.cpu.weights import packing_of
from llm.gguf.blocks import bits_of
from llm.gguf.config import LlamaConfig, expected_shapes, read_config
from llm.gguf.file import GgufFile, TensorInfo
from llm.serve.batch import SHORT
from llm.serve.kv_type import Kernel, KvType

PlannedKv = Literal[KvType, "f16"]
"""Types of keys and values that can be planned with; f16 is for other engines."""

_KV_BYTES: Mapping[str, int] = MappingProxyType({"int8": 1, "f16": 2, "f32": 4})
_FLOAT32 = 4  # bytes
_PACKED_TOGETHER = (("attn_q", "attn_k", "attn_v"), ("attn_output",), ("ffn_gate", "ffn_up"), ("ffn_down",))
_PASS_ROWS = 512  # of a prompt that are read in one pass at most (llm.batch)


class SizeError(ValueError):
    """A count that cannot be one, or an unknown type of the KV cache; the message names it."""


@dataclass(frozen=True)
class WeightBytes:
    """Bytes of a model's weights: in its file, and as the CPU engine holds them.

    scale_copies: what ONNX Runtime adds when it prepares a matrix to multiply with, two more float32 for each
    block (its scale again, in another order, and a sum), measured with 1.32 on x86.
    """

    stored: int
    prepared: int
    scale_copies: int


@dataclass(frozen=True)
class Memory:
    """What a loaded model needs, and what the machine has to give; all in bytes.

    Not counted: mapped files, whose pages the system may drop at any time; Python and ONNX Runtime
    themselves; what is freed again while loading; the store of prefixes (`CpuConfig.prefix_bytes` at most).
    """

    weights: WeightBytes
    kv_cache: int
    kv_scales: int  # of int8 keys and values, once for all sessions
    workspace: int
    available: int

    @property
    def total(self) -> int:
        """What has to be in memory at once."""
        weights = self.weights.prepared + self.weights.scale_copies
        return weights + self.kv_cache + self.kv_scales + self.workspace

    @property
    def fits(self) -> bool:
        """Whether the machine has as much."""
        return self.total <= self.available


def memory(
    gguf: GgufFile, tokens: int, sessions: int, kv: PlannedKv, available: int, kernel: Kernel = "onnxruntime"
) -> Memory:
    """What the model takes with `sessions` conversations of `tokens` each, where `available` bytes are free.

    Raises GgufError for a model that cannot be run, and SizeError.
    """
    _check_counts(available=available)
    c = read_config(gguf)
    return Memory(
        weights=weight_bytes(gguf, c, kernel),
        kv_cache=kv_cache_bytes(c.layers, c.kv_heads, c.head_dim, tokens, sessions, kv),
        kv_scales=kv_scale_bytes(c.layers, c.kv_heads, c.head_dim, kv),
        workspace=workspace_bytes(c, tokens, sessions),
        available=available,
    )


def kv_cache_bytes(
    layers: int, kv_heads: int, head_dim: int, tokens: int, sessions: int, kv: PlannedKv
) -> int:
    """Bytes of the keys and values of `sessions` conversations of `tokens` each, scales not included.

    Raises SizeError for a count that is negative or not an int, and an unknown `kv`.
    """
    _check_counts(layers=layers, kv_heads=kv_heads, head_dim=head_dim, tokens=tokens, sessions=sessions)
    return layers * 2 * kv_heads * head_dim * tokens * sessions * _element_bytes(kv)


def kv_scale_bytes(layers: int, kv_heads: int, head_dim: int, kv: PlannedKv) -> int:
    """Bytes of the constant scales of int8 keys and values, one a channel; of the others, none.

    Raises SizeError as `kv_cache_bytes`.
    """
    _check_counts(layers=layers, kv_heads=kv_heads, head_dim=head_dim)
    return layers * 2 * kv_heads * head_dim * _FLOAT32 if _element_bytes(kv) == 1 else 0


def weight_bytes(gguf: GgufFile, config: LlamaConfig, kernel: Kernel = "onnxruntime") -> WeightBytes:
    """Bytes of all tensors: as stored, and as `llm.cpu.interleave` or `llm.cpu.weights` packs them for a
    kernel.

    ONNX Runtime holds the embedding to look rows up in, and if it is the head too, a second time to multiply
    with. Norms and biases are float32.
    """
    if kernel == "compiled":
        matrices = sum(_interleaved_bytes(info) for info in gguf.tensors.values() if len(info.shape) == 2)
        return WeightBytes(_stored(gguf), matrices + _vectors(config), 0)
    head = "output.weight" if "output.weight" in gguf.tensors else "token_embd.weight"
    layers = [
        [f"blk.{i}.{name}.weight" for name in names]
        for i in range(config.layers)
        for names in _PACKED_TOGETHER
    ]
    multiplied = [_packed_bytes(gguf, names) for names in [*layers, [head]]]
    codes, scales = (sum(sizes) for sizes in zip(*multiplied, strict=True))
    return WeightBytes(
        stored=_stored(gguf),
        prepared=codes + scales + sum(_packed_bytes(gguf, ["token_embd.weight"])) + _vectors(config),
        scale_copies=2 * scales,
    )


def _stored(gguf: GgufFile) -> int:
    return sum(info.n_bytes for info in gguf.tensors.values())


def _vectors(config: LlamaConfig) -> int:
    shapes = expected_shapes(config).values()
    return sum(prod(shape) for shape in shapes if len(shape) == 1) * _FLOAT32


def _interleaved_bytes(info: TensorInfo) -> int:
    """32 columns of a row: codes, a float16 scale, and in 4 bits a minimum; rows fill groups of 16."""
    n, k = info.shape
    block = 16 + 2 + 2 if bits_of(info.type) == 4 else 32 + 2
    return -(-n // 16) * 16 * (k // 32) * block


def workspace_bytes(config: LlamaConfig, tokens: int, sessions: int = 1) -> int:
    """An upper bound of what a pass needs besides, with `tokens` to attend to, and of the rotation's tables.

    A pass reads up to 512 rows of one prompt and computes the head for the last, or up to 16 rows of each
    session, all with the head. The bound is every float32 activation of one layer, which ONNX Runtime keeps
    for the next, and a score of each head and row for each token; where it frees them earlier it needs less.
    Raises SizeError for a count that is negative or not an int.
    """
    _check_counts(tokens=tokens, sessions=sessions)
    if not sessions:
        return 0
    c = config
    row = _layer_activations(c) + c.heads * tokens
    prompt = min(_PASS_ROWS, tokens) * row + min(1, tokens) * c.vocabulary
    steps = sessions * min(SHORT, tokens) * (row + c.vocabulary)
    return (max(prompt, steps) + tokens * c.head_dim) * _FLOAT32


def _layer_activations(c: LlamaConfig) -> int:
    """Numbers that the nodes of one layer put out for a row; see `llm.cpu.graph`."""
    q, kv = c.heads * c.head_dim, c.kv_heads * c.head_dim
    attention = 2 * (q + 2 * kv) + q  # packed, rotated, and the result
    if c.qk_norm:
        attention += 2 * (q + 2 * kv)  # split, and normed
    mlp = 6 * c.hidden  # gate and up packed, the two apart, the activation, and the product
    return 6 * c.width + attention + mlp  # two norms, two sums, and what attention and MLP give back


def _packed_bytes(gguf: GgufFile, names: Sequence[str]) -> tuple[int, int]:
    """Bytes of the codes and scales of matrices that are packed together; rows fill whole blocks."""
    tensors = [gguf.tensors[name] for name in names]
    packing = packing_of(info.type for info in tensors)
    blocks = sum(info.shape[0] * -(-info.shape[1] // packing.block) for info in tensors)
    return blocks * packing.block * packing.bits // 8, blocks * _FLOAT32


def _element_bytes(kv: str) -> int:
    if kv not in _KV_BYTES:
        raise SizeError(f"kv must be one of {', '.join(_KV_BYTES)}, not {kv!r}")
    return _KV_BYTES[kv]


def _check_counts(**counts: object) -> None:
    for name, value in counts.items():
        if isinstance(value, bool) or not isinstance(value, int) or value < 0:
            raise SizeError(f"{name} must be a whole number from 0, not {value!r}")
