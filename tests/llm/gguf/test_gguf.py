import os
import struct
import tracemalloc
from collections.abc import Callable
from pathlib import Path

import gguf
import numpy as np
import pytest
from gguf_writer import ARRAY, BOOL, F32, I8, STRING, U8, U32, U64, Entry, array, build, typed
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from llm.gguf.file import GgufError, GgufFile, open_gguf
from llm.gguf.quants import GgmlType

Opened = Callable[[bytes], GgufFile]
ROW = ("w", (8,), GgmlType.F32, 0)  # 32 bytes


def small_file() -> bytes:
    """Every kind of value, nested arrays and two tensors, in some 600 bytes."""
    kinds = {
        0: 200,
        1: -5,
        2: 60000,
        3: -300,
        4: 2**31,
        5: -(2**20),
        6: 0.5,
        7: True,
        10: 2**63,
        11: -(2**40),
        12: 0.1,
    }
    metadata = [(f"v.{kind}", typed(kind, value)) for kind, value in kinds.items()]
    metadata += [
        ("name", typed(STRING, "tiny \N{GRINNING FACE}")),
        ("general.alignment", typed(U32, 64)),
        ("tokens", array(STRING, ["a", "", "Ġthe"])),
        ("types", array(5, [1, 3, 1])),
        ("nested", struct.pack("<IIQ", ARRAY, ARRAY, 2) + array(U8, [1, 2])[4:] + array(STRING, ["x"])[4:]),
    ]
    tensors = [("a", (4, 2), GgmlType.F32, 0), ("b", (32, 3), GgmlType.Q4_1, 64)]
    data = np.arange(8, dtype=np.float32).tobytes().ljust(64, b"\0") + bytes(range(60))
    return build(metadata, tensors, data, alignment=64)


@pytest.fixture
def opened(tmp_path: Path) -> Opened:
    def opened(content: bytes) -> GgufFile:
        path = tmp_path / "model.gguf"
        path.write_bytes(content)
        return open_gguf(path)

    return opened


def check_all(file: GgufFile) -> None:
    """Whatever was accepted can be read to the end."""
    for name, info in file.tensors.items():
        assert file.tensor(name).shape == info.shape


def test_every_kind_of_value_is_read(opened: Opened) -> None:
    file = opened(small_file())
    meta = file.metadata
    assert [meta[f"v.{kind}"] for kind in (0, 1, 2, 3, 4, 5)] == [200, -5, 60000, -300, 2**31, -(2**20)]
    assert [meta[f"v.{kind}"] for kind in (6, 10, 11, 12)] == [0.5, 2**63, -(2**40), 0.1]
    assert meta["v.7"] is True
    assert meta["tokens"] == ("a", "", "Ġthe")
    assert meta["name"] == "tiny 😀"
    inner = meta["nested"]
    assert inner[0].tolist() == [1, 2]
    assert inner[1] == ("x",)
    assert file.version == 3


def test_getters_check_types_and_name_the_key(opened: Opened) -> None:
    file = opened(small_file())
    assert file.get_int("v.4") == 2**31
    assert file.get_float("v.6") == 0.5
    assert file.get_float("v.0") == 200.0
    assert file.get_str("name").startswith("tiny")
    assert file.get_bool("v.7")
    assert file.get_ints("types") == (1, 3, 1)
    assert file.get_strs("tokens") == ("a", "", "Ġthe")
    assert file.get_int("absent", 7) == 7
    assert file.get_bool("absent", default=False) is False
    for get, key in (
        (file.get_int, "v.7"),
        (file.get_int, "v.6"),
        (file.get_int, "types"),
        (file.get_float, "v.7"),
        (file.get_float, "name"),
        (file.get_bool, "v.0"),
        (file.get_str, "tokens"),
        (file.get_ints, "tokens"),
        (file.get_ints, "v.0"),
        (file.get_strs, "types"),
        (file.get_strs, "name"),
        (file.get_strs, "nested"),
    ):
        with pytest.raises(GgufError, match=f"'{key}' should be"):
            get(key)
    with pytest.raises(GgufError, match="no metadata key 'absent'"):
        file.get_int("absent")
    with pytest.raises(GgufError, match="no tensor 'absent'"):
        file.tensor("absent")


def test_tensors_lie_where_the_file_says(opened: Opened) -> None:
    file = opened(small_file())
    np.testing.assert_array_equal(file.tensor("a"), np.arange(8, dtype=np.float32).reshape(2, 4))
    assert file.tensors["b"].shape == (3, 32)
    assert file.raw("b").tobytes() == bytes(range(60))
    assert file.tensors["b"].offset % 64 == 0
    with pytest.raises(ValueError, match="read-only"):
        file.raw("a")[0] = 1


@pytest.mark.parametrize("version", [2, 3])
def test_a_file_of_the_gguf_package_is_read(tmp_path: Path, version: int) -> None:
    path, rng = tmp_path / "model.gguf", np.random.default_rng(0)
    weights = {f"blk.{i}.w": rng.normal(size=(3, 64)).astype(np.float32) for i in range(4)}
    writer = gguf.GGUFWriter(path, "llama")
    writer.add_block_count(4)
    writer.add_token_list(["a", "b"])
    writer.add_array("llama.lengths", [1.5, 2.5])
    for i, (name, weight) in enumerate(weights.items()):
        type_ = [gguf.GGMLQuantizationType.F32, gguf.GGMLQuantizationType.Q8_0][i % 2]
        packed = gguf.quants.quantize(weight, type_)
        writer.add_tensor(name, packed, raw_dtype=type_)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    content = path.read_bytes()
    path.write_bytes(content[:4] + struct.pack("<I", version) + content[8:])

    file = open_gguf(path)
    assert file.version == version
    assert file.get_int("llama.block_count") == 4
    assert file.get_strs("tokenizer.ggml.tokens") == ("a", "b")
    assert file.metadata["llama.lengths"].tolist() == [1.5, 2.5]
    assert list(file.tensors) == list(weights)
    for name, weight in weights.items():
        np.testing.assert_allclose(file.tensor(name), weight, atol=0.03)


def with_key(key: str | bytes, value: bytes) -> bytes:
    return build([(key, value)])


def with_tensors(*entries: Entry, data: bytes = bytes(64)) -> bytes:
    return build([], entries, data)


@pytest.mark.parametrize(
    ("content", "offset", "reason"),
    [
        (b"", None, "is empty"),
        (b"GG", 0, "2 left"),
        (b"PK\3\4" + bytes(40), 0, "not a GGUF file"),
        (build(version=1), 4, "version 0x1 "),
        (build(version=4), 4, "version 0x4 "),
        (build(version=3 << 24), 4, "big endian"),
        (build(n_tensors=2**63), 8, "cannot fit"),
        (build(n_keys=2**63), 16, "cannot fit"),
        (build(n_keys=1), 16, "cannot fit"),
        (build(n_keys=70_000) + bytes(2**20), 16, "65536"),
        (with_key("", typed(U32, 1)), 24, "0 bytes"),
        (with_key(b"\xff\xfe", typed(U32, 1)), 32, "UTF-8"),
        (with_key("k" * 65536, typed(U32, 1)), 24, "65536 bytes"),
        (with_key("k", struct.pack("<I", 13) + bytes(8)), 33, "unknown type 13"),
        (with_key("k", struct.pack("<IIQ", ARRAY, 99, 0)), 37, "unknown element type 99"),
        (with_key("k", struct.pack("<IQ", STRING, 2**62)), 45, "0 left"),
        (with_key("k", typed(STRING, b"ab\xff")), 47, "UTF-8"),
        (with_key("k", array(STRING, [b"ab", b"\xff"])), 67, "UTF-8"),
        (with_key("k", struct.pack("<IIQQ", ARRAY, STRING, 1, 2**63)), 49, "after the end"),
        (with_key("k", struct.pack("<IIQ", ARRAY, U64, 2**60)), 49, "0 left"),
        (with_key("k", struct.pack("<IIQ", ARRAY, STRING, 2**60)), 41, "cannot fit"),
        (with_key("k", struct.pack("<IIQ", ARRAY, ARRAY, 2**60)), 41, "cannot fit"),
        (with_key("k", struct.pack("<I", ARRAY) + struct.pack("<IQ", ARRAY, 1) * 60), 85, "more than 4 deep"),
        (with_key("k", struct.pack("<IB", BOOL, 2) + bytes(8)), 37, "neither 0 nor 1"),
        (build([("k", typed(U32, 1)), ("k", typed(U32, 1))]), 41, "'k' occurs twice"),
        (with_key("general.alignment", typed(U32, 0)), None, "power of two"),
        (with_key("general.alignment", typed(U32, 48)), None, "power of two"),
        (with_key("general.alignment", typed(F32, 32.0)), None, "power of two"),
        (with_key("general.alignment", array(I8, [32] * 99)), None, "power of two"),
        (with_tensors(ROW, ROW), 57, "'w' occurs twice"),
        (with_tensors(ROW, ("v", (8,), 0, 0)), 57, "'v' overlaps tensor 'w'"),
        (with_tensors(("w", (), 0, 0)), 24, "0 dimensions"),
        (with_tensors(("w", (1, 1, 1, 1, 1), 0, 0)), 24, "5 dimensions"),
        (with_tensors(("w", (8, 0), 0, 0)), 24, "does not fit F32"),
        (with_tensors(("w", (33,), GgmlType.Q4_1, 0)), 24, "whole 32s"),
        (with_tensors(("w", (8,), 4, 0)), 24, "4 is not a valid GgmlType"),
        (with_tensors(("w", (256,), GgmlType.IQ2_XXS, 0)), 24, "IQ2_XXS is not supported"),
        (with_tensors(("w", (2**32, 2**32), 0, 0)), 24, "ends after the end"),
        (with_tensors(("w", (2**63, 2**63, 2**63, 2**63), 0, 0)), 24, "ends after the end"),
        (with_tensors(("w", (8,), 0, 64)), 24, "ends after the end"),
        (with_tensors(("w", (8,), 0, 4)), 24, "not aligned to 32"),
        (with_tensors(("w", (8,), 0, 2**64 - 32)), 24, "ends after the end"),
        (with_tensors(("n" * 65, (8,), 0, 0)), 24, "65 bytes"),
    ],
)
def test_a_malformed_file_is_refused_with_the_place(
    opened: Opened, tmp_path: Path, content: bytes, offset: int | None, reason: str
) -> None:
    with pytest.raises(GgufError, match=reason) as caught:
        opened(content)
    error = caught.value
    assert error.offset == offset
    assert error.path == tmp_path / "model.gguf"
    place = "" if offset is None else f"at byte {offset}: "
    assert str(error) == f"{error.path}: {place}{error.reason}"
    assert "\n" not in str(error)


def test_what_is_not_a_file_is_refused(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    for name, reason in (("", "not a file"), ("pipe", "not a file"), ("absent", "No such file")):
        with pytest.raises(GgufError, match=reason):
            open_gguf(tmp_path / name)


def test_every_truncation_is_refused_or_harmless(opened: Opened) -> None:
    content = small_file()
    for n in range(len(content)):
        with pytest.raises(GgufError):
            opened(content[:n])


def test_tensors_without_padding_after_the_last_are_read(opened: Opened) -> None:
    assert opened(with_tensors(ROW, data=np.ones(8, np.float32).tobytes())).tensor("w").tolist() == [1.0] * 8


mutation = st.tuples(st.integers(0, len(small_file()) - 1), st.integers(0, 255))
number = st.sampled_from([0, 1, 2**16, 2**31, 2**32 - 1, 2**32, 2**40, 2**63 - 1, 2**63, 2**64 - 1])


@given(
    changes=st.lists(mutation, min_size=1, max_size=4),
    place=st.integers(0, len(small_file()) - 8),
    big=number,
)
@settings(max_examples=600, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_mutations_give_a_file_or_the_typed_error_and_little_memory(
    opened: Opened, changes: list[tuple[int, int]], place: int, big: int
) -> None:
    content = bytearray(small_file())
    for at, byte in changes:
        content[at] = byte
    spoiled = bytes(content[:place]) + struct.pack("<Q", big) + bytes(content[place + 8 :])
    for candidate in (bytes(content), spoiled):
        tracemalloc.start()
        try:
            check_all(opened(candidate))
        except GgufError:
            pass
        finally:
            peak = tracemalloc.get_traced_memory()[1]
            tracemalloc.stop()
        assert peak < 200_000


@given(st.binary(max_size=200))
@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_bytes_after_the_magic_give_a_file_or_the_typed_error(opened: Opened, tail: bytes) -> None:
    try:
        check_all(opened(b"GGUF\3\0\0\0" + tail))
    except GgufError as e:
        assert e.reason


@pytest.mark.models
def test_the_default_model_is_read_as_the_gguf_package_reads_it(model_path: Callable[[str], Path]) -> None:
    path = model_path("smollm2-135m-instruct-q4_1")
    ours, theirs = open_gguf(path), gguf.GGUFReader(path)
    assert set(ours.metadata) == {k for k in theirs.fields if not k.startswith("GGUF.")}
    for key, value in ours.metadata.items():
        expected = theirs.fields[key].contents()
        assert (value.tolist() if isinstance(value, np.ndarray) else value) == (
            tuple(expected) if isinstance(value, tuple) else expected
        )
    assert len(ours.tensors) == len(theirs.tensors) == 272
    for tensor in theirs.tensors:
        info = ours.tensors[tensor.name]
        assert (info.offset, info.n_bytes, info.type) == (
            tensor.data_offset,
            tensor.n_bytes,
            tensor.tensor_type,
        )
        assert info.shape == tuple(reversed(tensor.shape.tolist()))
    for name in ("token_embd.weight", "blk.7.attn_q.weight", "output_norm.weight"):
        tensor = next(t for t in theirs.tensors if t.name == name)
        expected = gguf.quants.dequantize(tensor.data, tensor.tensor_type)
        np.testing.assert_array_equal(ours.tensor(name), expected)
