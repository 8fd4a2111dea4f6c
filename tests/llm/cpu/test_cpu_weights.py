"""Packed matrices against what the gguf package makes of the same bytes."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from quantized_files import Matrix, Stored, dequantized, stored, write_tensors

from llm.cpu.weights import Packed, pack, quantize, unpack
from llm.gguf.quants import BLOCKS, GgmlType

EXACT = {GgmlType.Q4_0: 4, GgmlType.Q5_0: 8, GgmlType.Q8_0: 8}  # bits
ROUNDED = sorted(BLOCKS.keys() - EXACT.keys())
NAN, INF = float("nan"), float("inf")


def matrix(n: int, k: int, seed: int = 0) -> Matrix:
    """Rows of very different sizes."""
    rng = np.random.default_rng(seed)
    return (rng.standard_normal((n, k)) * np.exp(rng.normal(0, 2, (n, 1)))).astype(np.float32)


def packed(path: Path, *tensors: Stored) -> Packed:
    named = {f"m{i}": tensor for i, tensor in enumerate(tensors)}
    return pack(write_tensors(path, named), list(named))


def half_a_step(weights: Matrix) -> Matrix:
    """What rounding to 255 levels up to each block's largest weight may cost: [n, k]."""
    n, k = weights.shape
    blocks = np.pad(weights, ((0, 0), (0, -k % 64))).reshape(n, -1, 64)
    steps = np.repeat(np.abs(blocks).max(axis=2) / 127, 64, axis=1)[:, :k]
    return np.float32(0.50003) * steps  # and float32's own rounding


def check_rounded(got: Packed, weights: Matrix) -> None:
    assert got.bits == 8
    assert (got.n, got.k) == weights.shape
    assert (np.abs(unpack(got) - weights) <= half_a_step(weights)).all()


@pytest.mark.parametrize("type_", EXACT, ids=lambda t: t.name)
@pytest.mark.parametrize("shape", [(1, 32), (3, 64), (7, 96), (5, 576)])
def test_types_of_one_scale_are_kept_to_the_bit(
    tmp_path: Path, type_: GgmlType, shape: tuple[int, int]
) -> None:
    tensor = stored(matrix(*shape), type_)
    got = packed(tmp_path / "m.gguf", tensor)
    assert got.bits == EXACT[type_]
    np.testing.assert_array_equal(unpack(got), dequantized(tensor))


@pytest.mark.parametrize("type_", EXACT, ids=lambda t: t.name)
def test_every_code_and_scale_is_kept(tmp_path: Path, type_: GgmlType) -> None:
    """Random bytes: all codes, -128 of Q8_0 among them, and negative, zero and subnormal scales."""
    block, size = BLOCKS[type_]
    raw = np.random.default_rng(1).integers(0, 256, (64, size), np.uint8)
    raw[:, 1] &= 0xBF  # neither infinite nor NaN
    raw[0, :2] = 0
    tensor = (type_, (16, 4 * block), raw.tobytes())
    np.testing.assert_array_equal(unpack(packed(tmp_path / "m.gguf", tensor)), dequantized(tensor))


def test_q4_0_by_hand(tmp_path: Path) -> None:
    """Element i is the low nibble of byte i of the file, element i + 16 its high one; ours go two by two."""
    raw = np.float16(2).tobytes() + bytes([0xA5, 0x19] + [0x88] * 14)
    got = packed(tmp_path / "m.gguf", (GgmlType.Q4_0, (1, 32), raw))
    assert got.codes.tolist() == [[[0x95] + [0x88] * 7 + [0x1A] + [0x88] * 7]]
    assert got.scales.tolist() == [[2.0]]
    assert unpack(got).tolist() == [[-6.0, 2.0] + [0.0] * 14 + [4.0, -14.0] + [0.0] * 14]


@pytest.mark.parametrize("type_", ROUNDED, ids=lambda t: t.name)
def test_other_types_are_rounded_by_half_a_step_at_most(tmp_path: Path, type_: GgmlType) -> None:
    tensor = stored(matrix(9, 512), type_)
    check_rounded(packed(tmp_path / "m.gguf", tensor), dequantized(tensor))


@given(n=st.integers(1, 4), k=st.integers(1, 200), seed=st.integers(0, 2**32 - 1))
@settings(max_examples=60, deadline=None)
def test_rows_of_any_length_are_rounded(n: int, k: int, seed: int) -> None:
    weights = matrix(n, k, seed)
    got = quantize(weights)
    assert got.codes.shape == (n, -(-k // 64), 64)
    check_rounded(got, weights)


def test_what_fills_the_last_block_is_zero() -> None:
    """The runtime multiplies whole blocks."""
    got = quantize(matrix(3, 70))
    filled = Packed(3, 128, got.bits, got.block, got.codes, got.scales)
    assert not unpack(filled)[:, 70:].any()


@pytest.mark.parametrize(
    "types",
    [
        (GgmlType.Q4_0, GgmlType.Q4_0),
        (GgmlType.Q8_0, GgmlType.Q5_0, GgmlType.Q8_0),
        (GgmlType.Q4_0, GgmlType.Q8_0),
        (GgmlType.Q4_K, GgmlType.Q4_K, GgmlType.Q6_K),
        (GgmlType.F32, GgmlType.Q4_1, GgmlType.BF16),
        (GgmlType.Q4_0, GgmlType.Q4_0, GgmlType.Q5_0),
    ],
    ids=lambda types: "-".join(t.name for t in types),
)
def test_matrices_are_put_one_below_the_other(tmp_path: Path, types: tuple[GgmlType, ...]) -> None:
    tensors = [stored(matrix(2 + i, 256, seed=i), type_) for i, type_ in enumerate(types)]
    expected = np.concatenate([dequantized(tensor) for tensor in tensors])
    got = packed(tmp_path / "m.gguf", *tensors)
    if set(types) in ({GgmlType.Q4_0}, {GgmlType.Q5_0, GgmlType.Q8_0}):
        np.testing.assert_array_equal(unpack(got), expected)
    else:
        check_rounded(got, expected)


@pytest.mark.parametrize("type_", sorted(BLOCKS), ids=lambda t: t.name)
def test_zero_blocks_stay_zero(tmp_path: Path, type_: GgmlType) -> None:
    _, size = BLOCKS[type_]
    n_blocks = 512 // BLOCKS[type_][0]
    got = packed(tmp_path / "m.gguf", (type_, (2, 256), bytes(size * n_blocks)))
    assert not unpack(got).any()


def test_a_zero_block_beside_others_stays_zero() -> None:
    weights = matrix(2, 192)
    weights[0, 64:128] = 0
    check_rounded(quantize(weights), weights)


@pytest.mark.parametrize("size", [1e-45, 1e-40, 1e-37, 1e-36, 1e-30, 1e30, 3e38])
def test_weights_of_any_size_are_rounded(size: float) -> None:
    """To nothing, where no product of theirs could be told from nothing."""
    weights = (np.linspace(-1, 1, 64) * size).astype(np.float32)[None]
    tiny = 2e-36
    assert (np.abs(unpack(quantize(weights)) - weights) <= half_a_step(weights) + tiny).all()


@pytest.mark.parametrize("value", [NAN, INF, -INF])
def test_weights_that_are_not_finite_show_in_the_scales_of_their_blocks(value: float) -> None:
    weights = matrix(2, 130)
    weights[1, 64] = value
    assert np.isfinite(quantize(weights).scales).tolist() == [[True] * 3, [True, False, True]]
