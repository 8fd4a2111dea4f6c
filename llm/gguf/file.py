"""A bounded, memory-mapped reader of GGUF files (versions 2 and 3, little endian).

Every count, length, offset, alignment and shape is checked before it is used, so a malformed file gives a
`GgufError` with the file and the offset, and never takes more memory than a small multiple of its size.
Format: https://github.com/ggml-org/ggml/blob/master/docs/gguf.md
"""

import mmap
import os
import stat
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import MappingProxyType
from typing import TypeGuard

import numpy as np
from numpy.typing import NDArray

from llm.gguf.cursor import Cursor, GgufError, Value
from llm.gguf.header import TensorInfo, read_header
from llm.gguf.quants import GgmlType, dequantize, n_bytes

__all__ = ["GgufError", "GgufFile", "TensorInfo", "Value", "open_gguf"]


@dataclass(frozen=True)
class GgufFile:
    """An open GGUF file: metadata read, tensors mapped and read when asked for."""

    path: Path
    version: int
    metadata: Mapping[str, Value]
    tensors: Mapping[str, TensorInfo]
    _bytes: NDArray[np.uint8] = field(repr=False, compare=False)  # the whole file, read-only
    _replaced: Mapping[str, Callable[[], NDArray[np.float32]]] = field(
        default_factory=dict, repr=False, compare=False
    )
    variant: str = ""
    """What was made of the file since: "" for what lies in it. What is kept of it is kept by this, too."""

    def raw(self, name: str) -> NDArray[np.uint8]:
        """A tensor's bytes as they lie in the file, uint8 [n_bytes], a read-only view of the mapped file."""
        if name not in self.tensors:
            raise GgufError(self.path, None, f"has no tensor {name!r}")
        if name in self._replaced:
            return self._replaced[name]().reshape(-1).view(np.uint8)
        info = self.tensors[name]
        return self._bytes[info.offset : info.offset + info.n_bytes]

    def tensor(self, name: str) -> NDArray[np.float32]:
        """A tensor dequantized into a new float32 array of its shape. An unknown name is a GgufError."""
        raw = self.raw(name)
        return dequantize(raw, self.tensors[name].type, self.tensors[name].shape)

    def replaced(self, tensors: Mapping[str, Callable[[], NDArray[np.float32]]], variant: str) -> "GgufFile":
        """The same file with other tensors of these names and shapes, float32, each made when it is read.

        `variant` names them, as a digest of what they come from does.
        """
        infos = {name: _float32(self.tensors[name]) for name in tensors}
        every = MappingProxyType({**self.tensors, **infos})
        both = MappingProxyType({**self._replaced, **tensors})
        return replace(self, tensors=every, _replaced=both, variant=f"{self.variant} {variant}".strip())

    def get_int(self, key: str, default: int | None = None) -> int:
        """An integer of the metadata. Another type is a GgufError, as is a missing key without default."""
        value = self._value(key, default)
        if isinstance(value, bool) or not isinstance(value, int):
            raise self._wrong_type(key, "an integer", value)
        return value

    def get_float(self, key: str, default: float | None = None) -> float:
        """A number of the metadata as a float, with the errors of `get_int`."""
        value = self._value(key, default)
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise self._wrong_type(key, "a number", value)
        return float(value)

    def get_bool(self, key: str, default: bool | None = None) -> bool:
        """A truth value of the metadata, with the errors of `get_int`."""
        value = self._value(key, default)
        if not isinstance(value, bool):
            raise self._wrong_type(key, "true or false", value)
        return value

    def get_str(self, key: str, default: str | None = None) -> str:
        """A string of the metadata, with the errors of `get_int`."""
        value = self._value(key, default)
        if not isinstance(value, str):
            raise self._wrong_type(key, "a string", value)
        return value

    def get_ints(self, key: str) -> tuple[int, ...]:
        """A list of integers of the metadata, with the errors of `get_int`."""
        value = self._value(key, None)
        if not isinstance(value, np.ndarray) or value.dtype.kind not in "iu":
            raise self._wrong_type(key, "a list of integers", value)
        return tuple(value.tolist())

    def get_strs(self, key: str) -> tuple[str, ...]:
        """A list of strings of the metadata, with the errors of `get_int`."""
        value = self._value(key, None)
        if not _is_strings(value):
            raise self._wrong_type(key, "a list of strings", value)
        return value

    def _value(self, key: str, default: Value | None) -> Value:
        value = self.metadata.get(key, default)
        if value is None:
            raise GgufError(self.path, None, f"has no metadata key {key!r}")
        return value

    def _wrong_type(self, key: str, wanted: str, value: Value) -> GgufError:
        shown = "a list" if isinstance(value, tuple | np.ndarray) else f"{value!r:.60}"
        return GgufError(self.path, None, f"metadata key {key!r} should be {wanted}, not {shown}")


def open_gguf(path: Path) -> GgufFile:
    """Map a GGUF file and read its metadata and tensor list.

    Raises GgufError for a file that is missing, unreadable, malformed, of another version or byte order, or
    with a tensor of a type that `dequantize` does not know.
    """
    header = read_header(Cursor(path, data := _map(path)))
    return GgufFile(path, header.version, header.metadata, header.tensors, np.frombuffer(data, np.uint8))


def _map(path: Path) -> mmap.mmap:
    try:
        if not stat.S_ISREG(path.stat().st_mode):  # opening a named pipe would wait for its writer
            raise GgufError(path, None, "is not a file")
        with path.open("rb") as file:
            if not os.fstat(file.fileno()).st_size:  # which mmap refuses
                raise GgufError(path, None, "is empty")
            return mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
    except OSError as e:
        raise GgufError(path, None, f"cannot be read: {e.strerror}") from None


def _float32(info: TensorInfo) -> TensorInfo:
    return replace(info, type=GgmlType.F32, n_bytes=n_bytes(GgmlType.F32, info.shape))


def _is_strings(value: Value) -> TypeGuard[tuple[str, ...]]:
    return isinstance(value, tuple) and all(isinstance(v, str) for v in value)
