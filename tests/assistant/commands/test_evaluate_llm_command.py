"""`assistant eval llm` on small files that llama.cpp's own library wrote, and what it refuses."""

import hashlib
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from ended import Command
from gguf import GGUFWriter
from sizes import quarter
from tokenizers import pre_tokenizers
from torch_llama import Llama, TorchEngine

from assistant.commands.evaluate_llm import run_evaluate_llm
from kernels.llama.reference import ReferenceRunner
from llm.cuda import model as cuda
from llm.eval import engines as eval_engines
from llm.eval.data import text
from llm.eval.predict import EvalError, perplexity
from llm.gguf.file import GgufError, open_gguf
from llm.text.tokenizer import Tokenizer

WIDTH, HIDDEN, HEADS, KV_HEADS = 64, 128, 4, 2
JUDGED = quarter(2)  # prompts on a GPU
LETTERS = sorted(pre_tokenizers.ByteLevel.alphabet())


def tiny(path: Path, letters: list[str] = LETTERS, scale: float = 1.0) -> Path:
    """One layer, no chat template, a token a letter and one of two; `scale` multiplies one matrix."""
    tokens = [*letters, letters[-2] + letters[-1]]
    writer = GGUFWriter(path, "llama")
    writer.add_block_count(1)
    writer.add_embedding_length(WIDTH)
    writer.add_head_count(HEADS)
    writer.add_head_count_kv(KV_HEADS)
    writer.add_feed_forward_length(HIDDEN)
    writer.add_context_length(2000)
    writer.add_layer_norm_rms_eps(1e-5)
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("gpt-2")
    writer.add_token_list(tokens)
    writer.add_token_types([1] * len(tokens))
    writer.add_token_merges([" ".join(letters[-2:])])
    random, kv = np.random.default_rng(0), WIDTH // HEADS * KV_HEADS
    shapes = {
        "token_embd": (len(tokens), WIDTH),
        "output": (len(tokens), WIDTH),
        "blk.0.attn_q": (WIDTH, WIDTH),
        "blk.0.attn_k": (kv, WIDTH),
        "blk.0.attn_v": (kv, WIDTH),
        "blk.0.attn_output": (WIDTH, WIDTH),
        "blk.0.ffn_gate": (HIDDEN, WIDTH),
        "blk.0.ffn_up": (HIDDEN, WIDTH),
        "blk.0.ffn_down": (WIDTH, HIDDEN),
    }
    for name, shape in shapes.items():
        weight = random.normal(0, shape[1] ** -0.5, shape).astype(np.float32)
        writer.add_tensor(f"{name}.weight", weight * np.float32(scale if name == "blk.0.ffn_up" else 1))
    for name in ("blk.0.attn_norm", "blk.0.ffn_norm", "output_norm"):
        writer.add_tensor(f"{name}.weight", np.ones(WIDTH, np.float32))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


@pytest.fixture(autouse=True)
def no_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(eval_engines, "unsupported_reason", lambda: "there is no NVIDIA driver")


@pytest.fixture
def gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    """A GPU that can be used, whose passes run in torch on the CPU."""
    monkeypatch.setattr(eval_engines, "unsupported_reason", lambda: None)
    monkeypatch.setattr(eval_engines, "_GPU", "cpu")


def test_each_type_of_keys_and_values_has_a_row(assistant: Command, tmp_path: Path) -> None:
    path, report = tiny(tmp_path / "tiny.gguf"), tmp_path / "report.json"
    ended = assistant("eval", "llm", path, "--tokens", 400, "--json", report)
    assert (ended.code, ended.err) == (0, "")
    found = json.loads(report.read_text())
    assert found["model"] == {"name": path.name, "sha256": hashlib.sha256(path.read_bytes()).hexdigest()}
    assert (found["text_tokens"], found["prompts"]) == (400, 20)
    assert found["machine"]["python"]
    assert (found["device"], found["gpu"]) == ("cpu", None)
    gguf = open_gguf(path)
    ids = Tokenizer.from_gguf(gguf).encode(text())[:400]
    expected = perplexity(TorchEngine(Llama(gguf), 512), ids, 512)
    assert [row["kv"] for row in found["rows"]] == ["f32", "int8"]
    lines = ended.out.splitlines()
    assert lines[2].split() == ["reference", f"{expected:.3f}"]
    for row, line in zip(found["rows"], lines[3:5], strict=True):
        prefill = row["prefill"]
        assert prefill["reference_perplexity"] == pytest.approx(expected, rel=1e-4)
        assert prefill["ratio"] == prefill["perplexity"] / prefill["reference_perplexity"]
        assert 0.95 < prefill["ratio"] < 1.05
        assert 0 < prefill["kl"] < 0.05
        assert row["decode"]["tokens"] == 399
        assert len(row["replies"]["each"]) == 20
        assert (row["prompt"]["tokens"], row["prompt"]["ratio"]) == (64, pytest.approx(1, abs=0.05))
        [judged] = row["greedy"]
        assert judged["tokens"] == 10 * 128 == judged["equal"] + judged["ties"] + judged["beyond"]
        assert {one["operation"] for one in row["served"]} >= {"qkv", "attention", "down", "head"}
        assert [point["context"] for point in row["speed"]["decode"]] == [128, 1024]
        assert line.split()[:3] == [row["kv"], f"{prefill['perplexity']:.3f}", f"{prefill['ratio']:.4f}"]
        assert f"{row['replies']['identical']}/20" in line


def test_one_type_alone(assistant: Command, tmp_path: Path) -> None:
    ended = assistant("eval", "llm", tiny(tmp_path / "tiny.gguf"), "--tokens", 50, "--kv", "int8")
    assert ended.code == 0
    assert [line.split()[0] for line in ended.out.splitlines()[2:4]] == ["reference", "int8"]
    assert "f32" not in ended.out
    assert list(tmp_path.iterdir()) == [tmp_path / "tiny.gguf"]


def test_on_a_gpu_its_engine_is_measured(assistant: Command, tmp_path: Path, gpu: None) -> None:
    path, report = tiny(tmp_path / "tiny.gguf"), tmp_path / "report.json"
    words = ("--tokens", 200, "--prompts", JUDGED, "--json", report)
    ended = assistant("eval", "llm", path, *words)
    assert (ended.code, ended.err) == (0, "")
    found = json.loads(report.read_text())
    assert found["device"] == "cuda"
    assert [row["kv"] for row in found["rows"]] == ["f16", "int8"]
    assert "reference: the weights as the GPU holds them, in float32 on the GPU" in ended.out
    ids = Tokenizer.from_gguf(open_gguf(path)).encode(text())[:200]
    with eval_engines.reference(open_gguf(path), "cuda") as engine:
        expected = perplexity(engine, ids, 512)
    for row in found["rows"]:
        assert row["prefill"]["reference_perplexity"] == pytest.approx(expected, rel=1e-5)
        assert row["prefill"]["ratio"] == pytest.approx(1, abs=1e-4 if row["kv"] == "f16" else 0.01)
        [judged] = row["greedy"]
        assert (judged["form"], judged["tokens"], judged["beyond"]) == ("one by one", 128 * JUDGED, 0)
        assert {one["kernel"] for one in row["served"]} == {"torch"}
        assert [kernel["kernel"] for kernel in row["unsupported"]] == ["multi-step decoding"]
        assert (
            f"{row['kv']}: of {128 * JUDGED} greedy tokens, one by one, {judged['equal']} are the "
            f"reference's own after the same text, {judged['ties']} within 0.1 logits of it, 0 further off"
        ) in ended.out
        assert f"{row['kv']}: not used: multi-step decoding: " in ended.out


def test_a_gpu_that_computes_otherwise_is_reported(
    assistant: Command, tmp_path: Path, gpu: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The figures say it; as on the CPU, none of them makes the command fail."""

    class Wrong(ReferenceRunner):
        def decode(self, *call: Any) -> torch.Tensor:  # noqa: ANN401  # as it is; prefill goes through here
            logits = super().decode(*call)
            return logits + torch.sin(torch.arange(logits.shape[1]))

    monkeypatch.setattr(cuda, "_make_runner", lambda weights, cache, _: Wrong(weights, cache))
    words = (
        "--tokens",
        50,
        "--prompts",
        JUDGED,
        "--kv",
        "f16",
        "--device",
        "cuda",
        "--json",
        tmp_path / "r.json",
    )
    ended = assistant("eval", "llm", tiny(tmp_path / "tiny.gguf"), *words)
    assert ended.code == 0
    [row] = json.loads((tmp_path / "r.json").read_text())["rows"]
    [judged] = row["greedy"]
    assert judged["beyond"] > 25 * JUDGED
    assert f"{judged['beyond']} further off; the largest gap is {judged['largest_gap']:.3f}" in ended.out
    assert row["decode"]["kl"] > 0.05


def test_the_cpu_can_be_asked_for_beside_a_gpu(assistant: Command, tmp_path: Path, gpu: None) -> None:
    path, report = tiny(tmp_path / "tiny.gguf"), tmp_path / "report.json"
    words = ("--tokens", 50, "--prompts", 0, "--kv", "f32", "--device", "cpu", "--json", report)
    assert assistant("eval", "llm", path, *words).code == 0
    found = json.loads(report.read_text())
    assert (found["device"], [row["kv"] for row in found["rows"]]) == ("cpu", ["f32"])
    assert found["rows"][0]["greedy"] == []


@pytest.mark.parametrize(
    ("words", "fact"),
    [
        (("--device", "cuda"), "no model can be measured on a GPU here: there is no NVIDIA driver"),
        (("--prompts", 116), "116 prompts asked for: there are 115"),
    ],
)
def test_what_is_not_there_is_one_line(
    assistant: Command, tmp_path: Path, words: tuple[str | int, ...], fact: str
) -> None:
    ended = assistant("eval", "llm", tiny(tmp_path / "tiny.gguf"), *words)
    assert (ended.code, ended.out, ended.err) == (1, "", f"assistant: {fact}\n")


@pytest.mark.parametrize(
    ("device", "kv", "there"), [("cpu", "f16", "f32 and int8"), ("cuda", "f32", "f16 and int8")]
)
def test_types_of_the_other_device_are_refused(
    assistant: Command, tmp_path: Path, gpu: None, device: str, kv: str, there: str
) -> None:
    ended = assistant("eval", "llm", tiny(tmp_path / "tiny.gguf"), "--device", device, "--kv", kv)
    assert (ended.code, ended.out) == (2, "")
    assert "Invalid value for '--kv'" in ended.err
    assert f"on {device} keys and values are {there}, not {kv}" in ended.err


def test_a_file_that_cannot_be_read_or_written_is_one_line(assistant: Command, tmp_path: Path) -> None:
    broken = tmp_path / "broken.gguf"
    broken.write_bytes(tiny(tmp_path / "tiny.gguf").read_bytes()[:-1000])
    gone = tmp_path / "gone" / "report.json"
    for words, fact in (
        ([tmp_path / "none.gguf"], "none.gguf"),
        ([broken], "broken.gguf"),
        (["no-such-model"], "no-such-model"),
        ([tmp_path / "tiny.gguf", "--json", gone], str(gone)),
    ):
        ended = assistant("eval", "llm", *words)
        assert (ended.code, ended.out) == (1, "")
        assert ended.err.startswith("assistant: ")
        assert ended.err.count("\n") == 1
        assert fact in ended.err


@pytest.mark.parametrize(
    "words",
    [("--tokens", "1"), ("--tokens", "many"), ("--kv", "int3"), ("--device", "gpu"), ("--prompts", "-1")],
)
def test_what_no_engine_can_do_is_refused(assistant: Command, tmp_path: Path, words: tuple[str, ...]) -> None:
    ended = assistant("eval", "llm", tiny(tmp_path / "tiny.gguf"), *words)
    assert (ended.code, ended.out) == (2, "")
    assert f"Invalid value for '{words[0]}'" in ended.err


def test_a_model_whose_numbers_overflow_is_named(tmp_path: Path) -> None:
    path = tiny(tmp_path / "tiny.gguf", scale=1e38)
    with pytest.raises((EvalError, GgufError), match=f"^{path}: .* not finite"):  # whichever kernel runs
        run_evaluate_llm(str(path), ["f32"], 50, None)


def test_a_vocabulary_without_letters_is_named(tmp_path: Path) -> None:
    path = tiny(tmp_path / "tiny.gguf", letters=LETTERS[-35:])
    with pytest.raises(EvalError, match=f"^{path}: the vocabulary has no tokens for English text"):
        run_evaluate_llm(str(path), ["f32"], 50, None)
