"""The GPU engine's reference, on the CPU, against the reference model: which reads each text anew."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from llama_files import SMALL, SMALL_QWEN2, SMALL_QWEN3, one_thread
from numpy.typing import NDArray
from quantized_files import quantized_weights, write_quantized
from torch_llama import Llama, TorchEngine

from llm.cuda.reference import ReferenceEngine
from llm.decode.engine import ContextFull, CudaBroken, EngineOutOfMemory, prefill, step
from llm.gguf.file import GgufFile, open_gguf
from llm.gguf.quants import GgmlType

CPU = torch.device("cpu")
CONTEXT = 100  # not whole pages
CONFIGS = {
    "llama": replace(SMALL, head_dim=16, width=64, hidden=96),
    "qwen2": replace(SMALL_QWEN2, head_dim=16, width=64, hidden=96),
    "qwen3": replace(SMALL_QWEN3, head_dim=32, width=64, hidden=96),
}
TYPES = {"ffn": GgmlType.Q4_1, "attn_output": GgmlType.Q4_0, "": GgmlType.Q8_0}  # all exact
Logits = NDArray[np.float32]


@pytest.fixture(scope="module", autouse=True)
def _one_thread() -> Iterator[None]:
    with one_thread():
        yield


@pytest.fixture(scope="module", params=CONFIGS.values(), ids=CONFIGS.keys())
def file(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> GgufFile:
    path = tmp_path_factory.mktemp("reference") / "m.gguf"
    return open_gguf(write_quantized(path, request.param, quantized_weights(request.param, TYPES)))


def text(length: int, seed: int = 0) -> list[int]:
    ids: list[int] = np.random.default_rng(seed).integers(0, SMALL.vocabulary, length).tolist()
    return ids


def exact(file: GgufFile, ids: list[int], logits_for: int = 1) -> Logits:
    return TorchEngine(Llama(file), CONTEXT).extend(ids, logits_for)


def test_any_calls_give_float32_s_logits(file: GgufFile) -> None:
    """A hundred times closer than keys and values in float16 come (test_llama_reference.py)."""
    engine, ids = ReferenceEngine(file, CONTEXT, CPU), text(CONTEXT)
    assert engine.context == CONTEXT
    near = {"rtol": 0, "atol": 2e-4}
    np.testing.assert_allclose(engine.extend(ids[:40], 40), exact(file, ids[:40], 40), **near)
    assert engine.extend([]).shape == engine.extend(ids[40:70], 0).shape == (0, SMALL.vocabulary)
    assert list(engine.tokens) == ids[:70]
    np.testing.assert_allclose(engine.extend(ids[70:], 3), exact(file, ids, 3), **near)
    engine.truncate(50)
    np.testing.assert_allclose(step(engine, 7), exact(file, [*ids[:50], 7])[0], **near)
    engine.shift(10, 30)
    left = [*ids[:10], *ids[30:50], 7]
    assert list(engine.tokens) == left
    np.testing.assert_allclose(step(engine, 8), exact(file, [*left, 8])[0], **near)
    engine.shift(20, len(engine.tokens))
    np.testing.assert_allclose(step(engine, 9), exact(file, [*left[:20], 9])[0], **near)
    other = text(60, seed=1)
    np.testing.assert_allclose(prefill(engine, other, 5), exact(file, other, 5), **near)


def test_what_does_not_fit_changes_nothing(file: GgufFile) -> None:
    engine, ids = ReferenceEngine(file, CONTEXT, CPU), text(CONTEXT)
    engine.extend(ids[:-1], 0)
    with pytest.raises(ContextFull, match="101 tokens do not fit a context of 100"):
        engine.extend([1, 2])
    assert list(engine.tokens) == ids[:-1]
    assert engine.extend(ids[-1:]).shape == (1, SMALL.vocabulary)
    assert ReferenceEngine(file, 10**6, CPU).context == SMALL.context


@pytest.mark.parametrize(
    ("error", "raised"),
    [
        (torch.OutOfMemoryError("CUDA out of memory"), EngineOutOfMemory),
        (RuntimeError("CUDA error: an illegal memory access"), CudaBroken),
    ],
    ids=["memory", "device"],
)
def test_a_pass_that_fails_has_the_engines_errors(
    file: GgufFile, error: Exception, raised: type[Exception], monkeypatch: pytest.MonkeyPatch
) -> None:
    engine, ids = ReferenceEngine(file, CONTEXT, CPU), text(30)
    engine.extend(ids, 0)
    with monkeypatch.context() as patched, pytest.raises(raised):
        patched.setattr(engine._runner, "prefill", _raises(error))
        engine.extend([1, 2])
    assert list(engine.tokens) == ids
    if raised is CudaBroken:
        with pytest.raises(CudaBroken):
            engine.extend([1])
    else:
        np.testing.assert_allclose(engine.extend([1]), exact(file, [*ids, 1]), rtol=0, atol=2e-4)


def test_a_model_of_odd_sizes_is_refused(tmp_path: Path) -> None:
    odd = replace(CONFIGS["llama"], hidden=48)
    file = open_gguf(write_quantized(tmp_path / "m.gguf", odd, quantized_weights(odd, {})))
    with pytest.raises(ValueError, match=r"m\.gguf: .* multiples of 32 channels"):
        ReferenceEngine(file, CONTEXT, CPU)


def _raises(error: Exception) -> object:
    def call(*_: object) -> None:
        raise error

    return call
