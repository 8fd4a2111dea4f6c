"""Builds GGUF files byte by byte, valid and not, after the format's description and not after our reader."""

import struct
from collections.abc import Mapping, Sequence
from pathlib import Path

U8, I8, U16, I16, U32, I32, F32, BOOL, STRING, ARRAY, U64, I64, F64 = range(13)
_CODES = dict(zip((U8, I8, U16, I16, U32, I32, F32, BOOL, U64, I64, F64), "BbHhIif?Qqd", strict=True))

Entry = tuple[str, tuple[int, ...], int, int]  # name, dimensions in the file's order, type, offset


def text(s: str | bytes) -> bytes:
    raw = s.encode() if isinstance(s, str) else s
    return struct.pack("<Q", len(raw)) + raw


def payload(kind: int, value: object) -> bytes:
    return text(value) if kind == STRING else struct.pack("<" + _CODES[kind], value)


def typed(kind: int, value: object) -> bytes:
    return struct.pack("<I", kind) + payload(kind, value)


def array(kind: int, values: Sequence[object]) -> bytes:
    return struct.pack("<IIQ", ARRAY, kind, len(values)) + b"".join(payload(kind, v) for v in values)


def build(
    metadata: Sequence[tuple[str | bytes, bytes]] = (),
    tensors: Sequence[Entry] = (),
    data: bytes = b"",
    *,
    version: int = 3,
    alignment: int = 32,
    n_keys: int | None = None,
    n_tensors: int | None = None,
) -> bytes:
    """A file with these already encoded values; `n_keys` and `n_tensors` may lie."""
    head = b"GGUF" + struct.pack(
        "<IQQ",
        version,
        len(tensors) if n_tensors is None else n_tensors,
        len(metadata) if n_keys is None else n_keys,
    )
    head += b"".join(text(key) + value for key, value in metadata)
    for name, dims, type_, offset in tensors:
        head += text(name) + struct.pack(f"<I{len(dims)}QIQ", len(dims), *dims, type_, offset)
    return head + b"\0" * (-len(head) % alignment) + data if tensors else head


def write_vocabulary(
    path: Path,
    tokens: Sequence[str],
    kinds: Sequence[int],
    merges: Sequence[str],
    *,
    model: str = "gpt2",
    pre: str = "gpt-2",
    ids: Mapping[str, int] | None = None,
    chat_template: str | None = None,
) -> Path:
    """A file with a tokenizer and no tensors; `ids` are e.g. {"eos": 2}."""
    metadata = [
        ("tokenizer.ggml.model", typed(STRING, model)),
        ("tokenizer.ggml.pre", typed(STRING, pre)),
        ("tokenizer.ggml.tokens", array(STRING, tokens)),
        ("tokenizer.ggml.token_type", array(I32, kinds)),
        ("tokenizer.ggml.merges", array(STRING, merges)),
    ]
    metadata += [(f"tokenizer.ggml.{name}_token_id", typed(U32, id_)) for name, id_ in (ids or {}).items()]
    if chat_template is not None:
        metadata.append(("tokenizer.chat_template", typed(STRING, chat_template)))
    path.write_bytes(build(metadata))
    return path
