"""What comes before the tensor data in a GGUF file: version, metadata and the tensor list."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType

from llm.gguf.cursor import Cursor, GgufError, Value
from llm.gguf.quants import GgmlType, n_bytes

_MAX_DIMS = 4  # GGML_MAX_DIMS
_MAX_NAME_BYTES = 64  # gguf.md: "it must be at most 64 bytes long"
_MAX_KEY_BYTES = 65535  # gguf.md: "up to 2^16-1 bytes long"
_MAX_ENTRIES = 65536  # keys, and tensors; the largest published models have some thousand tensors
_MIN_KEY_VALUE_BYTES = 8 + 1 + 4 + 1  # key length, key, value type, smallest value
_MIN_TENSOR_BYTES = 8 + 1 + 4 + 8 + 4 + 8  # name length, name, count of dimensions, dimension, type, offset
_DEFAULT_ALIGNMENT = 32


@dataclass(frozen=True)
class TensorInfo:
    """Where a tensor lies in the file."""

    name: str
    shape: tuple[int, ...]  # row-major, the reverse of the file's order
    type: GgmlType
    offset: int  # bytes from the start of the file
    n_bytes: int


@dataclass(frozen=True)
class Header:
    """Everything in the file but the tensors' data."""

    version: int
    metadata: Mapping[str, Value]
    tensors: Mapping[str, TensorInfo]  # in the order of their data


def read_header(cursor: Cursor) -> Header:
    """Read and check the header of a file from its first byte. Raises GgufError."""
    version = _version(cursor)
    n_tensors = _entry_count(cursor, "tensors", _MIN_TENSOR_BYTES)
    n_keys = _entry_count(cursor, "metadata keys", _MIN_KEY_VALUE_BYTES)
    metadata = _metadata(cursor, n_keys)
    tensors = _tensors(cursor, n_tensors, _alignment(cursor, metadata))
    return Header(version, MappingProxyType(metadata), MappingProxyType(tensors))


def _version(cursor: Cursor) -> int:
    magic = cursor.take(4, "the magic number")
    if cursor.data[magic : cursor.at] != b"GGUF":
        raise cursor.error("does not start with 'GGUF', so it is not a GGUF file", magic)
    start = cursor.at
    version = cursor.u32("the version")
    if version not in (2, 3):
        order = ", big endian" if version & 0xFFFF == 0 else ""
        raise cursor.error(
            f"GGUF version {version:#x}{order} is not supported (2 and 3, little endian, are)", start
        )
    return version


def _entry_count(cursor: Cursor, what: str, min_bytes: int) -> int:
    start = cursor.at
    n = cursor.count(what, min_bytes)
    if n > _MAX_ENTRIES:
        raise cursor.error(f"{n} {what} are more than the {_MAX_ENTRIES} allowed", start)
    return n


def _metadata(cursor: Cursor, n: int) -> dict[str, Value]:
    metadata: dict[str, Value] = {}
    for _ in range(n):
        start = cursor.at
        key = cursor.string("a metadata key", _MAX_KEY_BYTES)
        if key in metadata:
            raise cursor.error(f"metadata key {key!r:.80} occurs twice", start)
        metadata[key] = cursor.value(f"metadata key {key!r:.80}")
    return metadata


def _alignment(cursor: Cursor, metadata: Mapping[str, Value]) -> int:
    alignment = metadata.get("general.alignment", _DEFAULT_ALIGNMENT)
    if type(alignment) is not int or alignment <= 0 or alignment & (alignment - 1):
        raise GgufError(cursor.path, None, "general.alignment is not a power of two")
    return alignment


def _tensors(cursor: Cursor, n: int, alignment: int) -> dict[str, TensorInfo]:
    """The tensor list, with `offset` counted from the start of the file. Entries may lie in any order."""
    entries: dict[str, tuple[TensorInfo, int]] = {}  # with the offset of the entry itself, for messages
    for _ in range(n):
        start = cursor.at
        info = _tensor_entry(cursor)
        if info.name in entries:
            raise cursor.error(f"tensor {info.name!r} occurs twice", start)
        entries[info.name] = info, start
    data_start = -(-cursor.at // alignment) * alignment
    tensors: dict[str, TensorInfo] = {}
    end, before = 0, ""
    for info, start in sorted(entries.values(), key=lambda entry: entry[0].offset):
        if info.offset % alignment:
            raise cursor.error(
                f"tensor {info.name!r} has offset {info.offset}, not aligned to {alignment}", start
            )
        if info.offset < end:
            raise cursor.error(f"tensor {info.name!r} overlaps tensor {before!r}", start)
        end, before = info.offset + info.n_bytes, info.name
        if data_start + end > len(cursor.data):
            raise cursor.error(f"the data of tensor {info.name!r} ends after the end of the file", start)
        tensors[info.name] = replace(info, offset=data_start + info.offset)
    return tensors


def _tensor_entry(cursor: Cursor) -> TensorInfo:
    """One entry of the tensor list as it is in the file: `offset` is counted from the start of the data."""
    start = cursor.at
    name = cursor.string("a tensor name", _MAX_NAME_BYTES)
    n_dims = cursor.u32(f"the count of dimensions of {name!r}")
    if not 1 <= n_dims <= _MAX_DIMS:
        raise cursor.error(f"tensor {name!r} has {n_dims} dimensions, not 1 to {_MAX_DIMS}", start)
    dims = [cursor.u64(f"the dimensions of {name!r}") for _ in range(n_dims)]
    number = cursor.u32(f"the type of {name!r}")
    offset = cursor.u64(f"the offset of {name!r}")
    shape = tuple(reversed(dims))
    try:
        type_ = GgmlType(number)
        return TensorInfo(name, shape, type_, offset, n_bytes(type_, shape))
    except ValueError as e:  # an unknown number, or QuantError
        raise cursor.error(f"tensor {name!r}: {e}", start) from None
