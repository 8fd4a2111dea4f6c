"""GGUF files with tensors of any type, made and read back by the gguf package."""

from collections.abc import Mapping
from pathlib import Path

import gguf
import numpy as np
from gguf_writer import Entry, build
from llama_files import random_weights, write_llama
from numpy.typing import NDArray

from llm.gguf.config import LlamaConfig
from llm.gguf.file import GgufFile, open_gguf
from llm.gguf.quants import BLOCKS, GgmlType

Matrix = NDArray[np.float32]
Stored = tuple[GgmlType, tuple[int, ...], bytes]  # type, row-major shape, the bytes of a file

_D = [("d", "<f2")]
_K = [*_D, ("dmin", "<f2"), ("scales", "u1", 12)]
# What the gguf package cannot quantize to, and the mean code: so many dmin of a d give weights around zero.
_K_BLOCKS = {
    GgmlType.Q4_K: (np.dtype([*_K, ("qs", "u1", 128)]), 7.5),
    GgmlType.Q5_K: (np.dtype([*_K, ("qh", "u1", 32), ("qs", "u1", 128)]), 15.5),
    GgmlType.Q6_K: (np.dtype([("ql", "u1", 128), ("qh", "u1", 64), ("scales", "i1", 16), *_D]), 0.0),
}


def stored(weights: NDArray[np.floating], type_: GgmlType) -> Stored:
    """`weights` quantized; for a K type random codes, with scales that give about the same size."""
    if type_ in _K_BLOCKS:
        return type_, weights.shape, _random_k_blocks(weights, type_)
    raw = gguf.quants.quantize(np.asarray(weights, np.float32), gguf.GGMLQuantizationType(type_))
    return type_, weights.shape, raw.tobytes()


def dequantized(tensor: Stored) -> Matrix:
    """What the gguf package makes of it."""
    type_, shape, data = tensor
    rows = np.frombuffer(data, np.uint8).reshape(*shape[:-1], -1)
    weights: Matrix = gguf.quants.dequantize(rows, gguf.GGMLQuantizationType(type_)).reshape(shape)
    return weights


def write_tensors(path: Path, tensors: Mapping[str, Stored]) -> GgufFile:
    """A file with these tensors and nothing else."""
    path.write_bytes(build([], *_laid_out(tensors)))
    return open_gguf(path)


def write_quantized(path: Path, config: LlamaConfig, tensors: Mapping[str, Stored]) -> Path:
    """A whole model, as `write_llama` makes it."""
    header = write_llama(path, config, weights={}).read_bytes()
    n_keys = int.from_bytes(header[16:24], "little")
    begin = 32 + int.from_bytes(header[24:32], "little")
    metadata = [(header[32:begin], header[begin:])]  # all the keys, as if they were one
    entries, data = _laid_out(tensors)
    path.write_bytes(build(metadata, entries, data, n_keys=n_keys))
    return path


def quantized_weights(
    config: LlamaConfig, types: Mapping[str, GgmlType], *, tied: bool = True, seed: int = 0
) -> dict[str, Stored]:
    """Random weights; a tensor's type is that of the first key of `types` in its name, or else F32."""
    return {
        name: stored(
            weight,
            GgmlType.F32
            if weight.ndim == 1
            else next((type_ for part, type_ in types.items() if part in name), GgmlType.F32),
        )
        for name, weight in random_weights(config, tied=tied, seed=seed).items()
    }


def _random_k_blocks(weights: NDArray[np.floating], type_: GgmlType) -> bytes:
    layout, middle = _K_BLOCKS[type_]
    rng = np.random.default_rng(weights.size)
    n = weights.size // BLOCKS[type_][0]
    blocks = np.frombuffer(rng.bytes(n * layout.itemsize), layout).copy()
    blocks["d"] = 1
    if middle:
        blocks["dmin"] = middle
    unit = dequantized((type_, weights.shape, blocks.tobytes())).std()
    d = weights.std() / unit * rng.uniform(0.5, 1.5, n)
    blocks["d"] = d
    if middle:
        blocks["dmin"] = d * middle
    return blocks.tobytes()


def _laid_out(tensors: Mapping[str, Stored]) -> tuple[list[Entry], bytes]:
    entries: list[Entry] = []
    data = b""
    for name, (type_, shape, raw) in tensors.items():
        entries.append((name, shape[::-1], int(type_), len(data)))
        data += raw + bytes(-len(raw) % 32)
    return entries, data
