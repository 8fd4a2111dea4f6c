from collections.abc import Callable, Mapping
from dataclasses import fields, replace
from functools import partial
from pathlib import Path
from typing import Literal

import numpy as np
import pytest
import torch
from llama_files import SMALL, SMALL_QWEN2, SMALL_QWEN3, random_weights
from numpy.typing import NDArray
from quantized_files import Stored, dequantized, quantized_weights, stored, write_quantized

from kernels.formats.llama import Weights
from kernels.formats.quantized import Quantized
from llm.cuda.weights import bits_of_kind, read_weights, unsupported_reason
from llm.gguf.config import LlamaConfig, read_config
from llm.gguf.file import GgufError, open_gguf
from llm.gguf.quants import BLOCKS, GgmlType

CPU = torch.device("cpu")
LLAMA = replace(SMALL, heads=4, kv_heads=2, head_dim=16, width=64, hidden=96)
QWEN2 = replace(SMALL_QWEN2, heads=4, head_dim=16, width=64, hidden=96)
QWEN3 = replace(SMALL_QWEN3, heads=6, kv_heads=2, head_dim=32, width=64, hidden=96)
WIDE = replace(LLAMA, heads=16, head_dim=16, width=256, hidden=512)  # K quants are of 256
Floats = NDArray[np.float32]


def load(tmp_path: Path, config: LlamaConfig, tensors: Mapping[str, Stored]) -> Weights:
    file = open_gguf(write_quantized(tmp_path / "m.gguf", config, tensors))
    return read_weights(file, read_config(file), 40, CPU)


def rows(tensors: Mapping[str, Stored], *names: str) -> Floats:
    return np.concatenate([dequantized(tensors[f"{name}.weight"]) for name in names])


def matrices(weights: Weights) -> dict[str, tuple[Floats, tuple[str, ...]]]:
    """What is held of layer 1, and the file's names for it."""
    return {
        "out": (weights.out.dequantize(1).numpy(), ("blk.1.attn_output",)),
        "gate_up": (weights.gate_up.dequantize(1).numpy(), ("blk.1.ffn_gate", "blk.1.ffn_up")),
        "down": (weights.down.dequantize(1).numpy(), ("blk.1.ffn_down",)),
        "qkv": (weights.qkv.dequantize(1).numpy(), ("blk.1.attn_q", "blk.1.attn_k", "blk.1.attn_v")),
        "embedding": (weights.embedding.dequantize(0).numpy(), ("token_embd",)),
        "head": (weights.head.dequantize(0).numpy(), ("output",)),
    }


@pytest.mark.parametrize(
    ("type_", "bits", "minima"),
    [
        (GgmlType.Q4_0, 4, False),
        (GgmlType.Q4_1, 4, True),
        (GgmlType.Q5_0, 8, False),
        (GgmlType.Q8_0, 8, False),
    ],
    ids=str,
)
def test_types_that_are_kept_exactly(tmp_path: Path, type_: GgmlType, bits: int, minima: bool) -> None:
    tensors = quantized_weights(LLAMA, {"": type_}, tied=False)
    weights = load(tmp_path, LLAMA, tensors)
    assert (weights.qkv.bits, weights.qkv.minima is not None) == (bits, minima)
    for held, names in matrices(weights).values():
        np.testing.assert_allclose(held, rows(tensors, *names), rtol=0, atol=1e-6)


def test_scales_of_q4_k_are_rounded_and_nothing_else(tmp_path: Path) -> None:
    tensors = quantized_weights(WIDE, {"": GgmlType.Q4_K}, tied=False)
    weights = load(tmp_path, WIDE, tensors)
    assert weights.down.bits == 4
    for held, names in matrices(weights).values():
        exact = rows(tensors, *names)
        np.testing.assert_allclose(held, exact, rtol=0, atol=2 * np.abs(exact).max() / 2**11)


def rounded_by_half_a_step(held: Floats, exact: Floats) -> bool:
    held, exact = held.reshape(-1, 32), exact.reshape(-1, 32)
    half_step = np.abs(exact).max(axis=1, keepdims=True) / 127 * 0.51 + 127 * 2.0**-25
    return bool((np.abs(held - exact) <= half_step).all())


@pytest.mark.parametrize(
    "type_",
    sorted(set(BLOCKS) - {GgmlType.Q4_0, GgmlType.Q4_1, GgmlType.Q4_K, GgmlType.Q5_0, GgmlType.Q8_0}),
    ids=lambda t: t.name,
)
def test_the_rest_is_rounded_by_half_a_step_at_most(tmp_path: Path, type_: GgmlType) -> None:
    tensors = quantized_weights(WIDE, {"": type_}, tied=False)
    for held, names in matrices(load(tmp_path, WIDE, tensors)).values():
        assert rounded_by_half_a_step(held, rows(tensors, *names))


@pytest.mark.parametrize(
    ("types", "kind", "bits", "exact"),
    [
        # One of three, one of two, and one layer of two that are not 4 bits; and two 4-bit types.
        ({"attn_v": GgmlType.Q8_0, "": GgmlType.Q4_0}, "qkv", 8, True),
        ({"ffn_up": GgmlType.Q5_0, "": GgmlType.Q4_1}, "gate_up", 8, False),
        ({"blk.0.ffn_down": GgmlType.Q8_0, "": GgmlType.Q4_1}, "down", 8, False),
        ({"blk.0.ffn_down": GgmlType.Q4_0, "": GgmlType.Q4_1}, "down", 4, True),
        ({"blk.1.ffn_down": GgmlType.Q4_0, "": GgmlType.Q4_1}, "down", 4, True),
    ],
    ids=str,
)
def test_matrices_of_mixed_types_are_held_in_the_bits_of_the_widest(
    tmp_path: Path, types: dict[str, GgmlType], kind: str, bits: int, exact: bool
) -> None:
    tensors = quantized_weights(LLAMA, types, tied=False)
    weights = load(tmp_path, LLAMA, tensors)
    assert getattr(weights, kind).bits == bits
    assert weights.out.bits == 4  # nothing of it is mixed
    file = open_gguf(tmp_path / "m.gguf")
    assert bits_of_kind(file, read_config(file), kind) == bits  # type: ignore[arg-type]
    held, names = matrices(weights)[kind]
    wanted = rows(tensors, *names)
    assert rounded_by_half_a_step(held, wanted)
    assert (np.abs(held - wanted).max() < 1e-6) == exact


@pytest.mark.parametrize("config", [QWEN3, QWEN2])
def test_channels_that_are_rotated_together_become_neighbours(tmp_path: Path, config: LlamaConfig) -> None:
    """Row 2i of a head is the file's i, row 2i + 1 its i + half; v stays as it is."""
    tensors = quantized_weights(config, {"": GgmlType.Q8_0})
    weights = load(tmp_path, config, tensors)
    half, d = config.head_dim // 2, config.head_dim

    def reordered(x: Floats) -> Floats:  # [heads * head dim, ...]
        heads = x.reshape(-1, d, *x.shape[1:])
        out = np.empty_like(heads)
        for channel in range(half):
            out[:, 2 * channel] = heads[:, channel]
            out[:, 2 * channel + 1] = heads[:, channel + half]
        return out.reshape(x.shape)

    def of_layer(i: int, part: str, kind: str = "weight") -> Floats:
        found = dequantized(tensors[f"blk.{i}.attn_{part}.{kind}"])
        return found if part == "v" else reordered(found)

    for i in range(config.layers):
        wanted = np.concatenate([of_layer(i, part) for part in "qkv"])
        np.testing.assert_allclose(weights.qkv.dequantize(i).numpy(), wanted, rtol=0, atol=1e-6)
        if config.qkv_bias:
            assert weights.qkv_bias is not None
            bias = np.concatenate([of_layer(i, part, "bias") for part in "qkv"])
            np.testing.assert_array_equal(weights.qkv_bias[i].numpy(), bias)
        if config.qk_norm:
            assert weights.q_norm is not None
            assert weights.k_norm is not None
            np.testing.assert_array_equal(weights.q_norm[i].numpy(), of_layer(i, "q_norm"))
            np.testing.assert_array_equal(weights.k_norm[i].numpy(), of_layer(i, "k_norm"))


@pytest.mark.parametrize("order", ["C", "F"])
@pytest.mark.parametrize("config", [LLAMA, QWEN2, QWEN3], ids=["llama", "qwen2", "qwen3"])
def test_every_tensor_is_contiguous_however_numpy_lays_out_arrays(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, config: LlamaConfig, order: Literal["C", "F"]
) -> None:
    """The kernels refuse others, and numpy promises no layout for what it stacks, indexes or computes."""

    def laid_out(function: Callable[..., Floats], *arguments: object, **options: object) -> Floats:
        return np.array(function(*arguments, **options), order=order)

    for name in ("stack", "concatenate", "cos", "sin"):
        monkeypatch.setattr(np, name, partial(laid_out, getattr(np, name)))
    weights = load(tmp_path, config, quantized_weights(config, {"": GgmlType.Q4_1}, tied=False))
    held = [getattr(weights, field.name) for field in fields(weights)]
    held += [getattr(x, field.name) for x in held if isinstance(x, Quantized) for field in fields(x)]
    tensors = [x for x in held if isinstance(x, torch.Tensor)]
    assert len(tensors) == 6 * 3 + 5 + config.qkv_bias + 2 * config.qk_norm
    assert all(x.is_contiguous() for x in tensors)


def test_what_is_not_quantized(tmp_path: Path) -> None:
    raw = random_weights(LLAMA)
    weights = load(tmp_path, LLAMA, {name: stored(x, GgmlType.F32) for name, x in raw.items()})
    np.testing.assert_array_equal(weights.output_norm.numpy(), raw["output_norm.weight"])
    for i in range(LLAMA.layers):
        np.testing.assert_array_equal(weights.attn_norm[i].numpy(), raw[f"blk.{i}.attn_norm.weight"])
        np.testing.assert_array_equal(weights.ffn_norm[i].numpy(), raw[f"blk.{i}.ffn_norm.weight"])
    assert weights.head is weights.embedding
    assert weights.qkv_bias is weights.q_norm is weights.k_norm is None
    angles = np.arange(40)[:, None] * 100.0 ** -(np.arange(0, 16, 2) / 16)
    np.testing.assert_allclose(weights.cos.numpy(), np.cos(angles), atol=1e-6)
    np.testing.assert_allclose(weights.sin.numpy(), np.sin(angles), atol=1e-6)


@pytest.mark.parametrize("value", [np.nan, np.inf, 1e9, 1e5])  # the last two have no scale, no weight
@pytest.mark.parametrize("name", ["blk.1.attn_k.weight", "token_embd.weight", "blk.0.ffn_norm.weight"])
def test_weights_that_are_not_finite_are_refused(tmp_path: Path, value: float, name: str) -> None:
    raw = random_weights(LLAMA)
    raw[name].flat[7] = value
    tensors = {n: stored(x, GgmlType.F32) for n, x in raw.items()}
    if "norm" in name and np.isfinite(value):
        load(tmp_path, LLAMA, tensors)
        return
    with pytest.raises(GgufError, match=f"{name}' are (not finite|too large)"):
        load(tmp_path, LLAMA, tensors)


def test_sizes_that_are_not_whole_blocks_are_refused(tmp_path: Path) -> None:
    odd = replace(LLAMA, hidden=48)
    assert unsupported_reason(LLAMA) is None
    assert "(64, 48, 64)" in str(unsupported_reason(odd))
    with pytest.raises(GgufError, match="48 columns"):
        load(tmp_path, odd, quantized_weights(odd, {}))
