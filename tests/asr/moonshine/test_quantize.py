import numpy as np
import pytest

from asr.moonshine.quantize import BLOCK, Array, Blocks, quantize


def dequantize(blocks: Blocks) -> Array:
    """The weights [n, k] that `blocks` stand for."""
    centred = blocks.codes.astype(np.float32) - 128
    weights: Array = (centred * blocks.scales[:, :, None]).reshape(len(blocks.codes), -1)
    return weights[:, : blocks.k]


@pytest.mark.parametrize("shape", [(5, 288), (3, 1), (1, 33), (2, 64)])
def test_a_weight_is_off_by_at_most_half_a_step_of_its_block(shape: tuple[int, int]) -> None:
    weights = np.random.default_rng(1).standard_normal(shape).astype(np.float32)
    found = dequantize(quantize(weights))
    assert found.shape == weights.shape
    for row, read in zip(weights, found, strict=True):
        for at in range(0, len(row), BLOCK):
            block = row[at : at + BLOCK]
            step = np.abs(block).max() / 127
            assert np.abs(read[at : at + BLOCK] - block).max() <= step / 2 * 1.001


def test_weights_that_are_codes_already_come_back_as_they_were() -> None:
    codes = np.random.default_rng(2).integers(-127, 128, (4, 2, BLOCK)).astype(np.float32)
    codes[:, :, 0] = 127  # the largest of a block sets its scale
    weights = (codes * np.float32(0.25)).reshape(4, -1)
    np.testing.assert_array_equal(dequantize(quantize(weights)), weights)


def test_zeros_and_weights_too_small_for_a_scale_become_zeros() -> None:
    weights = np.zeros((2, BLOCK), np.float32)
    weights[1, 3] = 1e-42
    np.testing.assert_array_equal(dequantize(quantize(weights)), np.zeros((2, BLOCK)))
