"""Engines as they are measured: the CPU's, the GPU's with its passes in torch, and wrong ones."""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from ahead_standin import Standin
from llama_files import SMALL, one_thread
from quantized_files import quantized_weights, write_quantized
from sizes import quarter
from torch_llama import Llama, TorchEngine

from kernels.llama import multi_step
from kernels.llama.graph import GraphRunner
from kernels.llama.multi_step import Start
from kernels.llama.reference import ReferenceRunner
from llm.cuda import model as cuda
from llm.cuda.reference import ReferenceEngine
from llm.decode.served import Unsupported
from llm.eval import engines as eval_engines
from llm.eval.engines import Kv, Place, place_of, reference, subject
from llm.eval.predict import EvalError
from llm.eval.quality import Quality, Task, measure, read_task
from llm.gguf.file import GgufError, GgufFile, open_gguf
from llm.gguf.quants import GgmlType

CPU = torch.device("cpu")
CONFIG = replace(SMALL, head_dim=32, width=64, hidden=64)
JUDGED = quarter(3)  # prompts
GREEDY = 128 * JUDGED  # tokens of their replies
FEW = 4 * JUDGED  # that rounding to 8 bits may change
TYPES = {"ffn": GgmlType.Q4_1, "attn_output": GgmlType.Q4_0, "": GgmlType.Q8_0}  # all exact


@pytest.fixture(scope="module", autouse=True)
def _one_thread() -> Iterator[None]:
    with one_thread():
        yield


@pytest.fixture(autouse=True)
def in_torch(monkeypatch: pytest.MonkeyPatch) -> None:
    """The GPU's engine on the CPU, with a stand-in for the kernel that decodes ahead."""
    monkeypatch.setattr(eval_engines, "_GPU", "cpu")
    monkeypatch.setattr(multi_step, "unsupported_reason", lambda *_: None)
    monkeypatch.setattr(multi_step, "MultiStepDecoder", Standin)


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> GgufFile:
    path = tmp_path_factory.mktemp("engines") / "m.gguf"
    return open_gguf(write_quantized(path, CONFIG, quantized_weights(CONFIG, TYPES)))


@pytest.fixture(scope="module")
def task(file: GgufFile) -> Task:
    """Prompts that leave room for a judged reply: here a letter is a token."""
    whole = read_task(file, 150, judged=JUDGED)
    ends = [[prompt[-40:] for prompt in prompts] for prompts in (whole.prompts[:4], whole.judged)]
    return replace(whole, prompts=ends[0], judged=ends[1])


class Off(ReferenceRunner):
    """Its logits are not the model's."""

    def decode(self, *call: Any) -> torch.Tensor:  # noqa: ANN401  # as it is; prefill goes through here
        logits = super().decode(*call)
        return logits + 2 * torch.sin(torch.arange(logits.shape[1]))


def quality(file: GgufFile, task: Task, place: Place, kv: Kv) -> Quality:
    with reference(file, place) as judge, subject(file, place, kv) as opened:
        return measure(opened.engine, judge, task)


@pytest.mark.parametrize("rounded", [False, True], ids=["float32", "as launched"])
@pytest.mark.parametrize(("kv", "off", "kl", "beyond"), [("f16", 1e-3, 1e-5, 0), ("int8", 0.03, 5e-3, FEW)])
def test_the_gpu_engine_agrees_with_float32(
    file: GgufFile, task: Task, kv: Kv, off: float, kl: float, beyond: int, rounded: bool,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    """Activations in float32, or in float16 between the launches, each as torch stands in for its kernel."""
    if rounded:
        monkeypatch.setattr(cuda, "_make_runner", lambda w, cache, _: GraphRunner(w, cache, CPU))
    found = quality(file, task, "cuda", kv)
    assert (found.prefill.tokens, found.decode.tokens, found.prompt.tokens) == (149, 149, 64)
    for comparison in (found.prefill, found.decode, found.prompt):
        assert comparison.ratio == pytest.approx(1, abs=off)
        assert 0 < comparison.kl < kl
    assert [judged.form for judged in found.greedy] == ["one by one", "ahead"]
    for judged in found.greedy:
        assert judged.tokens == GREEDY
        assert judged.beyond() <= beyond
        assert judged.equal >= GREEDY - 3 * max(1, beyond)


def test_the_reference_is_the_files_float32(file: GgufFile, task: Task) -> None:
    expected = TorchEngine(Llama(file), 256).extend(task.text[:100], 100)
    places: tuple[Place, ...] = ("cuda", "cpu")
    for place in places:
        with reference(file, place) as judge:
            assert isinstance(judge, ReferenceEngine) == (place == "cuda")
            np.testing.assert_allclose(judge.extend(task.text[:100], 100), expected, atol=2e-3)


@pytest.mark.parametrize("kv", ["f16", "int8"])
def test_passes_that_are_wrong_are_reported(
    file: GgufFile, task: Task, kv: Kv, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every logit is off by up to two; the kernel that decodes ahead is right."""
    monkeypatch.setattr(cuda, "_make_runner", lambda w, cache, _: Off(w, cache))
    found = quality(file, task, "cuda", kv)
    for comparison in (found.prefill, found.decode, found.prompt):
        assert comparison.kl > 0.1
        assert comparison.same_argmax < 0.8
    steps, ahead = found.greedy
    assert steps.beyond() > GREEDY / 4
    assert steps.largest > 1
    assert ahead.beyond() <= FEW + JUDGED  # and the first of each, which the prompt's pass chooses


@pytest.mark.parametrize("kv", ["f16", "int8"])
def test_a_kernel_ahead_that_is_wrong_is_reported(
    file: GgufFile, task: Task, kv: Kv, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each token is read one place too far on: keys are turned too much, and one before it is not there."""

    class Beside(Standin):
        def begin(self, starts: Sequence[Start]) -> None:
            super().begin([replace(start, position=start.position + 1) for start in starts])

    monkeypatch.setattr(multi_step, "MultiStepDecoder", Beside)
    found = quality(file, task, "cuda", kv)
    steps, ahead = found.greedy
    assert steps.beyond() <= FEW
    assert ahead.beyond() > GREEDY / 8
    assert ahead.largest > 1


def test_the_kernels_that_served_are_told(file: GgufFile, task: Task) -> None:
    with reference(file, "cuda") as judge, subject(file, "cuda", "int8") as opened:
        measure(opened.engine, judge, task)
        served = opened.engine.take_served()
    assert {one.operation.kernel for one in served} >= {"torch", "Triton, small_batch.head"}
    ahead = {one.passes for one in served if one.operation.kernel != "torch"}
    assert ahead == {127 * JUDGED}  # the first of each reply is the prompt's
    assert opened.unsupported == ()


def test_without_the_kernel_ahead_there_is_one_form(
    file: GgufFile, task: Task, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(multi_step, "unsupported_reason", lambda *_: "it is odd")
    with reference(file, "cuda") as judge, subject(file, "cuda", "f16") as opened:
        assert opened.unsupported == (Unsupported("multi-step decoding", "it is odd", of_gpu=True),)
        [judged] = measure(opened.engine, judge, task).greedy
    assert judged.form == "one by one"


@pytest.mark.parametrize(("kv", "beyond"), [("f32", FEW), ("int8", 2 * FEW)])
def test_the_cpu_engine_is_judged_too(file: GgufFile, task: Task, kv: Kv, beyond: int) -> None:
    [judged] = quality(file, task, "cpu", kv).greedy
    assert (judged.form, judged.tokens) == ("one by one", GREEDY)
    assert judged.beyond() <= beyond  # activations are rounded to 8 bits
    assert judged.equal > 0.8 * GREEDY


def test_nothing_is_copied_from_what_was_read_before(file: GgufFile, task: Task) -> None:
    kinds: tuple[tuple[Place, Kv], ...] = (("cpu", "int8"), ("cuda", "f16"))
    for place, kv in kinds:
        with subject(file, place, kv) as opened:
            for _ in range(2):
                opened.engine.extend(task.text[:100], 0)
                opened.engine.cache_prefix()
                opened.engine.truncate(0)
            rows = opened.engine.take_served()
        assert {one.passes for one in rows} == {2}
        assert all("<=128" in one.operation.shape for one in rows if one.operation.name == "down")


def test_where_a_model_is_measured(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(eval_engines, "unsupported_reason", lambda: None)
    assert [place_of(device) for device in ("auto", "cpu", "cuda")] == ["cuda", "cpu", "cuda"]
    monkeypatch.setattr(eval_engines, "unsupported_reason", lambda: "there is no NVIDIA driver")
    assert [place_of(device) for device in ("auto", "cpu")] == ["cpu", "cpu"]
    with pytest.raises(EvalError, match="no model can be measured on a GPU here: there is no NVIDIA driver"):
        place_of("cuda")


def test_a_model_that_no_kernel_takes_is_refused(tmp_path: Path) -> None:
    odd = replace(CONFIG, hidden=48)
    file = open_gguf(write_quantized(tmp_path / "m.gguf", odd, quantized_weights(odd, {})))
    with pytest.raises(EvalError, match=r"m\.gguf: .* multiples of 32 channels"), reference(file, "cuda"):
        pass
    with pytest.raises(EvalError, match="multiples of 32 channels"), subject(file, "cuda", "int8"):
        pass


def test_a_broken_file_is_named_as_such(file: GgufFile, tmp_path: Path) -> None:
    weights = quantized_weights(CONFIG, {})
    type_, shape, data = weights["blk.0.ffn_up.weight"]
    weights["blk.0.ffn_up.weight"] = (type_, shape, np.full(len(data) // 4, np.inf, np.float32).tobytes())
    broken = open_gguf(write_quantized(tmp_path / "m.gguf", CONFIG, weights))
    with pytest.raises(GgufError, match="not finite"), reference(broken, "cuda"):
        pass


def test_so_many_prompts_there_are(file: GgufFile) -> None:
    task = read_task(file, 10, judged=115)
    assert task.judged[:20] == task.prompts
    assert len({tuple(prompt) for prompt in task.judged}) == 115
    assert read_task(file, 10).judged == []
    with pytest.raises(EvalError, match="116 prompts asked for: there are 115"):
        read_task(file, 10, judged=116)
