from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from quantized_files import dequantized, stored, write_tensors

from kernels.cpu.llama import BLOCK, LANES, Matrix
from llm.cpu.interleave import interleave
from llm.gguf.file import GgufError
from llm.gguf.quants import BLOCKS, GgmlType

EXACT = (GgmlType.Q4_0, GgmlType.Q4_1, GgmlType.Q5_0, GgmlType.Q8_0)
ROUNDED = sorted(set(BLOCKS) - {*EXACT, GgmlType.Q4_K})


def weights_of(matrix: Matrix) -> NDArray[np.float32]:
    """[n, k], one weight at a time, by what the docstring of Matrix says."""
    out = np.empty((matrix.n, matrix.k), np.float32)
    for row in range(matrix.n):
        group, lane = divmod(row, LANES)
        for column in range(matrix.k):
            block, i = divmod(column, BLOCK)
            if matrix.bits == 4:
                byte = matrix.codes[group, block, i % 16 // 4 * 64 + lane * 4 + i % 4]
                code = byte & 15 if i < 16 else byte >> 4
                scale, minimum = matrix.scales[group, block, :, lane].astype(np.float32)
                out[row, column] = code * scale + minimum
            else:
                code = int(matrix.codes[group, block, i // 4 * 64 + lane * 4 + i % 4]) - 128
                out[row, column] = code * np.float32(matrix.scales[group, block, lane])
    return out


def random(n: int, k: int) -> NDArray[np.float32]:
    return np.random.default_rng(n * k).normal(0, 0.5, (n, k)).astype(np.float32)


@pytest.mark.parametrize("type_", EXACT, ids=lambda t: t.name)
@pytest.mark.parametrize("n", [16, 21])  # the last group is not full
def test_types_that_the_kernel_has_are_kept_exactly(tmp_path: Path, type_: GgmlType, n: int) -> None:
    tensor = stored(random(n, 96), type_)
    matrix = interleave(write_tensors(tmp_path / "m.gguf", {"w": tensor}), "w")
    np.testing.assert_allclose(weights_of(matrix), dequantized(tensor), rtol=0, atol=1e-6)


def test_scales_of_q4_k_are_rounded_and_nothing_else(tmp_path: Path) -> None:
    tensor = stored(random(16, 256), GgmlType.Q4_K)
    matrix = interleave(write_tensors(tmp_path / "m.gguf", {"w": tensor}), "w")
    exact = dequantized(tensor)
    assert matrix.bits == 4
    np.testing.assert_allclose(weights_of(matrix), exact, rtol=0, atol=2 * np.abs(exact).max() / 2**11)


@pytest.mark.parametrize("type_", ROUNDED, ids=lambda t: t.name)
def test_the_rest_is_rounded_by_half_a_step_at_most(tmp_path: Path, type_: GgmlType) -> None:
    tensor = stored(random(16, 256), type_)
    matrix = interleave(write_tensors(tmp_path / "m.gguf", {"w": tensor}), "w")
    exact = dequantized(tensor).reshape(16, -1, BLOCK)
    # Scales are float16: 11 bits, and steps of 2^-24 where they are tiny.
    half_step = np.abs(exact).max(axis=2, keepdims=True) / 127 * 0.51 + 127 * 2.0**-25
    assert (np.abs(weights_of(matrix).reshape(exact.shape) - exact) <= half_step).all()


def test_zeros_stay_zeros(tmp_path: Path) -> None:
    tensor = stored(np.zeros((16, 64), np.float32), GgmlType.F32)
    assert not weights_of(interleave(write_tensors(tmp_path / "m.gguf", {"w": tensor}), "w")).any()


@pytest.mark.parametrize("value", [np.nan, np.inf, 1e9])  # the last has no scale in float16
def test_weights_that_are_not_finite_are_refused(tmp_path: Path, value: float) -> None:
    weights = random(16, 64)
    weights[3, 5] = value
    file = write_tensors(tmp_path / "m.gguf", {"w": stored(weights, GgmlType.F32)})
    with pytest.raises(GgufError, match="'w' are not finite"):
        interleave(file, "w")


def test_columns_that_are_not_whole_blocks_are_refused(tmp_path: Path) -> None:
    file = write_tensors(tmp_path / "m.gguf", {"w": stored(random(16, 40), GgmlType.F32)})
    with pytest.raises(GgufError, match="40 columns"):
        interleave(file, "w")
