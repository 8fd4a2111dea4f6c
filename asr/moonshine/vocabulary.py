"""Moonshine's vocabulary files, and token ids back to text."""

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from asr.onnx import ModelFileError

_BYTE = re.compile(r"<0x([0-9A-Fa-f]{2})>")
# What a Llama tokenizer does to make text of pieces, which `text_of` does too.
_DECODERS = {"Sequence", "Replace", "ByteFallback", "Fuse", "Strip", "Metaspace"}


def read_vocabulary(path: Path) -> list[bytes]:
    """The bytes of every token in `tokenizer.bin`: a length (one byte, or two above 127), then bytes."""
    data, at = path.read_bytes(), 0
    tokens: list[bytes] = []
    while at < len(data):
        length, at = data[at], at + 1
        if length > 127 and at < len(data):
            length, at = data[at] * 128 + length - 128, at + 1
        if at + length > len(data):
            raise ModelFileError(
                f"{path}: token {len(tokens)} ends {at + length - len(data)} bytes after the file"
            )
        tokens.append(data[at : at + length])
        at += length
    return tokens


def read_tokenizer(path: Path) -> list[bytes]:
    """The bytes of every token in `tokenizer.json`, as `tokenizers` has it; special tokens spell nothing."""
    try:
        content = json.loads(path.read_text(encoding="utf-8-sig"))
        pieces = {index: _spelling(piece) for piece, index in content["model"]["vocab"].items()}
        for token in content.get("added_tokens", ()):
            pieces[token["id"]] = b"" if token["special"] else token["content"].encode()
        unknown = set(_decoders(content["decoder"])) - _DECODERS
        tokens = [pieces.get(index, b"") for index in range(max(pieces) + 1)]
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise ModelFileError(f"{path}: not a tokenizer with pieces as in Llama's: {error!r}") from error
    if unknown:
        raise ModelFileError(f"{path}: decoder {min(unknown)}: only pieces as in Llama's can be read")
    return tokens


def _spelling(piece: str) -> bytes:
    byte = _BYTE.fullmatch(piece)
    return bytes.fromhex(byte[1]) if byte else piece.encode()


def _decoders(decoder: Mapping[str, Any]) -> Iterator[str]:
    yield decoder["type"]
    for inner in decoder.get("decoders", ()):
        yield from _decoders(inner)


def text_of(tokens: Sequence[int], vocabulary: Sequence[bytes]) -> str:
    """What `tokens` spell. U+2581 stands for a space."""
    joined = b"".join(vocabulary[token] for token in tokens)
    return joined.decode("utf-8", errors="replace").replace("\u2581", " ").strip()
