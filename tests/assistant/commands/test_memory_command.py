"""`assistant memory` on files that llama.cpp's own library wrote, and what it refuses."""

import json
import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import psutil
import pytest
from ended import Command
from gguf import GGMLQuantizationType, GGUFWriter
from llama_files import SMALL, write_llama

from assistant.commands.memory_speed import Suitability
from assistant.config import LlmConfig
from llm.eval.data import prompts
from llm.eval.quick import QuickSpeed

# One layer, width 64, 4 heads and 2 KV heads of 16, hidden 96, 10 tokens, all matrices Q8_0 and tied: two
# blocks of 32 a row, in ffn_down three, and the embedding held twice.
LAYER_BLOCKS = 64 * 2 + 2 * 32 * 2 + 64 * 2 + 2 * 96 * 2 + 64 * 3
WEIGHTS = (2 * 10 * 2 + LAYER_BLOCKS) * 36 + 3 * 64 * 4
STORED = (10 * 2 + LAYER_BLOCKS) * 34 + 3 * 64 * 4
COPIES = (10 * 2 + LAYER_BLOCKS) * 2 * 4
ROW = 6 * 64 + 2 * (4 + 2 * 2) * 16 + 64 + 6 * 96


@pytest.fixture
def no_models(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    monkeypatch.setenv("ASSISTANT_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture(autouse=True)
def on_onnxruntime(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever this machine has."""
    monkeypatch.setattr("assistant.commands.memory.fits", lambda _: False)


def tiny(path: Path, architecture: str = "llama") -> Path:
    writer = GGUFWriter(path, architecture)
    writer.add_block_count(1)
    writer.add_embedding_length(64)
    writer.add_head_count(4)
    writer.add_head_count_kv(2)
    writer.add_feed_forward_length(96)
    writer.add_context_length(3000)
    writer.add_layer_norm_rms_eps(1e-5)
    writer.add_token_list([chr(0x100 + n) for n in range(10)])
    kv, q8 = 2 * 16, GGMLQuantizationType.Q8_0
    shapes = {"token_embd": (10, 64), "blk.0.attn_q": (64, 64), "blk.0.attn_k": (kv, 64)}
    shapes |= {"blk.0.attn_v": (kv, 64), "blk.0.attn_output": (64, 64), "blk.0.ffn_gate": (96, 64)}
    shapes |= {"blk.0.ffn_up": (96, 64), "blk.0.ffn_down": (64, 96)}
    for name, (rows, columns) in shapes.items():
        zeros = np.zeros((rows, columns // 32 * 34), np.uint8)
        writer.add_tensor(f"{name}.weight", zeros, raw_dtype=q8)
    for name in ("output_norm", "blk.0.attn_norm", "blk.0.ffn_norm"):
        writer.add_tensor(f"{name}.weight", np.ones(64, np.float32))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


def test_bytes_as_json(assistant: Command, no_models: Path, tmp_path: Path) -> None:
    path = tiny(tmp_path / "m.gguf")
    words = ("--context", "1000", "--sessions", "3", "--kv", "f16", "--json")
    ended = assistant("memory", path, *words)
    assert (ended.code, ended.err) == (0, "")
    report = json.loads(ended.out)
    assert 0 < report.pop("available_bytes") <= psutil.virtual_memory().total
    cache, workspace = 2 * 2 * 16 * 1000 * 3 * 2, (512 * (ROW + 4 * 1000) + 10 + 1000 * 16) * 4
    assert report == {
        "model": str(path),
        "context": 1000,
        "sessions": 3,
        "kv": "f16",
        "engine_kv": ["f32", "int8"],
        "weights_bytes": {"stored": STORED, "prepared": WEIGHTS, "scale_copies": COPIES},
        "kv_cache_bytes": cache,
        "kv_scales_bytes": 0,
        "workspace_bytes": workspace,
        "total_bytes": WEIGHTS + COPIES + cache + workspace,
        "fits": True,
    }
    assert not no_models.exists()


def test_defaults_are_those_of_the_engine(assistant: Command, no_models: Path, tmp_path: Path) -> None:
    report = json.loads(assistant("memory", tiny(tmp_path / "m.gguf"), "--json").out)
    assert [report[key] for key in ("context", "sessions", "kv")] == [2048, 1, LlmConfig().kv]
    assert report["kv"] == "int8"
    assert report["kv_cache_bytes"] == 2 * 2 * 16 * 2048
    assert report["kv_scales_bytes"] == 2 * 2 * 16 * 4


def test_the_table(assistant: Command, no_models: Path, tmp_path: Path) -> None:
    ended = assistant("memory", tiny(tmp_path / "m.gguf"), "--context", "1000", "--kv", "int8")
    lines = [" ".join(line.split()) for line in ended.out.splitlines()]
    assert lines[:6] == [
        "weights 36.8 kB 34.1 kB in the file",
        "copies of scales 7.8 kB made by ONNX Runtime",
        "int8 KV cache 64.0 kB 1 layers x 2 x 2 KV heads x 16 x 1000 tokens x 1",
        "int8 scales 0.3 kB once for all sessions",
        "workspace 10.9 MB activations of one pass, at most",
        "total 11.0 MB without Python and ONNX Runtime themselves",
    ]
    assert lines[6].startswith("available ")
    assert lines[7:] == ["it fits", "this engine keeps keys and values in f32 or int8"]
    assert (ended.code, ended.err) == (0, "")


def test_the_compiled_kernel_holds_what_the_file_does(
    assistant: Command, no_models: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("assistant.commands.memory.fits", lambda _: True)
    report = json.loads(assistant("memory", tiny(tmp_path / "m.gguf"), "--json").out)
    six_rows = 6 * 2 * 34  # of nothing: the embedding's ten fill a group of sixteen
    expected = {"stored": STORED, "prepared": STORED + six_rows, "scale_copies": 0}
    assert report["weights_bytes"] == expected


def test_f16_is_for_planning(assistant: Command, no_models: Path, tmp_path: Path) -> None:
    ended = assistant("memory", tiny(tmp_path / "m.gguf"), "--kv", "f16")
    assert "f16 KV cache" in ended.out
    assert "scales once" not in " ".join(ended.out.split())
    assert ended.out.endswith("this engine keeps keys and values in f32 or int8\n")


def test_more_than_there_is(assistant: Command, no_models: Path, tmp_path: Path) -> None:
    words = (tiny(tmp_path / "m.gguf"), "--context", "3000", "--sessions", "1000000", "--kv", "f32")
    ended = assistant("memory", *words)
    assert ended.code == 0
    verdict = ended.out.splitlines()[-2]
    assert verdict.startswith("it does not fit: ")
    assert verdict.endswith(" GB are missing")
    assert json.loads(assistant("memory", *words, "--json").out)["fits"] is False


def test_a_context_beyond_the_models_is_cut_and_said(
    assistant: Command, no_models: Path, tmp_path: Path
) -> None:
    path = tiny(tmp_path / "m.gguf")
    ended = assistant("memory", path, "--context", "5000")
    assert "3000 tokens" in ended.out
    assert ended.out.endswith("the model's own context is 3000 tokens, so that 5000 are never kept\n")
    assert json.loads(assistant("memory", path, "--context", "5000", "--json").out)["context"] == 3000


def test_no_tokens_and_no_sessions(assistant: Command, no_models: Path, tmp_path: Path) -> None:
    path = tiny(tmp_path / "m.gguf")
    for nothing in (("--context", "0"), ("--sessions", "0")):
        report = json.loads(assistant("memory", path, "--kv", "f16", *nothing, "--json").out)
        assert report["total_bytes"] == WEIGHTS + COPIES
        assert report["workspace_bytes"] == report["kv_cache_bytes"] == 0


def missing(path: Path) -> Path:
    return path


def folder(path: Path) -> Path:
    path.mkdir()
    return path


def no_gguf(path: Path) -> Path:
    path.write_text("Not a model at all.")
    return path


def cut_off(path: Path) -> Path:
    whole = tiny(path).read_bytes()
    path.write_bytes(whole[:-5000])
    return path


def other_architecture(path: Path) -> Path:
    return tiny(path, "mamba")


@pytest.mark.parametrize(
    ("make", "fact"),
    [
        (missing, "No such file"),
        (folder, "is not a file"),
        (no_gguf, "not a GGUF file"),
        (cut_off, "after the end of the file"),
        (other_architecture, "architecture 'mamba' is not supported"),
    ],
)
@pytest.mark.parametrize("form", [[], ["--json"]])
def test_a_file_that_is_no_model(
    make: Callable[[Path], Path],
    fact: str,
    form: list[str],
    assistant: Command,
    no_models: Path,
    tmp_path: Path,
) -> None:
    path = make(tmp_path / "mine.gguf")
    ended = assistant("memory", path, *form)
    assert (ended.code, ended.out, ended.err.count("\n")) == (1, "", 1)
    assert ended.err.startswith(f"assistant: {path}: ")
    assert fact in ended.err


def test_an_unknown_name(assistant: Command, no_models: Path) -> None:
    ended = assistant("memory", "smollm2-135m")
    assert (ended.code, ended.out) == (1, "")
    assert "smollm2-135m-instruct-q4_1" in ended.err


@pytest.mark.parametrize(
    "words",
    [
        ("--context", "-1"),
        ("--context", "1.5"),
        ("--sessions", "-2"),
        ("--sessions", "0.5"),
        ("--sessions", "1" + "0" * 400),
        ("--kv", "fp8"),
    ],
)
def test_an_option_that_cannot_be(
    words: tuple[str, str], assistant: Command, no_models: Path, tmp_path: Path
) -> None:
    ended = assistant("memory", tiny(tmp_path / "m.gguf"), *words)
    assert (ended.code, ended.out) == (2, "")
    assert f"Invalid value for '{words[0]}'" in ended.err


def test_a_model_is_timed(assistant: Command, no_models: Path, tmp_path: Path) -> None:
    path = write_llama(tmp_path / "m.gguf", replace(SMALL, head_dim=16))
    ended = assistant("memory", path, "--speed")
    timed = ended.out.splitlines()[-4:]
    assert ended.code == 0
    assert re.fullmatch(
        r"on the [CG]PU it reads \S+ tokens a second in a prompt of \d+, and writes .*", timed[0]
    )
    assert timed[1].startswith("speech takes about 19 tokens a second; ")  # one byte a token
    found = json.loads(assistant("memory", path, "--speed", "--json").out)["speed"]
    assert found["speech_tokens_per_s"] == 19
    longest = max(len(said) for said in prompts())
    template = len("user\n\nassistant\n") + 3  # and three special tokens
    assert template < found["turn_tokens"] < template + longest
    assert found["first_phrase_s"] > 8 / found["speed"]["decode_tokens_per_s"] > 0


def test_a_model_that_does_not_fit_is_not_loaded(
    assistant: Command, no_models: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("assistant.commands.memory.measure_suitability", None)
    words = (tiny(tmp_path / "m.gguf"), "--sessions", "1000000", "--speed")
    assert assistant("memory", *words).out.endswith("\nnot timed, since it does not fit\n")
    assert json.loads(assistant("memory", *words, "--json").out)["speed"] is None


@pytest.mark.parametrize(
    ("decode", "verdict"), [(4.9, "too slow"), (5.1, "just fast enough"), (7.2, "fast enough for")]
)
def test_the_verdict_is_of_what_speech_takes(decode: float, verdict: str) -> None:
    found = Suitability("cpu", QuickSpeed(128, 40.0, decode), speech_tokens_per_s=5.0, turn_tokens=20)
    assert found.verdict.startswith(verdict)
    assert found.first_phrase_s == pytest.approx(20 / 40 + 8 / decode)


@pytest.mark.models
def test_the_default_model_by_name(model_path: Callable[[str], Path], assistant: Command) -> None:
    name = "smollm2-135m-instruct-q4_1"
    model_path(name)
    report = json.loads(assistant("memory", name, "--json").out)
    # 30 layers of 3,538,944 weights in 8 bits and a scale for 64; the embedding of 49152 x 576, which is
    # Q8_0 with one for 32, twice; 61 norms of 576.
    layers, embedding, norms = 30 * 3_538_944 // 64 * 68, 49152 * 18 * 36, 61 * 576 * 4
    assert report["weights_bytes"]["prepared"] == layers + 2 * embedding + norms
    assert report["kv_cache_bytes"] == 11_520 * 2048
