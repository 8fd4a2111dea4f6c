"""Bytes worked out by hand, or from the block sizes of the gguf package."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from gguf import GGML_QUANT_SIZES, GGMLQuantizationType
from gguf_writer import Entry, build
from llama_files import SMALL, random_weights, write_llama

from llm.gguf import GgufError, GgufFile, open_gguf
from llm.memory import (
    KvType,
    Memory,
    SizeError,
    WeightBytes,
    kv_cache_bytes,
    kv_scale_bytes,
    memory,
    weight_bytes,
    workspace_bytes,
)

SMOLLM2: dict[str, Any] = {"layers": 30, "kv_heads": 3, "head_dim": 64}


def file_of(path: Path, tensors: Mapping[str, tuple[GGMLQuantizationType, tuple[int, ...]]]) -> GgufFile:
    """A file of zeros with tensors of these types and row-major shapes, and no metadata."""
    entries: list[Entry] = []
    data = b""
    for name, (type_, shape) in tensors.items():
        entries.append((name, shape[::-1], int(type_), len(data)))
        data += bytes(stored_bytes(type_, shape))
        data += bytes(-len(data) % 32)
    path.write_bytes(build([], entries, data))
    return open_gguf(path)


def stored_bytes(type_: GGMLQuantizationType, shape: tuple[int, ...]) -> int:
    per_block, size = GGML_QUANT_SIZES[type_]
    n = 1
    for length in shape:
        n *= length
    assert n % per_block == 0
    return n // per_block * size


@pytest.mark.parametrize(
    ("counts", "kv", "size"),
    [
        # SmolLM2-135M: 30 layers, 3 KV heads of 64; a token is 2 x 30 x 3 x 64 = 11,520 numbers.
        ({**SMOLLM2, "tokens": 1, "sessions": 1}, "int8", 11_520),
        ({**SMOLLM2, "tokens": 1, "sessions": 1}, "f16", 23_040),
        ({**SMOLLM2, "tokens": 1, "sessions": 1}, "f32", 46_080),
        ({**SMOLLM2, "tokens": 2048, "sessions": 1}, "f16", 47_185_920),
        ({**SMOLLM2, "tokens": 2048, "sessions": 4}, "f16", 188_743_680),
        ({**SMOLLM2, "tokens": 2048, "sessions": 4}, "int8", 94_371_840),
        # The same with a key head for each of its 9 query heads takes three times as much.
        ({**SMOLLM2, "kv_heads": 9, "tokens": 2048, "sessions": 1}, "f16", 141_557_760),
        # Llama 2 7B: 32 layers, 32 heads of 128, 4096 tokens: the 2 GiB of its literature.
        ({"layers": 32, "kv_heads": 32, "head_dim": 128, "tokens": 4096, "sessions": 1}, "f16", 2**31),
        # Llama 3 8B has 8 KV heads: a quarter.
        ({"layers": 32, "kv_heads": 8, "head_dim": 128, "tokens": 4096, "sessions": 1}, "f16", 2**29),
        ({**SMOLLM2, "tokens": 0, "sessions": 1}, "f32", 0),
        ({**SMOLLM2, "tokens": 2048, "sessions": 0}, "int8", 0),
    ],
)
def test_kv_cache(counts: dict[str, int], kv: KvType, size: int) -> None:
    assert kv_cache_bytes(**counts, kv=kv) == size


@pytest.mark.parametrize(("kv", "size"), [("int8", 46_080), ("f16", 0), ("f32", 0)])
def test_only_int8_has_scales(kv: KvType, size: int) -> None:
    assert kv_scale_bytes(**SMOLLM2, kv=kv) == size  # 11,520 channels of keys and values, 4 bytes each


LENGTHS: dict[str, Any] = {"tokens": 7, "sessions": 2}
COUNTS = SMOLLM2 | LENGTHS


@pytest.mark.parametrize("wrong", [-1, 1.5, 2.0, True, float("nan"), "3", None])
@pytest.mark.parametrize("name", COUNTS)
def test_a_count_that_is_none_is_refused_by_name(name: str, wrong: object) -> None:
    with pytest.raises(SizeError, match=rf"^{name} must be a whole number from 0, not ") as caught:
        kv_cache_bytes(**COUNTS | {name: wrong}, kv="f16")
    assert str(caught.value).endswith(f"not {wrong!r}")
    assert isinstance(caught.value, ValueError)
    if name in SMOLLM2:
        with pytest.raises(SizeError, match=rf"^{name} must"):
            kv_scale_bytes(**SMOLLM2 | {name: wrong}, kv="int8")
    else:
        with pytest.raises(SizeError, match=rf"^{name} must"):
            workspace_bytes(SMALL, **LENGTHS | {name: wrong})


def test_an_unknown_type_is_refused() -> None:
    kv: Any = "fp8"
    with pytest.raises(SizeError, match="kv must be one of int8, f16, f32, not 'fp8'"):
        kv_cache_bytes(**COUNTS, kv=kv)
    with pytest.raises(SizeError, match="not 'fp8'"):
        kv_scale_bytes(**SMOLLM2, kv=kv)


T = GGMLQuantizationType


@pytest.mark.parametrize(
    ("type_", "per_32"),
    [
        (T.Q4_0, 20.5),
        (T.Q4_1, 20.5),
        (T.Q4_K, 20.5),
        (T.Q5_0, 36),
        (T.Q5_1, 36),
        (T.Q5_K, 36),
        (T.Q6_K, 36),
        (T.Q8_0, 36),
        (T.F16, 36),
        (T.BF16, 36),
        (T.F32, 36),
    ],
)
def test_a_matrix_of_each_type(tmp_path: Path, type_: GGMLQuantizationType, per_32: float) -> None:
    gguf = file_of(tmp_path / "m.gguf", {"blk.0.ffn_up.weight": (type_, (3, 512))})
    assert weight_bytes(gguf) == WeightBytes(stored_bytes(type_, (3, 512)), int(3 * 16 * per_32))


def test_rows_that_no_whole_blocks_fill(tmp_path: Path) -> None:
    # 40 columns are 2 blocks; 96 columns are 3, whose zero points need 2 bytes.
    assert weight_bytes(file_of(tmp_path / "a.gguf", {"w": (T.F16, (5, 40))})).prepared == 5 * 2 * 36
    assert weight_bytes(file_of(tmp_path / "b.gguf", {"w": (T.Q4_0, (5, 96))})).prepared == 5 * (3 * 20 + 2)


def test_norms_and_biases_are_float32(tmp_path: Path) -> None:
    small = {"output_norm.weight": (T.F16, (64,)), "blk.0.attn_q.bias": (T.F32, (32,))}
    assert weight_bytes(file_of(tmp_path / "m.gguf", small)) == WeightBytes(64 * 2 + 32 * 4, 96 * 4)


def test_a_tied_embedding_is_held_once_in_eight_bits(tmp_path: Path) -> None:
    embedding = {"token_embd.weight": (T.Q4_0, (10, 64))}
    head = {"output.weight": (T.Q6_K, (10, 256))}
    assert weight_bytes(file_of(tmp_path / "a.gguf", embedding)).prepared == 10 * 2 * 36
    both = weight_bytes(file_of(tmp_path / "b.gguf", embedding | head))
    assert both.prepared == 10 * 2 * 20.5 + 10 * 8 * 36


def test_workspace_is_that_of_one_pass() -> None:
    # width 32, q 4 x 8, k and v 2 x 8 each, gate and up 48 each, vocabulary 258: 32 + 64 + 96 + 258 = 450
    # numbers a row, and for each of 4 heads a score for every token.
    assert workspace_bytes(SMALL, 100) == 100 * (450 + 4 * 100) * 4
    assert workspace_bytes(SMALL, 512) == 512 * (450 + 4 * 512) * 4
    assert workspace_bytes(SMALL, 1000) == 512 * (450 + 4 * 1000) * 4  # more takes a second pass
    assert workspace_bytes(SMALL, 100, 3) == 300 * (450 + 4 * 100) * 4
    assert workspace_bytes(SMALL, 1000, 9) == workspace_bytes(SMALL, 1000)
    assert workspace_bytes(SMALL, 0) == workspace_bytes(SMALL, 100, 0) == 0


def test_the_whole_of_a_small_model(tmp_path: Path) -> None:
    config = replace(SMALL, layers=1, hidden=64)
    gguf = open_gguf(write_llama(tmp_path / "m.gguf", config, weights=random_weights(config)))
    matrices = 258 + 32 + 16 + 16 + 32 + 64 + 64 + 2 * 32  # rows, in blocks of 32 columns; ffn_down has two
    needs = memory(gguf, 100, 2, "int8", 10**6)
    assert needs == Memory(
        weights=WeightBytes(matrices * 32 * 4 + 3 * 32 * 4, matrices * 36 + 3 * 32 * 4),
        kv_cache=1 * 2 * 2 * 8 * 100 * 2,
        kv_scales=1 * 2 * 2 * 8 * 4,
        workspace=200 * (32 + 64 + 128 + 258 + 400) * 4,
        available=10**6,
    )
    assert needs.total == (matrices * 36 + 384) + 6400 + 128 + 705_600
    assert needs.fits
    assert memory(gguf, 100, 2, "int8", needs.total).fits
    assert not memory(gguf, 100, 2, "int8", needs.total - 1).fits


@pytest.mark.parametrize("available", [-1, 1e9, True])
def test_available_memory_is_a_count_too(tmp_path: Path, available: float) -> None:
    wrong: Any = available
    gguf = open_gguf(write_llama(tmp_path / "m.gguf"))
    with pytest.raises(SizeError, match=r"^available must"):
        memory(gguf, 1, 1, "f16", wrong)


def test_a_model_that_cannot_be_run_is_refused(tmp_path: Path) -> None:
    gguf = file_of(tmp_path / "m.gguf", {"token_embd.weight": (T.Q8_0, (10, 64))})
    with pytest.raises(GgufError, match=r"general\.architecture"):
        memory(gguf, 1, 1, "f16", 0)
