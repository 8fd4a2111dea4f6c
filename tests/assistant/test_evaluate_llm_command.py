"""`assistant eval llm` on small files that llama.cpp's own library wrote, and what it refuses."""

import hashlib
import json
from pathlib import Path

import numpy as np
import pytest
from ended import Command
from gguf import GGUFWriter
from tokenizers import pre_tokenizers

from assistant.commands.evaluate_llm import run_evaluate_llm
from llm.eval import EvalError, perplexity
from llm.eval_data import text
from llm.gguf import GgufError, open_gguf
from llm.model import Llama
from llm.tokenizer import Tokenizer
from llm.torch_engine import TorchEngine

WIDTH, HIDDEN, HEADS, KV_HEADS = 64, 128, 4, 2
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


def test_each_type_of_keys_and_values_has_a_row(assistant: Command, tmp_path: Path) -> None:
    path, report = tiny(tmp_path / "tiny.gguf"), tmp_path / "report.json"
    ended = assistant("eval", "llm", path, "--tokens", 400, "--json", report)
    assert (ended.code, ended.err) == (0, "")
    found = json.loads(report.read_text())
    assert found["model"] == {"name": path.name, "sha256": hashlib.sha256(path.read_bytes()).hexdigest()}
    assert (found["text_tokens"], found["prompts"]) == (400, 20)
    assert found["machine"]["python"]
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
        assert [point["context"] for point in row["speed"]["decode"]] == [128, 1024]
        assert line.split()[:3] == [row["kv"], f"{prefill['perplexity']:.3f}", f"{prefill['ratio']:.4f}"]
        assert f"{row['replies']['identical']}/20" in line


def test_one_type_alone(assistant: Command, tmp_path: Path) -> None:
    ended = assistant("eval", "llm", tiny(tmp_path / "tiny.gguf"), "--tokens", 50, "--kv", "int8")
    assert ended.code == 0
    assert [line.split()[0] for line in ended.out.splitlines()[2:4]] == ["reference", "int8"]
    assert "f32" not in ended.out
    assert list(tmp_path.iterdir()) == [tmp_path / "tiny.gguf"]


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


@pytest.mark.parametrize("words", [("--tokens", "1"), ("--tokens", "many"), ("--kv", "int3")])
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
