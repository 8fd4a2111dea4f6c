import gguf
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from llm.gguf.quants import BLOCKS, GgmlType, QuantError, dequantize, n_bytes

TYPES = sorted(BLOCKS)


def reference(raw: NDArray[np.uint8], type_: GgmlType, shape: tuple[int, ...]) -> NDArray[np.float32]:
    with np.errstate(all="ignore"):
        rows = raw.reshape(*shape[:-1], -1)
        return gguf.quants.dequantize(rows, gguf.GGMLQuantizationType(type_)).reshape(shape)


@pytest.mark.parametrize("type_", TYPES, ids=lambda t: t.name)
@given(seed=st.integers(0, 2**32 - 1), rows=st.integers(1, 7), blocks=st.integers(1, 3))
@settings(max_examples=25, deadline=None)
def test_random_bytes_are_decoded_as_the_gguf_package_does(
    type_: GgmlType, seed: int, rows: int, blocks: int
) -> None:
    shape = (rows, blocks * BLOCKS[type_][0])
    raw = np.random.default_rng(seed).integers(0, 256, n_bytes(type_, shape), np.uint8)
    np.testing.assert_array_equal(dequantize(raw, type_, shape), reference(raw, type_, shape))


@pytest.mark.parametrize("type_", TYPES, ids=lambda t: t.name)
def test_a_tensor_of_several_pieces_is_decoded_to_its_end(type_: GgmlType) -> None:
    shape = (3, 131, 512)  # more than one piece, and the last one not full
    raw = np.random.default_rng(0).integers(0, 256, n_bytes(type_, shape), np.uint8)
    got = dequantize(raw, type_, shape)
    assert got.shape == shape
    assert got.dtype == np.float32
    np.testing.assert_array_equal(got, reference(raw, type_, shape))


def test_q4_1_by_hand() -> None:
    # scale 2, minimum -3; byte i holds element i in its low nibble and element i + 16 in its high one
    packed = np.array([2.0, -3.0], np.float16).tobytes() + bytes([0xA5] + [0x10] * 15)
    weights = dequantize(np.frombuffer(packed, np.uint8), GgmlType.Q4_1, (32,))
    assert weights.tolist() == [7.0] + [-3.0] * 15 + [17.0] + [-1.0] * 15


def test_bytes_that_are_not_aligned_and_read_only_are_decoded() -> None:
    weights = np.arange(64, dtype=np.float32)
    raw = np.frombuffer(b"x" + weights.tobytes(), np.uint8)[1:]
    np.testing.assert_array_equal(dequantize(raw, GgmlType.F32, (4, 16)), weights.reshape(4, 16))


def test_the_result_is_owned_and_writable() -> None:
    raw = np.zeros(64, np.uint8)
    weights = dequantize(raw, GgmlType.F32, (16,))
    weights[0] = 1
    assert not raw.any()


def test_an_unsupported_type_is_named() -> None:
    with pytest.raises(QuantError, match="IQ2_XXS"):
        dequantize(np.zeros(66, np.uint8), GgmlType.IQ2_XXS, (256,))


@pytest.mark.parametrize(
    ("size", "shape"),
    [(20, (33,)), (20, (16, 2)), (19, (32,)), (40, (32,)), (0, (0,)), (20, ()), (20, (-1, -32))],
)
def test_bytes_and_shape_that_do_not_fit_are_refused(size: int, shape: tuple[int, ...]) -> None:
    with pytest.raises(QuantError, match="Q4_1"):
        dequantize(np.zeros(size, np.uint8), GgmlType.Q4_1, shape)


def test_numbers_and_block_sizes_are_those_of_ggml() -> None:
    for type_ in GgmlType:
        assert gguf.GGMLQuantizationType(type_).name == type_.name
    for type_, sizes in BLOCKS.items():
        assert gguf.GGML_QUANT_SIZES[gguf.GGMLQuantizationType(type_)] == sizes
