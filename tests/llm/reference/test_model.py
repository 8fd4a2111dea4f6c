from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import gguf
import numpy as np
import pytest
import torch
from gguf_writer import BOOL, F32, I32, STRING, U32, U64, array, typed
from llama_files import (
    SMALL,
    SMALL_QWEN2,
    SMALL_QWEN3,
    TOKENS,
    Weights,
    one_thread,
    random_weights,
    real_model,
    write_llama,
)
from torch import Tensor
from torch.nn import functional as F  # noqa: N812
from torch_llama import KvCache, Llama, TorchEngine
from transformers import LlamaConfig as HfConfig
from transformers import (
    LlamaForCausalLM,
    PreTrainedModel,
    Qwen2Config,
    Qwen2ForCausalLM,
    Qwen3Config,
    Qwen3ForCausalLM,
)

from llm.decode.engine import prefill, step
from llm.gguf.config import LlamaConfig, read_config
from llm.gguf.file import GgufError, GgufFile, open_gguf
from llm.text.tokenizer import Tokenizer

HF_NAMES = {
    "attn_norm": "input_layernorm",
    "attn_q": "self_attn.q_proj",
    "attn_k": "self_attn.k_proj",
    "attn_v": "self_attn.v_proj",
    "attn_q_norm": "self_attn.q_norm",
    "attn_k_norm": "self_attn.k_norm",
    "attn_output": "self_attn.o_proj",
    "ffn_norm": "post_attention_layernorm",
    "ffn_gate": "mlp.gate_proj",
    "ffn_up": "mlp.up_proj",
    "ffn_down": "mlp.down_proj",
}
IDS = np.random.default_rng(5).integers(0, len(TOKENS), 48).tolist()


@pytest.fixture(autouse=True, scope="module")
def quick() -> Iterator[None]:
    with one_thread():
        yield


def halves(rows: Tensor, heads: int) -> Tensor:
    """Undo what convert_hf_to_gguf.py does to q and k: rotary pairs from neighbours to half a head apart."""
    head_dim = len(rows) // heads
    return rows.view(heads, head_dim // 2, 2, -1).transpose(1, 2).reshape(rows.shape)


def hf_weights(config: LlamaConfig, weights: Mapping[str, np.ndarray]) -> dict[str, Tensor]:
    state = {
        "model.embed_tokens.weight": weights["token_embd.weight"],
        "model.norm.weight": weights["output_norm.weight"],
        "lm_head.weight": weights.get("output.weight", weights["token_embd.weight"]),
    }
    for i in range(config.layers):
        for name in [name for name in weights if name.startswith(f"blk.{i}.")]:
            _, _, ours, kind = name.split(".")
            state[f"model.layers.{i}.{HF_NAMES[ours]}.{kind}"] = weights[name]
    tensors = {name: torch.tensor(weight) for name, weight in state.items()}
    for i in range(config.layers if config.rotary == "interleaved" else 0):
        for part, heads in (("q", config.heads), ("k", config.kv_heads)):
            name = f"model.layers.{i}.self_attn.{part}_proj.weight"
            tensors[name] = halves(tensors[name], heads)
    return tensors


def reference(
    config: LlamaConfig, weights: Mapping[str, np.ndarray], rope: Mapping[str, Any] | None = None
) -> PreTrainedModel:
    """The same model in transformers."""
    made_of: Any
    model_type: Any
    if config.qk_norm:
        made_of, model_type = Qwen3Config, Qwen3ForCausalLM
    elif config.qkv_bias:
        made_of, model_type = Qwen2Config, Qwen2ForCausalLM
    else:
        made_of, model_type = HfConfig, LlamaForCausalLM
    hf = made_of(
        vocab_size=config.vocabulary,
        hidden_size=config.width,
        intermediate_size=config.hidden,
        num_hidden_layers=config.layers,
        num_attention_heads=config.heads,
        num_key_value_heads=config.kv_heads,
        head_dim=config.head_dim,
        max_position_embeddings=config.context,
        rms_norm_eps=config.norm_eps,
        rope_parameters={"rope_theta": config.rope_base, **(rope or {"rope_type": "default"})},
        tie_word_embeddings="output.weight" not in weights,
    )
    state = hf_weights(config, weights)
    model: PreTrainedModel = model_type.from_pretrained(
        None, config=hf, state_dict=state, dtype=torch.float32
    )
    loaded = model.state_dict()
    assert loaded.keys() == state.keys()
    assert all(torch.equal(loaded[name], state[name]) for name in state)
    return model  # in eval mode, as from_pretrained leaves it


@torch.inference_mode()
def hf_logits(model: PreTrainedModel, ids: list[int]) -> Tensor:
    logits: Tensor = model(torch.tensor([ids])).logits[0]
    return logits


def logits_in_pieces(model: Llama, ids: list[int], lengths: list[int]) -> Tensor:
    cache = KvCache(model.config, len(ids), model.dtype)
    logits = []
    for length in lengths:
        at = len(cache.tokens)
        logits.append(model.forward(ids[at : at + length], cache, 0))
    assert cache.tokens == ids
    return torch.cat(logits)


SHAPES = {
    "grouped queries": SMALL,
    "one key head": replace(SMALL, kv_heads=1),
    "a key head a query head": replace(SMALL, kv_heads=4),
    "heads wider than the model": replace(SMALL, head_dim=12, layers=3, rope_base=10000.0, norm_eps=1e-2),
    "qwen2": SMALL_QWEN2,
    "qwen2, one key head": replace(SMALL_QWEN2, kv_heads=1, layers=3, rope_base=10000.0),
    "qwen3": replace(SMALL_QWEN3, norm_eps=1e-2),
    "qwen3, a width that the heads do not divide": replace(SMALL_QWEN3, heads=6, head_dim=16),
}


@pytest.mark.parametrize("tied", [True, False], ids=["tied", "untied"])
@pytest.mark.parametrize("config", SHAPES.values(), ids=SHAPES.keys())
def test_logits_are_those_of_transformers(tmp_path: Path, config: LlamaConfig, tied: bool) -> None:
    weights = random_weights(config, tied=tied)
    model = Llama(open_gguf(write_llama(tmp_path / "m.gguf", config, weights=weights)))
    expected = hf_logits(reference(config, weights), IDS)
    assert expected.std() > 0.5  # small logits would agree too easily
    for lengths in ([len(IDS)], [1] * len(IDS), [1, 7, 2, 20, 18]):
        torch.testing.assert_close(logits_in_pieces(model, IDS, lengths), expected, atol=1e-4, rtol=0)


def test_frequencies_of_llama_3_files_are_those_of_transformers(tmp_path: Path) -> None:
    config = replace(SMALL, head_dim=16, rope_base=500.0)
    weights = random_weights(config)
    rope = {"rope_type": "llama3", "factor": 8.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0}
    hf = reference(config, weights, {**rope, "original_max_position_embeddings": 64})
    plain = 500.0 ** (-torch.arange(0, 16, 2) / 16)
    factors = (plain / hf.model.rotary_emb.inv_freq).numpy()  # the tensor that convert_hf_to_gguf.py writes
    assert factors.min() == pytest.approx(1)
    assert factors.max() == pytest.approx(8)
    path = write_llama(tmp_path / "m.gguf", config, weights=weights | {"rope_freqs.weight": factors})
    got = logits_in_pieces(Llama(open_gguf(path)), IDS, [len(IDS)])
    torch.testing.assert_close(got, hf_logits(hf, IDS), atol=1e-4, rtol=0)


def test_logits_are_given_from_the_token_asked_for(tmp_path: Path) -> None:
    model = Llama(open_gguf(write_llama(tmp_path / "m.gguf")))
    every = logits_in_pieces(model, IDS, [len(IDS)])
    for first in (1, 40, len(IDS) - 1):
        got = model.forward(IDS, KvCache(SMALL, len(IDS), torch.float32), first)
        torch.testing.assert_close(got, every[first:], atol=1e-5, rtol=0)


def test_half_precision_stays_close(tmp_path: Path) -> None:
    gguf_file = open_gguf(write_llama(tmp_path / "m.gguf"))
    exact = logits_in_pieces(Llama(gguf_file), IDS, [20, 28])
    rounded = logits_in_pieces(Llama(gguf_file, torch.bfloat16), IDS, [20, 28])
    assert rounded.dtype == torch.float32
    assert F.cosine_similarity(exact, rounded).min() > 0.99


NAN, INF = float("nan"), float("inf")
BAD_METADATA = [
    ("general.architecture", None, "no metadata key 'general.architecture'"),
    ("general.architecture", typed(STRING, "mamba"), "architecture 'mamba' is not supported"),
    ("general.architecture", typed(U32, 1), "should be a string"),
    ("llama.block_count", None, "no metadata key 'llama.block_count'"),
    ("llama.block_count", typed(U32, 0), "impossible"),
    ("llama.block_count", typed(I32, -1), "impossible"),
    ("llama.block_count", typed(U64, 2**63), "impossible"),
    ("llama.block_count", typed(U32, 3), "tensor 'blk.2.attn_k.weight' is missing"),
    ("llama.block_count", typed(U32, 1), "tensor 'blk.1.attn_norm.weight' is not supported"),
    ("llama.block_count", typed(BOOL, True), "should be an integer"),
    ("llama.block_count", typed(F32, 2.0), "should be an integer"),
    ("llama.attention.head_count", typed(U32, 0), "do not divide"),
    ("llama.attention.head_count", typed(U32, 3), "do not divide"),
    ("llama.attention.head_count", typed(U64, 2**63), "is .* not"),
    ("llama.attention.head_count", array(U32, [4, 4]), "should be an integer"),
    ("llama.attention.head_count_kv", typed(U32, 0), "do not divide"),
    ("llama.attention.head_count_kv", typed(U32, 3), "do not divide"),
    ("llama.attention.head_count_kv", typed(I32, -2), "do not divide"),
    ("llama.attention.head_count_kv", typed(U32, 4), "'blk.0.attn_k.weight' is .* not"),
    ("llama.embedding_length", typed(U32, 0), "do not divide"),
    ("llama.embedding_length", typed(U64, 2**62), "is .* not"),
    ("llama.rope.dimension_count", typed(U32, 7), "impossible"),
    ("llama.attention.key_length", typed(U32, 12), "unequal .*key_length 12, .*dimension_count 8"),
    ("llama.attention.value_length", typed(U32, 12), "unequal .*value_length 12"),
    ("llama.attention.value_length", typed(STRING, "8"), "should be an integer"),
    ("llama.rope.dimension_count", typed(U32, 0), "'blk.0.attn_q.weight' is .* not"),
    ("llama.rope.dimension_count", typed(I32, -8), "'blk.0.attn_q.weight' is .* not"),
    ("llama.rope.dimension_count", typed(U32, 4), "'blk.0.attn_q.weight' is .* not"),
    ("llama.feed_forward_length", typed(U32, 0), "'blk.0.ffn_gate.weight' is .* not"),
    ("llama.feed_forward_length", typed(U64, 2**62), "'blk.0.ffn_gate.weight' is .* not"),
    ("llama.context_length", typed(U32, 0), "impossible"),
    ("llama.context_length", typed(I32, -1), "impossible"),
    ("llama.rope.freq_base", typed(F32, 0.0), "impossible"),
    ("llama.rope.freq_base", typed(F32, -1.0), "impossible"),
    ("llama.rope.freq_base", typed(F32, NAN), "impossible"),
    ("llama.rope.freq_base", typed(F32, INF), "impossible"),
    ("llama.rope.scaling.type", typed(STRING, "linear"), "scaling 'linear' is not supported"),
    ("llama.attention.layer_norm_rms_epsilon", None, "no metadata key"),
    ("llama.attention.layer_norm_rms_epsilon", typed(F32, -1.0), "impossible"),
    ("llama.attention.layer_norm_rms_epsilon", typed(F32, NAN), "impossible"),
    ("llama.attention.layer_norm_rms_epsilon", typed(STRING, "1e-5"), "should be a number"),
    ("tokenizer.ggml.tokens", None, "no metadata key 'tokenizer.ggml.tokens'"),
    ("tokenizer.ggml.tokens", array(STRING, TOKENS[:-1]), "'token_embd.weight' is .* not"),
    ("tokenizer.ggml.tokens", array(U32, [1, 2]), "should be a list of strings"),
]


def check_refused(path: Path, message: str) -> None:
    file = open_gguf(path)
    with pytest.raises(GgufError, match=message) as caught:
        Llama(file)
    assert caught.value.path == path
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("key", "value", "message"),
    BAD_METADATA,
    ids=[f"{i}-{key}" for i, (key, _, _) in enumerate(BAD_METADATA)],
)
def test_sizes_that_cannot_be_are_refused(
    tmp_path: Path, key: str, value: bytes | None, message: str
) -> None:
    check_refused(write_llama(tmp_path / "m.gguf", metadata={key: value}), message)


SMALLS = {"llama": SMALL, "qwen2": SMALL_QWEN2, "qwen3": SMALL_QWEN3}


@pytest.mark.parametrize(
    ("architecture", "name"),
    [
        *((architecture, name) for architecture in SMALLS for name in random_weights(SMALLS[architecture])),
        *((architecture, "output.weight") for architecture in SMALLS),
        ("llama", "rope_freqs.weight"),
    ],
)
def test_a_tensor_that_is_missing_or_of_another_shape_is_refused(
    tmp_path: Path, architecture: str, name: str
) -> None:
    config = SMALLS[architecture]
    weights: Weights = random_weights(config)
    path = tmp_path / "m.gguf"
    for shape in ((5,), (32, 5), (258, 48), (1,), (258, 32, 1)):
        wrong = weights | {name: np.ones(shape, np.float32)}
        check_refused(write_llama(path, config, weights=wrong), f"tensor '{name}' is .* not")
    if weights.pop(name, None) is not None:
        check_refused(write_llama(path, config, weights=weights), f"tensor '{name}' is missing")


@pytest.mark.parametrize(
    ("architecture", "name", "size"),
    [
        ("llama", "blk.0.attn_q.bias", 32),
        ("llama", "blk.0.attn_q_norm.weight", 8),
        ("qwen2", "blk.0.attn_output.bias", 32),
        ("qwen2", "blk.0.attn_k_norm.weight", 8),
        ("qwen2", "rope_freqs.weight", 4),
        ("qwen3", "blk.0.attn_v.bias", 24),
        ("qwen3", "rope_freqs.weight", 6),
    ],
)
def test_a_tensor_that_would_be_ignored_is_refused(
    tmp_path: Path, architecture: str, name: str, size: int
) -> None:
    config = SMALLS[architecture]
    weights = random_weights(config) | {name: np.ones(size, np.float32)}
    path = write_llama(tmp_path / "m.gguf", config, weights=weights)
    check_refused(path, f"tensor '{name}' is not supported")


def test_heads_that_no_key_sizes_must_divide_the_width(tmp_path: Path) -> None:
    absent = {"llama.rope.dimension_count": None, "llama.attention.head_count": typed(U32, 6)}
    check_refused(write_llama(tmp_path / "m.gguf", metadata=absent), "32 channels, 6 heads do not divide")


@pytest.mark.parametrize("key", ["attention.key_length", "attention.value_length", "rope.dimension_count"])
def test_any_key_may_size_the_heads(tmp_path: Path, key: str) -> None:
    sizes = {"qwen3.attention.key_length": None, f"qwen3.{key}": typed(U32, 12)}
    path = write_llama(tmp_path / "m.gguf", SMALL_QWEN3, metadata=sizes)
    assert read_config(open_gguf(path)).head_dim == 12


@pytest.mark.parametrize("architecture", SMALLS)
def test_optional_keys_have_the_defaults_of_the_format(tmp_path: Path, architecture: str) -> None:
    config = replace(SMALLS[architecture], kv_heads=4, head_dim=8, rope_base=10000.0)
    names = ("attention.head_count_kv", "attention.key_length", "rope.dimension_count", "rope.freq_base")
    absent = dict.fromkeys(f"{architecture}.{name}" for name in names)
    read = read_config(open_gguf(write_llama(tmp_path / "m.gguf", config, metadata=absent)))
    assert read == replace(config, norm_eps=float(np.float32(1e-5)))


def test_a_huge_context_in_the_file_costs_nothing(tmp_path: Path) -> None:
    huge = {"llama.context_length": typed(U64, 2**62)}
    model = Llama(open_gguf(write_llama(tmp_path / "m.gguf", metadata=huge)))
    engine = TorchEngine(model, 16)
    assert engine.context == 16
    assert np.isfinite(prefill(engine, IDS[:16])).all()


PROMPTS = (
    "The capital of France is",
    "<|im_start|>user\nWhy is the sky blue?<|im_end|>\n<|im_start|>assistant\n",
    "Once upon a time, in a village by the sea, there lived",
)
PARAGRAPH = (
    "A lighthouse keeper once told me that the hardest part of the work was not the storms but the calm. "
    "In a storm there is always something to do: the lamp must be trimmed, the windows wiped, the log kept. "
    "On a still night the hours are long, and the beam goes round over black water that gives nothing back. "
    "He learned to play the fiddle badly, then less badly, and in the end he could fill the tower with music."
)


@pytest.fixture(scope="module")
def file(model_path: Callable[[str], Path]) -> GgufFile:
    return open_gguf(model_path("smollm2-135m-instruct-q4_1"))


@pytest.fixture(scope="module")
def real(file: GgufFile) -> Llama:
    return real_model(file.path)


@pytest.fixture(scope="module")
def real_reference(file: GgufFile) -> PreTrainedModel:
    """In transformers, with what the gguf package makes of the file's bytes."""
    weights = {
        name: gguf.quants.dequantize(file.raw(name), gguf.GGMLQuantizationType(info.type)).reshape(info.shape)
        for name, info in file.tensors.items()
    }
    shape = LlamaConfig(30, 576, 9, 3, 64, 1536, 49152, 8192, 100000.0, 1e-5)  # of SmolLM2's config.json
    return reference(shape, weights)


@pytest.mark.models
@pytest.mark.parametrize("prompt", PROMPTS)
def test_the_default_model_goes_on_as_in_transformers(
    file: GgufFile, real: Llama, real_reference: PreTrainedModel, prompt: str
) -> None:
    ids = Tokenizer.from_gguf(file).encode_template(prompt)
    engine = TorchEngine(real, 128)
    logits, reply = prefill(engine, ids)[-1], []
    for _ in range(20):
        reply.append(int(logits.argmax()))
        logits = step(engine, reply[-1])
    # Each token is the likeliest after those before it, so that greedy decoding there gives the same.
    expected = hf_logits(real_reference, ids + reply)[len(ids) - 1 : -1].argmax(1).tolist()
    assert reply == expected


@pytest.mark.models
def test_the_perplexity_of_the_default_model_is_that_of_transformers(
    file: GgufFile, real: Llama, real_reference: PreTrainedModel
) -> None:
    ids = Tokenizer.from_gguf(file).encode(PARAGRAPH)
    logits = torch.from_numpy(prefill(TorchEngine(real, 256), ids, len(ids)))
    targets = torch.tensor(ids[1:])
    ours = F.cross_entropy(logits[:-1], targets).exp().item()
    theirs = F.cross_entropy(hf_logits(real_reference, ids)[:-1], targets).exp().item()
    assert ours == pytest.approx(theirs, rel=1e-3)
    assert 5 < ours < 60  # it reads English


@pytest.mark.models
def test_bfloat16_costs_less_than_one_percent_of_perplexity(file: GgufFile, real: Llama) -> None:
    """The guard of `llm.dtype`, which takes bfloat16 where the processor multiplies it."""
    ids = Tokenizer.from_gguf(file).encode(PARAGRAPH)
    targets = torch.tensor(ids[1:])
    exact, rounded = (
        F.cross_entropy(torch.from_numpy(prefill(TorchEngine(model, 256), ids, len(ids)))[:-1], targets)
        for model in (real, Llama(file, torch.bfloat16))
    )
    assert (rounded - exact).exp().item() == pytest.approx(1, abs=0.01)
    assert rounded != exact  # it was rounded at all
