"""The vocabulary files, and the text of tokens against `tokenizers`' own."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import hub_folders
import pytest
from hypothesis import given
from hypothesis import strategies as st

from asr.moonshine.vocabulary import read_tokenizer, read_vocabulary, text_of
from asr.onnx import ModelFileError


def write_vocabulary(path: Path, tokens: list[bytes]) -> Path:
    def length(n: int) -> bytes:
        return bytes([n]) if n < 128 else bytes([128 + n % 128, n // 128])

    path.write_bytes(b"".join(length(len(token)) + token for token in tokens))
    return path


tokens_of_any_length = st.lists(st.binary(max_size=20) | st.binary(min_size=126, max_size=300), max_size=8)


@given(tokens_of_any_length)
def test_a_vocabulary_is_read_as_it_was_written(
    tmp_path_factory: pytest.TempPathFactory, tokens: list[bytes]
) -> None:
    path = write_vocabulary(tmp_path_factory.mktemp("vocabulary") / "tokenizer.bin", tokens)
    assert read_vocabulary(path) == tokens


@pytest.mark.parametrize(
    ("content", "token"), [(b"\x05abc", 0), (b"\x01a\x03bc", 1), (b"\x80", 0), (b"\x02hi\xff\x01", 1)]
)
def test_a_vocabulary_that_ends_in_a_token_is_refused(content: bytes, token: int, tmp_path: Path) -> None:
    path = tmp_path / "tokenizer.bin"
    path.write_bytes(content)
    with pytest.raises(ModelFileError, match=f"token {token} ends") as caught:
        read_vocabulary(path)
    assert str(caught.value).startswith(f"{path}: ")


def test_the_text_of_tokens() -> None:
    vocabulary = [b"\xe2\x96\x81so", b"\xe2\x96\x81", b"me", b"\xc3", b"\xa9", b""]
    assert text_of([0, 2], vocabulary) == "some"
    assert text_of([1, 0, 5, 1, 0, 2, 1], vocabulary) == "so  some"  # outer spaces belong to no word
    assert text_of([2, 3, 4], vocabulary) == "me\u00e9"  # a letter of two tokens
    assert text_of([2, 3], vocabulary) == "me\ufffd"
    assert text_of([], vocabulary) == ""


# tokenizer.json


@pytest.fixture(scope="module")
def tokenizer_json(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("tokenizer") / "tokenizer.json"
    hub_folders.tokenizer().save(str(path))
    return path


letters = st.sampled_from("ab\u00e9\u20ac\u5b57 ,\U0001f600")


@given(st.lists(st.text(letters) | st.sampled_from([*hub_folders.SPECIAL, "(noise)"])))
def test_a_tokenizer_spells_as_tokenizers_does(tokenizer_json: Path, parts: list[str]) -> None:
    """Letters that are no pieces come as bytes; special tokens are left out."""
    tokenizer = hub_folders.tokenizer()
    tokens = tokenizer.encode("".join(parts).replace(" ", "\u2581")).ids
    assert text_of(tokens, read_tokenizer(tokenizer_json)) == tokenizer.decode(tokens).strip()


def test_every_token_has_its_bytes(tokenizer_json: Path) -> None:
    read = read_tokenizer(tokenizer_json)
    assert len(read) == hub_folders.tokenizer().get_vocab_size()
    assert read[:3] == [b"", b"", b""]
    assert read[3:259] == [bytes([byte]) for byte in range(256)]
    assert read[259:263] == [b"\xe2\x96\x81", b"a", b"b", b"\xe2\x96\x81a"]
    assert read[-2:] == [b"<0x1>", b"(noise)"]


@pytest.mark.parametrize(
    ("spoil", "part"),
    [
        (lambda content: content.pop("model"), "KeyError"),
        (lambda content: content["model"].pop("vocab"), "KeyError"),
        (lambda content: (content["model"].update(vocab={}), content.update(added_tokens=[])), "ValueError"),
        (lambda content: content["model"].update(vocab={"a": "b"}), "TypeError"),
        (lambda content: content["model"].update(vocab=[["a", -1.5]]), "AttributeError"),
        (lambda content: content.update(decoder=None), "TypeError"),
        (lambda content: content.update(decoder={"type": "ByteLevel"}), "decoder ByteLevel: only"),
        (lambda content: content["decoder"]["decoders"].append({"type": "WordPiece"}), "decoder WordPiece"),
    ],
)
def test_another_kind_of_tokenizer_is_refused(
    spoil: Callable[[dict[str, Any]], object], part: str, tokenizer_json: Path, tmp_path: Path
) -> None:
    content = json.loads(tokenizer_json.read_text())
    spoil(content)
    refused(tmp_path / "tokenizer.json", json.dumps(content).encode(), part)


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b"\xff"])
def test_what_is_no_tokenizer_is_refused(content: bytes, tmp_path: Path) -> None:
    refused(tmp_path / "tokenizer.json", content, "not a tokenizer")


def refused(path: Path, content: bytes, part: str) -> None:
    path.write_bytes(content)
    with pytest.raises(ModelFileError, match=part) as caught:
        read_tokenizer(path)
    assert str(caught.value).startswith(f"{path}: ")
