"""A LoRA adapter (Hu et al. 2021): y = W x + B (A x) in place of y = W x, for some matrices of a model."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

import numpy as np
from numpy.typing import NDArray

from llm.gguf.config import LlamaConfig, layer_shapes

TARGETS = ("attn_q", "attn_k", "attn_v", "attn_output", "ffn_gate", "ffn_up", "ffn_down")
"""The matrices of a layer that an adapter may change, by llama.cpp's names."""

MAX_RANK = 256
"""Published adapters have 4 to 64, a few 256. It bounds what a file can take."""


class LoraError(ValueError):
    """A file that is no usable adapter of this model: `path`, `tensor` (or key, or None) and `reason`."""

    def __init__(self, path: Path, tensor: str | None, reason: str) -> None:
        self.path, self.tensor, self.reason = path, tensor, reason
        super().__init__(f"{path}: {reason}" if tensor is None else f"{path}: {tensor!r} {reason}")


@dataclass(frozen=True, eq=False)
class LowRank:
    """What is added to one matrix [out, in]: b @ a, the scale being part of `b`."""

    a: NDArray[np.float32]  # [rank, in]
    b: NDArray[np.float32]  # [out, rank]

    @property
    def delta(self) -> NDArray[np.float32]:
        """The sum in full, [out, in]."""
        full: NDArray[np.float32] = self.b @ self.a
        return full


@dataclass(frozen=True, eq=False)
class Adapter:
    """An adapter for one model, its rows in the order of the model's file.

    `sha256` (hex) is of its file; in the hub's form of the weights with the configuration behind them, as
    `cat adapter_model.safetensors adapter_config.json | sha256sum` gives it.
    """

    path: Path
    sha256: str
    pairs: Mapping[str, LowRank]  # by the name of the tensor: "blk.0.attn_q.weight"

    @property
    def nbytes(self) -> int:
        """Bytes of all pairs, in float32."""
        return sum(pair.a.nbytes + pair.b.nbytes for pair in self.pairs.values())


def assemble(
    path: Path,
    factors: Mapping[tuple[str, str], NDArray[np.float32]],
    scales: Mapping[str, float],
) -> Mapping[str, LowRank]:
    """Pairs of the factors "a" and "b" by target, checked already each by itself; raises LoraError."""
    if not factors:
        raise LoraError(path, None, "has no pair of an adapter in it")
    pairs: dict[str, LowRank] = {}
    for name in dict.fromkeys(target for target, _ in factors):
        if (name, "a") not in factors or (name, "b") not in factors:
            raise LoraError(path, name, "has only one of its two factors")
        a, b = factors[name, "a"], factors[name, "b"]
        if a.shape[0] != b.shape[1]:
            raise LoraError(path, name, f"has factors of rank {a.shape[0]} and {b.shape[1]}")
        pairs[name] = LowRank(a, b * np.float32(scales[name]))
    return MappingProxyType(pairs)


def check_factor(
    path: Path, tensor: str, config: LlamaConfig, target: str, factor: str, shape: tuple[int, ...]
) -> None:
    """Raise LoraError unless `shape` is what "a" or "b" of `target` ("blk.0.attn_q.weight") can have."""
    _, layer, name = target.split(".", 2)
    if int(layer) >= config.layers:
        raise LoraError(path, tensor, f"is of layer {layer}, and the model has {config.layers}")
    out, into = layer_shapes(config)[name]
    if len(shape) != 2:
        raise LoraError(path, tensor, f"is {shape}, not a matrix")
    rank, wide, wanted = (*shape, into) if factor == "a" else (*shape[::-1], out)
    if wide != wanted:
        raise LoraError(path, tensor, f"is {shape}: the model's {name!r} is {(out, into)}")
    if not 1 <= rank <= MAX_RANK:
        raise LoraError(path, tensor, f"is of rank {rank}, not 1 to {MAX_RANK}")


def check_finite(path: Path, tensor: str, values: NDArray[np.float32]) -> None:
    """Raise LoraError unless every number is finite."""
    if not np.isfinite(values).all():
        raise LoraError(path, tensor, "is not finite")
