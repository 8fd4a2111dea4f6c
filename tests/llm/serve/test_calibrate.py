from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from gguf_writer import I32, STRING, array
from llama_files import SMALL, SMALL_QWEN3, SPECIAL, TOKENS, write_llama
from numpy.typing import NDArray

from llm.cpu.model import CpuConfig, CpuModel
from llm.eval.data import text
from llm.gguf.config import LlamaConfig
from llm.gguf.file import GgufFile, open_gguf
from llm.serve.calibrate import calibration_tokens, scales_of
from llm.serve.kv_type import KvType
from llm.text.tokenizer import Tokenizer, TokenizerError

LLAMA = replace(SMALL, head_dim=16, width=64)
QWEN3 = replace(SMALL_QWEN3, head_dim=16, width=64)
IDS = np.random.default_rng(5).integers(0, len(TOKENS), 48).tolist()
HEADROOM = 1.5


def load(file: GgufFile, kv: KvType, context: int = 64) -> CpuModel:
    config = CpuConfig(context=context, threads=1, prefix_bytes=0, weights="f32", kv=kv)
    return CpuModel(file, config)


def held(model: CpuModel, ids: list[int], layer: int = 0) -> list[NDArray[np.float32]]:
    """Keys and values of a text in one layer, [kv heads, tokens, head dim] each."""
    with model.open() as engine:
        engine.extend(ids, 0)
        return [part[0, :, : len(ids)].astype(np.float32) for part in model.kv.layers[layer]]


def test_the_text_is_a_conversation_in_special_tokens(tmp_path: Path) -> None:
    file = open_gguf(write_llama(tmp_path / "m.gguf"))
    ids = calibration_tokens(file)
    start, end = (TOKENS.index(name) for name in SPECIAL)
    assert ids[0] == start
    assert ids.count(start) == ids.count(end) > 4
    assert "museum" in Tokenizer.from_gguf(file).decode(ids)


def test_a_vocabulary_without_letters_is_refused(tmp_path: Path) -> None:
    metadata = {
        "tokenizer.ggml.tokens": array(STRING, [f"<{i}>" for i in range(len(TOKENS))]),
        "tokenizer.ggml.token_type": array(I32, [3] * len(TOKENS)),
    }
    file = open_gguf(write_llama(tmp_path / "m.gguf", LLAMA, metadata=metadata))
    with pytest.raises(TokenizerError, match=f"^{file.path}: the vocabulary has no tokens for English"):
        load(file, "int8")


def test_scales_by_hand() -> None:
    """Of a key the longest of each pair, of a value the largest of each channel, with room above it.

    Two layers, one head, three tokens, four channels.
    """
    keys = np.array([[[3, -4, 1, 0], [0, 0, 0, -2], [1, 1, 0, 0]]], np.float32)
    values = np.array([[[0, 5, 1, 0], [0, -6, 2, 0], [0, 4, -3, 0]]], np.float32)
    neighbours, apart = [5, 5, 2, 2], [10**0.5, 4, 10**0.5, 4]
    most = [0, 6, 3, 0]
    for rotary, reach, other in (("interleaved", neighbours, [6, 6, 3, 3]), ("half", apart, [3, 6, 3, 6])):
        got = scales_of([(keys, values), (values, np.abs(keys))], rotary)
        assert got.dtype == np.float32
        assert got.shape == (2, 2, 1, 1, 4)
        expected = np.array([[reach, most], [other, [3, 4, 1, 2]]])[:, :, None, None] * HEADROOM / 127
        np.testing.assert_allclose(got, expected, rtol=1e-6, atol=1e-8)
        assert (got > 0).all()  # a channel that was never used: it is divided by


def test_a_slow_pair_is_not_clipped_further_on() -> None:
    """A key that turns a tenth of a radian in the text, and more later: only its length stays."""
    angles = np.linspace(0, 0.1, 50)
    text = np.stack([np.cos(angles), np.sin(angles)], axis=1)[None].astype(np.float32)
    scale = scales_of([(text, text)], "interleaved")[0, 0, 0, 0]
    later = np.array([np.cos(1.5), np.sin(1.5)])
    assert (np.abs(later / scale) <= 127).all()


@pytest.mark.parametrize("config", [LLAMA, QWEN3], ids=["llama", "qwen3"])
def test_the_scales_of_a_model_cover_the_text(tmp_path: Path, config: LlamaConfig) -> None:
    file = open_gguf(write_llama(tmp_path / "m.gguf", config))
    ids = calibration_tokens(file)[: config.context]
    exact, rounded = load(file, "f32", config.context), load(file, "int8", config.context)
    scales = rounded.kv.layout.scales
    assert scales is not None
    assert scales.shape == (config.layers, 2, config.kv_heads, 1, config.head_dim)
    for layer in range(config.layers):
        keys, values = held(exact, ids, layer)
        largest = np.abs(values).max(axis=1)
        np.testing.assert_allclose(largest / scales[layer, 1, :, 0], 127 / HEADROOM, rtol=1e-4)
        half = config.head_dim // 2
        one, other = (
            (keys[..., 0::2], keys[..., 1::2])
            if config.rotary == "interleaved"
            else (keys[..., :half], keys[..., half:])
        )
        together = np.hypot(one, other).max(axis=1)
        both = [together, together]
        lengths = (
            np.stack(both, 2).reshape(largest.shape) if config.rotary == "interleaved" else np.hstack(both)
        )
        np.testing.assert_allclose(lengths / scales[layer, 0, :, 0], 127 / HEADROOM, rtol=1e-4)
        codes = np.stack(held(rounded, ids, layer))
        assert 80 < np.abs(codes).max() < 100  # nothing near the end of an int8


@pytest.mark.parametrize("context", [1, 40])
def test_a_short_context_is_calibrated_with_what_fits(tmp_path: Path, context: int) -> None:
    config = replace(LLAMA, context=context)
    file = open_gguf(write_llama(tmp_path / "m.gguf", config))
    model = load(file, "int8")
    with model.open() as engine:
        assert np.isfinite(engine.extend(IDS[:context], context)).all()


@pytest.mark.parametrize("config", [LLAMA, QWEN3], ids=["llama", "qwen3"])
def test_what_exceeds_a_scale_is_clipped(
    tmp_path: Path, config: LlamaConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = open_gguf(write_llama(tmp_path / "m.gguf", config))
    scales = load(file, "int8").kv.layout.scales
    assert scales is not None
    small = scales / np.float32(4)  # as if the calibration had seen a quarter of what comes
    monkeypatch.setattr("llm.cpu.model._kv_scales", lambda *_: small)
    model = load(file, "int8")
    exact = held(load(file, "f32"), IDS)
    for codes, part, scale in zip(held(model, IDS), exact, small[0], strict=True):
        expected = np.clip(np.rint(part / scale), -128, 127)
        assert 0.05 < np.mean(np.abs(expected) >= 127) < 0.9
        np.testing.assert_allclose(codes, expected, atol=1)  # a product may round to the other side


@pytest.mark.models
def test_the_default_model_is_clipped_rarely(model_path: Callable[[str], Path]) -> None:
    file = open_gguf(model_path("smollm2-135m-instruct-q4_1"))
    config = CpuConfig(context=256, prefix_bytes=0, kernel="onnxruntime")
    exact, rounded = (CpuModel(file, replace(config, kv=kv)) for kv in ("f32", "int8"))
    assert rounded.kv.layout.scales is not None
    ids = Tokenizer.from_gguf(file).encode(text())[:256]
    with exact.open() as engine:
        engine.extend(ids, 0)
        kv = exact.kv.read(0, 0, 256)  # [layers, 2, kv heads, tokens, head dim]
    assert np.mean(np.abs(kv) > 127 * rounded.kv.layout.scales) < 1e-3
