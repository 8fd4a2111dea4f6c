"""The adapter's file is for Hugging Face's checkpoint: checked with their model and LoRA's definition."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from llama_files import SMALL, write_llama
from safetensors.torch import load_file
from transformers import LlamaConfig, LlamaForCausalLM

from llm.gguf.file import GgufFile, open_gguf
from llm.train.adapter import CONFIG_FILE, WEIGHTS_FILE, Adapter, read_adapter, write_adapter
from llm.train.model import read_llama

CPU = torch.device("cpu")
IDS = torch.arange(40).view(2, 20) * 5 % SMALL.vocabulary
NAMES = {
    "attn_norm": "input_layernorm",
    "attn_q": "self_attn.q_proj",
    "attn_k": "self_attn.k_proj",
    "attn_v": "self_attn.v_proj",
    "attn_output": "self_attn.o_proj",
    "ffn_norm": "post_attention_layernorm",
    "ffn_gate": "mlp.gate_proj",
    "ffn_up": "mlp.up_proj",
    "ffn_down": "mlp.down_proj",
}


@pytest.fixture
def adapter() -> Adapter:
    """One that changes something: B begins with zeros."""
    adapter = Adapter(SMALL, rank=4, alpha=8.0)
    generator = torch.Generator().manual_seed(1)
    for parameter in adapter.b.values():
        parameter.data = torch.randn(parameter.shape, generator=generator) * 0.1
    return adapter


def checkpoint(tmp_path: Path) -> tuple[LlamaForCausalLM, GgufFile]:
    """A random checkpoint, and its file as llama.cpp's converter writes it."""
    torch.manual_seed(0)
    c = SMALL
    config = LlamaConfig(
        vocab_size=c.vocabulary,
        hidden_size=c.width,
        intermediate_size=c.hidden,
        num_hidden_layers=c.layers,
        num_attention_heads=c.heads,
        num_key_value_heads=c.kv_heads,
        rms_norm_eps=c.norm_eps,
        rope_theta=c.rope_base,
        tie_word_embeddings=True,
        initializer_range=0.3,
    )
    model = LlamaForCausalLM(config).eval()
    state = {name: value.numpy() for name, value in model.state_dict().items()}
    weights = {
        "token_embd.weight": state["model.embed_tokens.weight"],
        "output_norm.weight": state["model.norm.weight"],
    }
    for i in range(c.layers):
        for ours, theirs in NAMES.items():
            value = state[f"model.layers.{i}.{theirs}.weight"]
            if ours in ("attn_q", "attn_k"):  # LlamaModel.permute of convert_hf_to_gguf.py
                heads = c.heads if ours == "attn_q" else c.kv_heads
                split = value.reshape(heads, 2, len(value) // heads // 2, c.width)
                value = split.swapaxes(1, 2).reshape(value.shape).copy()
            weights[f"blk.{i}.{ours}.weight"] = value
    return model, open_gguf(write_llama(tmp_path / "m.gguf", SMALL, weights=weights))


def test_merged_into_the_checkpoint_it_says_the_same(tmp_path: Path, adapter: Adapter) -> None:
    theirs, file = checkpoint(tmp_path)
    model = read_llama(file, CPU)
    write_adapter(adapter, tmp_path / "out", "some/base")
    weights = load_file(tmp_path / "out" / WEIGHTS_FILE)
    settings = json.loads((tmp_path / "out" / CONFIG_FILE).read_text())
    scale = settings["lora_alpha"] / settings["r"]
    with torch.no_grad():
        before = theirs(IDS).logits
        merged = set()
        for name, parameter in theirs.named_parameters():
            key = f"base_model.model.{name.removesuffix('.weight')}"
            if f"{key}.lora_A.weight" in weights:
                a, b = weights[f"{key}.lora_A.weight"].float(), weights[f"{key}.lora_B.weight"].float()
                parameter += scale * b @ a
                merged |= {f"{key}.lora_A.weight", f"{key}.lora_B.weight"}
        assert merged == weights.keys()
        found = model.logits(model.hidden(IDS, read_adapter(tmp_path / "out", SMALL)))
        torch.testing.assert_close(found, theirs(IDS).logits, rtol=1e-3, atol=1e-3)
        assert (found - before).abs().max() > 0.1


def test_a_new_adapter_changes_nothing(small: GgufFile) -> None:
    model = read_llama(small, CPU)
    assert torch.equal(model.hidden(IDS), model.hidden(IDS, Adapter(SMALL, rank=4, alpha=8.0)))


def test_weights_are_float16_and_targets_are_named(tmp_path: Path, adapter: Adapter) -> None:
    write_adapter(adapter, tmp_path, "some/base")
    weights = load_file(tmp_path / WEIGHTS_FILE)
    assert len(weights) == SMALL.layers * 7 * 2
    assert {weight.dtype for weight in weights.values()} == {torch.float16}
    settings = json.loads((tmp_path / CONFIG_FILE).read_text())
    assert settings["base_model_name_or_path"] == "some/base"
    assert (settings["peft_type"], settings["r"], settings["lora_alpha"]) == ("LORA", 4, 8.0)
    projections = {"q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"}
    assert set(settings["target_modules"]) == projections


def test_an_adapter_of_another_shape_is_refused(tmp_path: Path, adapter: Adapter) -> None:
    write_adapter(adapter, tmp_path, "some/base")
    with pytest.raises(RuntimeError, match="size mismatch"):
        read_adapter(tmp_path, replace(SMALL, hidden=64))
