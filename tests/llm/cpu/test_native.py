"""The compiled kernel against torch: the same weights, and the same rounding of activations."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from llama_files import SMALL, SMALL_QWEN2, SMALL_QWEN3, one_thread, write_llama
from numpy.typing import NDArray
from quantized_files import quantized_weights, write_quantized
from sizes import quarter
from torch import Tensor
from torch.nn import functional as F  # noqa: N812
from torch_llama import Llama, TorchEngine

from kernels.cpu import llama as llama_cpu
from kernels.cpu.llama import BLOCK, LANES, Cache, LlamaPass, Matrix
from llm.cpu import native
from llm.cpu.model import CpuConfig, CpuModel
from llm.cpu.native import NativeRunner, fits, read_model
from llm.eval.data import text
from llm.eval.predict import perplexity
from llm.gguf.config import LlamaConfig, read_config
from llm.gguf.file import GgufFile, open_gguf
from llm.gguf.quants import GgmlType
from llm.serve.batch import Part
from llm.serve.cache import KvLayout, KvSlots
from llm.serve.kv_type import KvType
from llm.text.tokenizer import Tokenizer

pytestmark = pytest.mark.skipif(not llama_cpu.supported(), reason="not compiled, or another processor")

Logits = NDArray[np.float32]
LLAMA = replace(SMALL, heads=4, kv_heads=2, head_dim=16, width=64, hidden=96)
CONFIGS = {
    "llama": LLAMA,
    "llama, three layers, one key head": replace(LLAMA, kv_heads=1, layers=3),
    "llama, large heads": replace(LLAMA, heads=2, kv_heads=2, head_dim=80, width=160),
    "qwen2": replace(SMALL_QWEN2, heads=4, kv_heads=2, head_dim=16, width=64, hidden=96),
    "qwen3, heads wider than the stream": replace(
        SMALL_QWEN3, heads=6, kv_heads=2, head_dim=32, width=64, hidden=96
    ),
}
CONTEXT = 128
IDS = np.random.default_rng(0).integers(0, SMALL.vocabulary, 100).tolist()
TYPES = {"ffn": GgmlType.Q4_1, "attn": GgmlType.Q4_0, "embd": GgmlType.Q8_0}


@pytest.fixture(autouse=True, scope="module", params=list(llama_cpu.AVAILABLE))
def quick(request: pytest.FixtureRequest) -> Iterator[None]:
    """On each extension that this processor can run."""
    with one_thread(), pytest.MonkeyPatch.context() as patched:
        patched.setattr(llama_cpu, "_library", llama_cpu.AVAILABLE[request.param])
        yield


@pytest.fixture(scope="module", params=CONFIGS.values(), ids=CONFIGS.keys())
def file(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> GgufFile:
    path = tmp_path_factory.mktemp("native") / "m.gguf"
    return open_gguf(write_quantized(path, request.param, quantized_weights(request.param, TYPES)))


@pytest.fixture(scope="module")
def llama(tmp_path_factory: pytest.TempPathFactory) -> GgufFile:
    path = tmp_path_factory.mktemp("native") / "m.gguf"
    return open_gguf(write_quantized(path, LLAMA, quantized_weights(LLAMA, TYPES, tied=False)))


def runner(file: GgufFile, kv: KvType = "f32", slots: int = 1, threads: int = 1) -> NativeRunner:
    config = read_config(file)
    scales = None
    if kv == "int8":
        shape = (config.layers, 2, config.kv_heads, 1, config.head_dim)
        scales = np.random.default_rng(1).uniform(0.02, 0.05, shape).astype(np.float32)
    slab = KvSlots(KvLayout(config, scales), slots, CONTEXT)
    return NativeRunner(read_model(file, config, CONTEXT), slab, threads=threads)


def read(run: NativeRunner, ids: Sequence[int], lengths: Sequence[int], slot: int = 0) -> Logits:
    ends = np.cumsum(lengths)
    parts = [Part(slot, int(e - n), ids[e - n : e], n) for n, e in zip(lengths, ends, strict=True)]
    return np.concatenate([run([part])[0] for part in parts])


def in_torch(file: GgufFile, ids: Sequence[int]) -> Logits:
    """With the inputs of every linear layer rounded to int8 in blocks of 32, as the kernel does."""
    linear = F.linear

    def rounded(x: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
        blocks = x.reshape(len(x), -1, 32)
        scales = blocks.abs().amax(-1, keepdim=True).clamp(min=1e-30) / 127
        return linear((torch.round(blocks / scales) * scales).flatten(-2), weight, bias)

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(F, "linear", rounded)
        return TorchEngine(Llama(file), CONTEXT).extend(ids, len(ids))


def distance(a: Logits, b: Logits) -> float:
    """Root mean square of the difference, in standard deviations of b."""
    return float(np.sqrt(np.mean((a - b) ** 2)) / b.std())


def test_logits_are_those_of_torch_with_the_same_rounding(file: GgufFile) -> None:
    got, wanted = read(runner(file), IDS, [100]), in_torch(file, IDS)
    exact = TorchEngine(Llama(file), CONTEXT).extend(IDS, len(IDS))
    assert 0 < distance(wanted, exact) < 0.1  # rounding does something
    # A sum in another order moves an activation over the edge between two codes now and then.
    assert distance(got, wanted) < 0.4 * distance(wanted, exact)


def test_a_head_of_its_own(llama: GgufFile) -> None:
    assert distance(read(runner(llama), IDS, [100]), in_torch(llama, IDS)) < 0.02


def test_int8_keys_and_values_are_close(llama: GgufFile) -> None:
    model = CpuModel(llama, CpuConfig(context=CONTEXT, threads=1, kv="int8", prefix_bytes=0))
    assert model.kernel == "compiled"
    with model.open() as engine:
        assert 0 < distance(engine.extend(IDS, len(IDS)), in_torch(llama, IDS)) < 0.1


@pytest.mark.parametrize("kv", ["f32", "int8"])
@given(data=st.data())
@settings(max_examples=25, deadline=None)
def test_how_tokens_are_cut_into_passes_changes_no_bit(
    llama: GgufFile, kv: KvType, data: st.DataObject
) -> None:
    lengths = data.draw(st.lists(st.integers(1, 30), min_size=1, max_size=12).filter(lambda n: sum(n) <= 100))
    ids = IDS[: sum(lengths)]
    one_by_one = read(runner(llama, kv), ids, [1] * len(ids))
    np.testing.assert_array_equal(read(runner(llama, kv), ids, lengths), one_by_one)


@pytest.mark.parametrize("threads", [2, 3])
def test_threads_change_no_bit(llama: GgufFile, threads: int) -> None:
    alone = read(runner(llama), IDS, [100])
    many = runner(llama, threads=threads)
    for lengths in ([100], [1] * 100, [3] * 33 + [1]):
        np.testing.assert_array_equal(read(many, IDS, lengths), alone)


def test_sequences_in_one_pass_get_what_each_gets_alone(llama: GgufFile) -> None:
    together = runner(llama, slots=3)
    first, second = IDS[:40], IDS[40:90]
    read(together, first[:20], [20], slot=2)
    ragged = [Part(2, 20, first[20:], 20), Part(0, 0, second, 3)]
    got = together(ragged)
    np.testing.assert_array_equal(got[0], read(runner(llama), first, [40])[20:])
    np.testing.assert_array_equal(got[1], read(runner(llama), second, [50])[-3:])
    # Slot 2 goes on as if nobody else had been there.
    np.testing.assert_array_equal(
        together([Part(2, 40, IDS[40:45], 5)])[0], read(runner(llama), IDS[:45], [45])[40:]
    )


def test_a_prompt_longer_than_a_pass_is_read_in_pieces(
    llama: GgufFile, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = read(runner(llama), IDS, [100])
    monkeypatch.setattr(native, "MAX_ROWS", 16)
    small = runner(llama)
    np.testing.assert_array_equal(small([Part(0, 0, IDS, 100)])[0], whole)
    np.testing.assert_array_equal(small([Part(0, 0, IDS, 17)])[0], whole[-17:])
    assert small([Part(0, 0, IDS, 0)])[0].shape == (0, LLAMA.vocabulary)


@pytest.mark.parametrize("rows", [1, 2, 4, 9])
@pytest.mark.parametrize("bits", [4, 8])
def test_sums_of_the_largest_products_fit(llama: GgufFile, bits: int, rows: int) -> None:
    """Activations of one size, all of a sign, by weights with the least and the greatest codes there are."""
    config, codes = read_config(llama), [0, 15] if bits == 4 else [0, 1, 128, 255]
    model = read_model(llama, config, CONTEXT)
    silent = replace(
        model.layers[0], **{name: _nothing(getattr(model.layers[0], name)) for name in ("out", "down")}
    )
    constant = np.where(np.arange(config.vocabulary) % 2 == 0, 255, 1)  # 127 and -127 of embeddings in 8 bits
    model = replace(
        model,
        layers=[silent],
        embedding=_rows_of(constant, config.width, 8),
        head=_rows_of(np.resize(codes, config.vocabulary), config.width, bits),
        output_norm=np.ones(config.width, np.float32),
    )
    slab = KvSlots(KvLayout(replace(config, layers=1), None), 1, CONTEXT)
    run = LlamaPass(model, Cache(slab.layers), threads=1, max_rows=16).run
    at = np.arange(rows)
    got = run(at, np.zeros(rows, np.int32), at.astype(np.int32), at.astype(np.int32))
    weights = np.resize(codes, config.vocabulary) - (128 if bits == 8 else 7.5)
    signs = np.where(at % 2 == 0, 1, -1)
    np.testing.assert_allclose(got, signs[:, None] * weights * config.width, rtol=1e-4, atol=1e-2)


def _rows_of(codes: NDArray[np.int64], k: int, bits: int) -> Matrix:
    """A code for each row; weights are code - 7.5 in 4 bits and code - 128 in 8."""
    groups, blocks = -(-len(codes) // LANES), k // BLOCK
    lanes = np.pad(codes, (0, groups * LANES - len(codes))).reshape(groups, 1, 1, LANES, 1).astype(np.uint8)
    whole = np.broadcast_to(lanes | lanes << 4 if bits == 4 else lanes, (groups, blocks, bits, LANES, 4))
    ones = np.ones((groups, blocks, LANES), np.float16)
    scales = np.stack([ones, np.float16(-7.5) * ones], axis=2) if bits == 4 else ones
    return Matrix(len(codes), k, bits, whole.reshape(groups, blocks, -1).copy(), scales.copy())


def _nothing(matrix: Matrix) -> Matrix:
    return replace(matrix, scales=np.zeros_like(matrix.scales))


def test_indices_that_are_not_there_are_refused(llama: GgufFile) -> None:
    config = read_config(llama)
    slab = KvSlots(KvLayout(config, None), 1, CONTEXT)
    run = LlamaPass(read_model(llama, config, CONTEXT), Cache(slab.layers), threads=1, max_rows=8).run

    def call(token: int = 1, slot: int = 0, position: int = 0, wanted: Sequence[int] = (0,)) -> Logits:
        ids = np.array([token, 1], np.int64), np.array([slot, 0], np.int32), np.array([position, 1], np.int32)
        return run(*ids, np.array(wanted, np.int32))

    assert np.isfinite(call()).all()
    for wrong in (
        {"token": -1},
        {"token": config.vocabulary},
        {"slot": 1},
        {"position": CONTEXT},
        {"position": -1},
        {"wanted": (2,)},
        {"wanted": (1, 0)},
        {"wanted": (0, 0)},
    ):
        with pytest.raises(ValueError, match=r"in 0 to|must ascend"):
            call(**wrong)  # type: ignore[arg-type]
    nine = np.zeros(9, np.int64), np.zeros(9, np.int32), np.arange(9, dtype=np.int32)
    with pytest.raises(ValueError, match="1 to 8 rows"):
        run(*nine, np.zeros(1, np.int32))


def test_arrays_that_do_not_fit_are_refused(llama: GgufFile) -> None:
    config = read_config(llama)
    model, slab = read_model(llama, config, CONTEXT), KvSlots(KvLayout(config, None), 1, CONTEXT)
    layer = model.layers[0]
    for broken in (
        replace(layer, q=layer.k),
        replace(layer, down=layer.up),
        replace(layer, attn_norm=layer.attn_norm[:-1]),
        replace(layer, ffn_norm=layer.ffn_norm.astype(np.float64)),
        replace(layer, up=replace(layer.up, codes=layer.up.codes[:, :, ::-1])),
        replace(layer, up=replace(layer.up, bits=2)),
    ):
        with pytest.raises(ValueError, match="not"):
            LlamaPass(
                replace(model, layers=[broken, *model.layers[1:]]), Cache(slab.layers), threads=1, max_rows=8
            )
    wrong_size = KvSlots(KvLayout(config, None), 1, CONTEXT // 2)
    with pytest.raises(ValueError, match="cos"):
        LlamaPass(model, Cache(wrong_size.layers), threads=1, max_rows=8)
    with pytest.raises(MemoryError):
        LlamaPass(model, Cache(slab.layers), threads=1000, max_rows=8)


def test_what_the_kernel_cannot_do_runs_on_onnxruntime(
    tmp_path: Path, llama: GgufFile, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = CpuConfig(context=32, threads=1, prefix_bytes=0)
    assert CpuModel(llama, settings).kernel == "compiled"
    assert CpuModel(llama, replace(settings, weights="f32")).kernel == "onnxruntime"
    odd = replace(LLAMA, hidden=48)  # not whole blocks
    other = open_gguf(write_llama(tmp_path / "m.gguf", odd))
    assert CpuModel(other, settings).kernel == "onnxruntime"
    with pytest.raises(ValueError, match="compiled kernel"):
        CpuModel(other, replace(settings, kernel="compiled"))
    monkeypatch.setattr(llama_cpu, "_library", None)  # as without a C compiler
    assert not fits(LLAMA)
    assert CpuModel(llama, settings).kernel == "onnxruntime"


@pytest.fixture(scope="session")
def default_model(model_path: Callable[[str], Path]) -> GgufFile:
    return open_gguf(model_path("smollm2-135m-instruct-q4_1"))


@pytest.fixture(scope="session")
def ids(default_model: GgufFile) -> list[int]:
    return Tokenizer.from_gguf(default_model).encode(text())[: quarter(1500)]


@pytest.fixture(scope="session")
def reference_perplexity(default_model: GgufFile, ids: list[int]) -> float:
    """Of the same file in float32, on ONNX Runtime."""
    config = CpuConfig(context=512, threads=1, weights="f32", prefix_bytes=0)
    return perplexity(CpuModel(default_model, config).open(), ids)


@pytest.mark.models
@pytest.mark.parametrize(("kv", "limit"), [("f32", 1.01), ("int8", 1.015)])
def test_perplexity_of_the_default_model(
    default_model: GgufFile, ids: list[int], reference_perplexity: float, kv: KvType, limit: float
) -> None:
    """All of the text read in windows, and some of it token by token."""
    model = CpuModel(default_model, CpuConfig(context=512, threads=1, kv=kv, prefix_bytes=0))
    assert model.kernel == "compiled"
    engine = model.open()
    assert perplexity(engine, ids) / reference_perplexity < limit
    few = ids[: quarter(512)]
    assert perplexity(engine, few, rows=1) == pytest.approx(perplexity(engine, few), rel=1e-9)


def test_shapes_that_fit() -> None:
    def shape(**changes: int) -> LlamaConfig:
        return replace(LLAMA, **changes)

    assert fits(shape())
    assert not fits(shape(head_dim=8))
    assert not fits(shape(width=48))
    assert not fits(shape(hidden=100))
