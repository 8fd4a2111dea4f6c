"""Engines opened to be measured: the CPU's, and the GPU's with its passes in torch; right ones and wrong ones."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from llama_files import SMALL, one_thread
from persistent_standin import Standin
from quantized_files import quantized_weights, write_quantized

from kernels import llama_persistent
from kernels.llama_graph import GraphRunner
from kernels.llama_reference import ReferenceRunner
from llm import cuda, eval_engines
from llm.cuda_reference import ReferenceEngine
from llm.eval import EvalError
from llm.eval_engines import Kv, Place, place_of, reference, subject
from llm.gguf import GgufError, GgufFile, open_gguf
from llm.model import Llama
from llm.quality import Quality, Task, measure, read_task
from llm.quants import GgmlType
from llm.served import NotUsed
from llm.torch_engine import TorchEngine

CONFIG = replace(SMALL, head_dim=16, width=64, hidden=64)
TYPES = {"ffn": GgmlType.Q4_1, "attn_output": GgmlType.Q4_0, "": GgmlType.Q8_0}  # all exact


@pytest.fixture(scope="module", autouse=True)
def _one_thread() -> Iterator[None]:
    with one_thread():
        yield


@pytest.fixture(autouse=True)
def in_torch(monkeypatch: pytest.MonkeyPatch) -> None:
    """The GPU's engine on the CPU, with a stand-in for the kernel that decodes ahead."""
    monkeypatch.setattr(eval_engines, "_GPU", "cpu")
    monkeypatch.setattr(llama_persistent, "why_not", lambda *_: None)
    monkeypatch.setattr(llama_persistent, "PersistentDecoder", Standin)


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> GgufFile:
    path = tmp_path_factory.mktemp("engines") / "m.gguf"
    return open_gguf(write_quantized(path, CONFIG, quantized_weights(CONFIG, TYPES)))


@pytest.fixture(scope="module")
def task(file: GgufFile) -> Task:
    """Prompts that leave room for a judged reply: here a letter is a token."""
    whole = read_task(file, 150, judged=3)
    assert len(whole.judged) == 3
    return replace(whole, prompts=[prompt[-30:] for prompt in whole.prompts[:4]], judged=whole.prompts[2:5])


def short(task: Task, judged: int = 3) -> Task:
    return replace(task, judged=[prompt[-40:] for prompt in task.judged[:judged]])


def quality(file: GgufFile, task: Task, place: Place, kv: Kv) -> Quality:
    with reference(file, place) as judge, subject(file, place, kv) as opened:
        return measure(opened.engine, judge, task)


@pytest.mark.parametrize("rounded", [False, True], ids=["float32", "as launched"])
@pytest.mark.parametrize(("kv", "kl", "worst"), [("f16", 1e-4, 0.1), ("int8", 0.05, 1.5)])
def test_the_gpu_engine_agrees_with_float32(
    file: GgufFile, task: Task, kv: Kv, kl: float, worst: float, rounded: bool,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    """Activations in float32, or in float16 between the launches, each as torch stands in for its kernel."""
    if rounded:
        monkeypatch.setattr(cuda, "_make_runner", lambda w, cache, _: GraphRunner(w, cache, torch.device("cpu")))
    found = quality(file, short(task), "cuda", kv)
    for comparison in (found.prefill, found.decode, found.prompt):
        assert comparison.ratio == pytest.approx(1, abs=0.001 if kv == "f16" else 0.05)
        assert 0 < comparison.kl < kl
        assert comparison.same_argmax > (0.98 if kv == "f16" else 0.8)
    assert [judged.form for judged in found.greedy] == ["one by one", "ahead"]
    for judged in found.greedy:
        assert judged.tokens == 3 * 128
        assert judged.largest < worst
        assert judged.equal > (380 if kv == "f16" else 300)


def test_the_reference_is_the_files_float32(file: GgufFile, task: Task) -> None:
    expected = TorchEngine(Llama(file), 256).extend(task.text[:100], 100)
    with reference(file, "cuda") as judge:
        assert isinstance(judge, ReferenceEngine)
        np.testing.assert_allclose(judge.extend(task.text[:100], 100), expected, atol=2e-4)
    with reference(file, "cpu") as judge:
        np.testing.assert_allclose(judge.extend(task.text[:100], 100), expected, atol=2e-3)


@pytest.mark.parametrize("kv", ["f16", "int8"])
def test_passes_that_are_wrong_are_reported(
    file: GgufFile, task: Task, kv: Kv, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Here each token is read one place too far on; the kernel that decodes ahead is right."""

    class Shifted(ReferenceRunner):
        def _pass(self, tokens: torch.Tensor, slots: torch.Tensor, positions: torch.Tensor, *rest):  # noqa: ANN002, ANN202
            return super()._pass(tokens, slots, positions, *rest) + 2 * torch.sin(torch.arange(258.0))

    monkeypatch.setattr(cuda, "_make_runner", lambda w, cache, _: Shifted(w, cache))
    found = quality(file, short(task), "cuda", kv)
    assert found.prefill.kl > 0.1
    steps, ahead = found.greedy
    assert steps.beyond() > 100
    assert steps.largest > 1
    assert ahead.beyond() < 100


