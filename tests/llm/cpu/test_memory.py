"""Bytes worked out by hand, and those of the arrays that the engine makes."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from gguf import GGML_QUANT_SIZES, GGMLQuantizationType
from llama_files import SMALL, SMALL_QWEN2, SMALL_QWEN3, random_weights, write_llama
from numpy.typing import NDArray
from quantized_files import quantized_weights, write_quantized, write_tensors

from llm.cpu.graph import build_graph
from llm.cpu.memory import (
    Memory,
    PlannedKv,
    SizeError,
    WeightBytes,
    kv_cache_bytes,
    kv_scale_bytes,
    memory,
    weight_bytes,
    workspace_bytes,
)
from llm.cpu.weights import pack
from llm.gguf.config import LlamaConfig, read_config
from llm.gguf.file import GgufError, GgufFile, open_gguf
from llm.gguf.quants import BLOCKS, GgmlType
from llm.serve.batch import Batcher, Part

SMOLLM2: dict[str, Any] = {"layers": 30, "kv_heads": 3, "head_dim": 64}


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
def test_kv_cache(counts: dict[str, int], kv: PlannedKv, size: int) -> None:
    assert kv_cache_bytes(**counts, kv=kv) == size


@pytest.mark.parametrize(("kv", "size"), [("int8", 46_080), ("f16", 0), ("f32", 0)])
def test_only_int8_has_scales(kv: PlannedKv, size: int) -> None:
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


# Wide enough for the K types, whose blocks are 256 weights.
WIDE = replace(SMALL, layers=2, width=256, heads=4, kv_heads=2, head_dim=128, hidden=512)
GROUPS = (("attn_q", "attn_k", "attn_v"), ("attn_output",), ("ffn_gate", "ffn_up"), ("ffn_down",))
MIXED = {
    "attn_q": GgmlType.Q4_0,
    "attn_k": GgmlType.Q4_0,
    "attn_v": GgmlType.Q6_K,
    "attn_output": GgmlType.Q4_0,
    "ffn_gate": GgmlType.Q8_0,
    "ffn_up": GgmlType.Q5_0,
    "ffn_down": GgmlType.Q5_1,
    "token_embd": GgmlType.Q8_0,
    "output.weight": GgmlType.Q6_K,
}


def model_of(path: Path, config: LlamaConfig, types: Mapping[str, GgmlType], *, tied: bool) -> GgufFile:
    return open_gguf(write_quantized(path, config, quantized_weights(config, types, tied=tied)))


def packed_bytes(gguf: GgufFile, layers: int) -> tuple[int, int]:
    """What `pack` makes of the groups of the graph: all, and the scales that are multiplied with."""
    head = "output.weight" if "output.weight" in gguf.tensors else "token_embd.weight"
    names = [[f"blk.{i}.{name}.weight" for name in group] for i in range(layers) for group in GROUPS]
    matrices = [pack(gguf, group) for group in [*names, [head]]]
    rows = pack(gguf, ["token_embd.weight"])
    vectors = sum(gguf.tensor(name).nbytes for name, info in gguf.tensors.items() if len(info.shape) == 1)
    total = sum(matrix.codes.nbytes + matrix.scales.nbytes for matrix in [*matrices, rows])
    return total + vectors, sum(matrix.scales.nbytes for matrix in matrices)


def check_against_arrays(gguf: GgufFile, config: LlamaConfig) -> None:
    total, scales = packed_bytes(gguf, config.layers)
    got = weight_bytes(gguf, config)
    assert (got.prepared, got.scale_copies) == (total, 2 * scales)


@pytest.mark.parametrize("tied", [True, False], ids=["tied", "untied"])
@pytest.mark.parametrize("type_", sorted(BLOCKS), ids=lambda t: t.name)
def test_weights_of_each_type_take_what_is_packed(tmp_path: Path, type_: GgmlType, tied: bool) -> None:
    gguf = model_of(tmp_path / "m.gguf", WIDE, {"weight": type_}, tied=tied)
    check_against_arrays(gguf, WIDE)
    files = sum(stored_bytes(GGMLQuantizationType(info.type), info.shape) for info in gguf.tensors.values())
    assert weight_bytes(gguf, WIDE).stored == files


@pytest.mark.parametrize("tied", [True, False], ids=["tied", "untied"])
@pytest.mark.parametrize("config", [SMALL, SMALL_QWEN2, SMALL_QWEN3], ids=["llama", "qwen2", "qwen3"])
def test_rows_that_no_whole_blocks_fill_biases_and_norms(
    tmp_path: Path, config: LlamaConfig, tied: bool
) -> None:
    weights = random_weights(config, tied=tied)  # rows of 32 and 48 in blocks of 64
    check_against_arrays(open_gguf(write_llama(tmp_path / "m.gguf", config, weights=weights)), config)


@pytest.mark.parametrize("tied", [True, False], ids=["tied", "untied"])
@pytest.mark.parametrize(
    "config",
    [WIDE, replace(WIDE, rotary="half", qkv_bias=True), replace(WIDE, rotary="half", qk_norm=True)],
    ids=["llama", "qwen2", "qwen3"],
)
def test_weights_take_what_the_graph_holds(tmp_path: Path, config: LlamaConfig, tied: bool) -> None:
    gguf = model_of(tmp_path / "m.gguf", config, MIXED, tied=tied)
    check_against_arrays(gguf, config)
    graph = onnx.load_model_from_string(build_graph(gguf, config, context=16).model).graph
    lengths = {
        constant.name: int(entry.value)
        for constant in graph.initializer
        for entry in constant.external_data
        if entry.key == "length"
    }
    assert lengths.pop("cos") + lengths.pop("sin") == 16 * config.head_dim * 4
    assert sum(lengths.values()) == weight_bytes(gguf, config).prepared


@pytest.mark.parametrize(
    ("type_", "bits"),
    [
        (GgmlType.Q4_0, 5.0),  # 4 + 32 / 32
        (GgmlType.Q5_0, 9.0),  # 8 + 32 / 32
        (GgmlType.Q8_0, 9.0),
        (GgmlType.Q4_1, 8.5),  # 8 + 32 / 64
        (GgmlType.Q5_1, 8.5),
        (GgmlType.Q4_K, 8.5),
        (GgmlType.Q5_K, 8.5),
        (GgmlType.Q6_K, 8.5),
        (GgmlType.F16, 8.5),
        (GgmlType.BF16, 8.5),
        (GgmlType.F32, 8.5),
    ],
    ids=lambda v: v.name if isinstance(v, GgmlType) else None,
)
def test_bits_of_a_weight(tmp_path: Path, type_: GgmlType, bits: float) -> None:
    gguf = model_of(tmp_path / "m.gguf", WIDE, {"weight": type_}, tied=True)
    # A layer: q, k, v of 512 + 256 + 256 rows, output 256 rows of 512; gate and up 512, down 256 rows of 512.
    layer = 1024 * 256 + 256 * 512 + 2 * 512 * 256 + 256 * 512
    weights = 2 * layer + 2 * 258 * 256  # the embedding twice
    assert weight_bytes(gguf, WIDE).prepared == weights * bits / 8 + 5 * 256 * 4


@pytest.mark.models
def test_the_default_model_takes_what_is_packed(model_path: Callable[[str], Path]) -> None:
    gguf = open_gguf(model_path("smollm2-135m-instruct-q4_1"))
    check_against_arrays(gguf, read_config(gguf))


# SMALL: width 32, q 4 x 8, k and v 2 x 8 each, hidden 48, vocabulary 258. A row of a layer: 6 of the width,
# QKV packed and rotated, attention's result, and 6 of the hidden width, and for each of 4 heads a score for
# every token. Besides 8 numbers of cos and sin for a position.
LAYER = 6 * 32 + 2 * 64 + 32 + 6 * 48


@pytest.mark.parametrize(
    ("tokens", "sessions", "numbers"),
    [
        (100, 1, 100 * (LAYER + 4 * 100) + 258 + 100 * 8),
        (512, 1, 512 * (LAYER + 4 * 512) + 258 + 512 * 8),
        (1000, 1, 512 * (LAYER + 4 * 1000) + 258 + 1000 * 8),  # more takes a second pass
        (1000, 9, 512 * (LAYER + 4 * 1000) + 258 + 1000 * 8),  # prompts are read one by one
        (1000, 40, 40 * 16 * (LAYER + 4 * 1000 + 258) + 1000 * 8),  # steps together
        (5, 1, 5 * (LAYER + 4 * 5 + 258) + 5 * 8),  # as a step
        (0, 3, 0),
        (100, 0, 0),
    ],
)
def test_workspace_is_that_of_the_largest_pass(tokens: int, sessions: int, numbers: int) -> None:
    assert workspace_bytes(SMALL, tokens, sessions) == numbers * 4


def test_normed_heads_are_activations_too() -> None:
    # q 4 x 12, k and v 2 x 12 each, split and normed beside packed and rotated.
    layer = 6 * 32 + 4 * 96 + 48 + 6 * 48
    assert workspace_bytes(SMALL_QWEN3, 100) == (100 * (layer + 4 * 100) + 258 + 100 * 12) * 4


def test_passes_are_as_long_as_the_engine_makes_them() -> None:
    lengths: list[int] = []

    def run(parts: Sequence[Part]) -> list[NDArray[np.float32]]:
        lengths.extend(len(part.tokens) for part in parts)
        return [np.zeros((part.logits_for, 1), np.float32) for part in parts]

    Batcher(run).read(Part(0, 0, range(5000), 1))
    rows = max(lengths)
    growth = workspace_bytes(SMALL, 4001) - workspace_bytes(SMALL, 4000)
    assert growth == (rows * 4 + 8) * 4  # a score of 4 heads for each row


def test_the_whole_of_a_small_model(tmp_path: Path) -> None:
    config = replace(SMALL, layers=1, hidden=64)
    gguf = open_gguf(write_llama(tmp_path / "m.gguf", config, weights=random_weights(config)))
    # Rows, of 32 columns but for ffn_down's 64; all fill one block of 64 bytes and its scale.
    layer = 32 + 16 + 16 + 32 + 64 + 64 + 32
    needs = memory(gguf, 100, 2, "int8", 10**6)
    assert needs == Memory(
        weights=WeightBytes(
            stored=(258 + layer + 32) * 32 * 4 + 3 * 32 * 4,
            prepared=(2 * 258 + layer) * 68 + 3 * 32 * 4,
            scale_copies=(258 + layer) * 2 * 4,
        ),
        kv_cache=1 * 2 * 2 * 8 * 100 * 2,
        kv_scales=1 * 2 * 2 * 8 * 4,
        workspace=(100 * (LAYER + 6 * 16 + 400) + 258 + 100 * 8) * 4,
        available=10**6,
    )
    assert needs.total == (52_496 + 384) + 4112 + 6400 + 128 + 458_632
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
    gguf = write_tensors(tmp_path / "m.gguf", {"token_embd.weight": (GgmlType.Q8_0, (10, 64), bytes(680))})
    with pytest.raises(GgufError, match=r"general\.architecture"):
        memory(gguf, 1, 1, "f16", 0)
