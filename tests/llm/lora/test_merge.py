"""Adapters merged into the weights: in float32, on ONNX Runtime, and on the GPU engine, in torch here."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from adapter_files import deltas, in_base_order, random_factors, write_gguf_adapter, write_hub
from llama_files import SMALL, SMALL_QWEN2, SMALL_QWEN3, one_thread, random_weights, real_model, write_llama
from numpy.typing import NDArray
from torch_llama import Llama, TorchEngine
from transformers import LlamaConfig as HubConfig
from transformers import LlamaForCausalLM

from llm.cpu.model import CpuConfig, CpuModel
from llm.cuda.model import CudaConfig, CudaModel
from llm.gguf.config import LlamaConfig, read_config
from llm.gguf.file import GgufFile, open_gguf
from llm.gguf.quants import GgmlType
from llm.lora import Adapter, merge, open_adapter
from llm.serve.adapters import AdapterMerged
from llm.serve.sessions import SlotEngine
from llm.text.tokenizer import Tokenizer

Logits = NDArray[np.float32]
LLAMA = replace(SMALL, heads=4, kv_heads=2, head_dim=16, width=64, hidden=96)
CONFIGS = {
    "llama": LLAMA,
    "llama, one key head": replace(LLAMA, kv_heads=1, layers=3),
    "qwen2": replace(SMALL_QWEN2, heads=4, kv_heads=2, head_dim=16, width=64, hidden=96),
    "qwen3": replace(SMALL_QWEN3, heads=6, kv_heads=2, head_dim=32, width=64, hidden=96),
}
CONTEXT = 128
IDS = np.random.default_rng(0).integers(0, SMALL.vocabulary, 100).tolist()
MODULES = ("self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj", "self_attn.o_proj")
MLP = ("mlp.gate_proj", "mlp.up_proj", "mlp.down_proj")


@pytest.fixture(autouse=True, scope="module")
def quick() -> Iterator[None]:
    with one_thread():
        yield


def exact(file: GgufFile, ids: Sequence[int] = IDS) -> Logits:
    return TorchEngine(Llama(file), CONTEXT).extend(ids, len(ids))


def merged_file(folder: Path, config: LlamaConfig, scale: float, rank: int) -> GgufFile:
    """The base's weights with the adapter's product added, by hand."""
    added = deltas(config, random_factors(config, rank), scale)
    weights = {name: w + added.get(name, np.float32(0)) for name, w in random_weights(config).items()}
    return open_gguf(write_llama(folder / "merged.gguf", config, weights=weights))


def base_and_adapter(folder: Path, config: LlamaConfig, alpha: float, rank: int) -> tuple[GgufFile, Adapter]:
    base = open_gguf(write_llama(folder / "m.gguf", config))
    path = write_hub(folder / "a", random_factors(config, rank), alpha=alpha)
    return base, open_adapter(path, base)


@pytest.mark.parametrize("config", CONFIGS.values(), ids=CONFIGS.keys())
def test_merged_in_float32(config: LlamaConfig, tmp_path: Path) -> None:
    base, adapter = base_and_adapter(tmp_path, config, alpha=5, rank=4)
    wanted = exact(merged_file(tmp_path, config, 5 / 4, 4))
    assert np.abs(exact(merge(base, adapter)) - wanted).max() < 1e-4
    assert np.abs(exact(base) - wanted).max() > 1
    dense = CpuConfig(context=CONTEXT, threads=1, weights="f32", prefix_bytes=0)
    with CpuModel(base, dense, adapter=adapter).open() as engine:
        assert np.abs(engine.extend(IDS, len(IDS)) - wanted).max() < 1e-4


def test_the_hubs_own_model_agrees(tmp_path: Path) -> None:
    """transformers, with weights as they were trained and the adapter merged there."""
    weights, factors = random_weights(LLAMA), random_factors(LLAMA, 4)
    hub = LlamaForCausalLM(
        HubConfig(
            vocab_size=LLAMA.vocabulary,
            hidden_size=LLAMA.width,
            intermediate_size=LLAMA.hidden,
            num_hidden_layers=LLAMA.layers,
            num_attention_heads=LLAMA.heads,
            num_key_value_heads=LLAMA.kv_heads,
            head_dim=LLAMA.head_dim,
            rope_theta=LLAMA.rope_base,
            rms_norm_eps=LLAMA.norm_eps,
            tie_word_embeddings=True,
        )
    )
    state = {
        "model.embed_tokens.weight": weights["token_embd.weight"],
        "model.norm.weight": weights["output_norm.weight"],
    }
    names = ("attn_q", "attn_k", "attn_v", "attn_output", "ffn_gate", "ffn_up", "ffn_down")
    converted = dict(weights)
    for i in range(LLAMA.layers):
        for target, module in zip(names, (*MODULES, *MLP), strict=True):
            name = f"blk.{i}.{target}.weight"
            a, b = factors[name]
            state[f"model.layers.{i}.{module}.weight"] = weights[name] + 2 * (b @ a)
            converted[name] = in_base_order(LLAMA, name, weights[name])
        state[f"model.layers.{i}.input_layernorm.weight"] = weights[f"blk.{i}.attn_norm.weight"]
        state[f"model.layers.{i}.post_attention_layernorm.weight"] = weights[f"blk.{i}.ffn_norm.weight"]
    hub.load_state_dict({name: torch.from_numpy(w) for name, w in state.items()}, strict=False)
    with torch.inference_mode():
        wanted = hub.eval()(torch.tensor([IDS])).logits[0].numpy()
    base = open_gguf(write_llama(tmp_path / "m.gguf", LLAMA, weights=converted))
    for path in (
        write_hub(tmp_path / "a", factors, alpha=8),
        write_gguf_adapter(tmp_path / "a.gguf", LLAMA, factors, alpha=8),
    ):
        assert np.abs(exact(merge(base, open_adapter(path, base))) - wanted).max() < 1e-4


def test_what_an_adapter_does_not_change_is_as_it_was(tmp_path: Path) -> None:
    base = open_gguf(write_llama(tmp_path / "m.gguf", LLAMA))
    factors = random_factors(LLAMA, 2, targets=["attn_v"], layers=[1])
    merged = merge(base, open_adapter(write_hub(tmp_path / "a", factors), base))
    changed = {name for name in base.tensors if not np.array_equal(base.tensor(name), merged.tensor(name))}
    assert changed == {"blk.1.attn_v.weight"}
    assert merged.tensors["blk.1.attn_v.weight"].type == GgmlType.F32
    assert read_config(merged) == read_config(base)


def test_two_adapters_merged_one_after_the_other(tmp_path: Path) -> None:
    base, first = base_and_adapter(tmp_path, LLAMA, alpha=4, rank=4)
    second = open_adapter(write_hub(tmp_path / "b", random_factors(LLAMA, 2, seed=7), alpha=2), base)
    wanted = base.tensor("blk.0.attn_q.weight").astype(np.float64)
    for adapter in (first, second):
        wanted += adapter.pairs["blk.0.attn_q.weight"].delta
    np.testing.assert_allclose(
        merge(merge(base, first), second).tensor("blk.0.attn_q.weight"), wanted, atol=1e-6
    )


def on_onnxruntime(base: GgufFile, adapter: Adapter | None, cache: Path | None) -> CpuModel:
    config = CpuConfig(context=CONTEXT, threads=1, kernel="onnxruntime", prefix_bytes=0)
    return CpuModel(base, config, cache, adapter)


def on_the_gpu(base: GgufFile, adapter: Adapter | None, cache: Path | None) -> CudaModel:
    return CudaModel(base, CudaConfig(context=CONTEXT, device="cpu", prefix_bytes=0), adapter)


ENGINES: dict[str, Callable[[GgufFile, Adapter | None, Path | None], CpuModel | CudaModel]] = {
    "ONNX Runtime": on_onnxruntime,
    "the GPU": on_the_gpu,
}


def read(engine: SlotEngine) -> Logits:
    with engine:
        return engine.extend(IDS, len(IDS))


@pytest.mark.parametrize("name", ENGINES)
@pytest.mark.parametrize("config", CONFIGS.values(), ids=CONFIGS.keys())
def test_engines_that_merge(name: str, config: LlamaConfig, tmp_path: Path) -> None:
    """In 8 bits, and never the graph of the base that was prepared before, or of another adapter."""
    base, adapter = base_and_adapter(tmp_path, config, alpha=4, rank=4)
    wanted, without, cache = exact(merged_file(tmp_path, config, 1, 4)), exact(base), tmp_path / "graphs"
    for _ in range(2):
        got = read(ENGINES[name](base, adapter, cache).open())
        assert np.sqrt(np.mean((got - wanted) ** 2)) < 0.1 * wanted.std()
        plain = read(ENGINES[name](base, None, cache).open())
        assert np.sqrt(np.mean((plain - without) ** 2)) < 0.1 * without.std()
    assert np.sqrt(np.mean((wanted - without) ** 2)) > 0.3 * wanted.std()


def test_a_merged_model_is_not_taken_for_its_base(tmp_path: Path) -> None:
    """Both are of one file, of which a graph is kept."""
    base, adapter = base_and_adapter(tmp_path, LLAMA, alpha=4, rank=4)
    cache = tmp_path / "graphs"
    read(on_onnxruntime(base, None, cache).open())
    merged = read(on_onnxruntime(merge(base, adapter), None, cache).open())
    np.testing.assert_array_equal(merged, read(on_onnxruntime(base, adapter, None).open()))


@pytest.mark.parametrize("name", ENGINES)
def test_a_session_cannot_have_another_than_the_merged_one(name: str, tmp_path: Path) -> None:
    base, adapter = base_and_adapter(tmp_path, LLAMA, alpha=4, rank=4)
    model = ENGINES[name](base, adapter, None)
    for wanted in ("default", adapter):
        with model.open(adapter=wanted) as engine:  # type: ignore[arg-type]
            assert engine.adapter is adapter
    other = open_adapter(write_gguf_adapter(tmp_path / "b.gguf", LLAMA, random_factors(LLAMA, 2)), base)
    for refused in (other, None):
        with pytest.raises(AdapterMerged, match=name):
            model.open(adapter=refused)
    with pytest.raises(AdapterMerged, match=name):
        ENGINES[name](base, None, None).open(adapter=other)
    model.open().close()  # no place was lost


@pytest.mark.models
def test_the_real_model_merged_by_name(model_path: Callable[[str], Path], tmp_path: Path) -> None:
    """The reference with its float32 matrices changed one by one, beside the merged file."""
    path = model_path("smollm2-135m-instruct-q4_1")
    base = open_gguf(path)
    config = read_config(base)
    factors = random_factors(config, 8, size=0.2, seed=5)
    adapter = open_adapter(write_hub(tmp_path / "a", factors, alpha=4), base)
    ids = Tokenizer.from_gguf(base).encode("It was the best of times, it was the worst of times, it was")
    plain = real_model(path)
    added = deltas(config, factors, 0.5)
    changed = Llama.__new__(Llama)
    changed.__dict__.update(plain.__dict__)
    changed.layers = [
        replace(
            layer,
            **{
                target: getattr(layer, target) + torch.from_numpy(added[f"blk.{i}.{target}.weight"])
                for target in ("attn_q", "attn_k", "attn_v", "attn_output", "ffn_gate", "ffn_up", "ffn_down")
            },
        )
        for i, layer in enumerate(plain.layers)
    ]
    wanted = TorchEngine(changed, 64).extend(ids, len(ids))
    got = TorchEngine(Llama(merge(base, adapter)), 64).extend(ids, len(ids))
    assert np.abs(got - wanted).max() < 1e-4 * np.abs(wanted).max()
    assert np.abs(TorchEngine(plain, 64).extend(ids, len(ids)) - wanted).max() > 1
