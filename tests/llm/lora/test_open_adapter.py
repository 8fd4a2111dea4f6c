"""Adapters in both forms: what they add, and which files are refused."""

import hashlib
import json
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import ml_dtypes
import numpy as np
import pytest
from adapter_files import deltas, hub_name, random_factors, write_gguf_adapter, write_hub
from gguf_writer import F32, I32, STRING, array, typed
from llama_files import SMALL, SMALL_QWEN2, SMALL_QWEN3, write_llama

from llm.gguf.config import LlamaConfig
from llm.gguf.file import GgufError, GgufFile, open_gguf
from llm.lora import Adapter, LoraError, open_adapter

RANK, ALPHA = 4, 6
CONFIGS = {"llama": SMALL, "qwen2": SMALL_QWEN2, "qwen3": SMALL_QWEN3}
Q0 = "blk.0.attn_q.weight"
FACTORS = random_factors(SMALL, RANK)


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> GgufFile:
    return open_gguf(write_llama(tmp_path_factory.mktemp("lora") / "m.gguf", SMALL))


def check_adds(adapter: Adapter, config: LlamaConfig, scale: float, tolerance: float = 1e-6) -> None:
    wanted = deltas(config, FACTORS if config is SMALL else random_factors(config, RANK), scale)
    assert adapter.pairs.keys() == wanted.keys()
    for name, delta in wanted.items():
        np.testing.assert_allclose(adapter.pairs[name].delta, delta, atol=tolerance)


@pytest.mark.parametrize("config", CONFIGS.values(), ids=CONFIGS.keys())
@pytest.mark.parametrize("form", ["hub", "the hub's file", "gguf"])
def test_both_forms_add_the_same(form: str, config: LlamaConfig, tmp_path: Path) -> None:
    base, factors = open_gguf(write_llama(tmp_path / "m.gguf", config)), random_factors(config, RANK)
    if form == "gguf":
        path = write_gguf_adapter(tmp_path / "a.gguf", config, factors, alpha=ALPHA)
    else:
        path = write_hub(tmp_path / "a", factors, alpha=ALPHA)
    path = path / "adapter_model.safetensors" if form == "the hub's file" else path
    check_adds(open_adapter(path, base), config, ALPHA / RANK)


def test_a_scale_stabilized_by_rank(base: GgufFile, tmp_path: Path) -> None:
    path = write_hub(tmp_path / "a", FACTORS, alpha=ALPHA, changes={"use_rslora": True})
    check_adds(open_adapter(path, base), SMALL, ALPHA / 2)


def test_an_alpha_of_0_is_a_scale_of_1_in_gguf_and_of_0_in_the_hubs_form(
    base: GgufFile, tmp_path: Path
) -> None:
    """As llama.cpp and PEFT have it."""
    check_adds(open_adapter(write_gguf_adapter(tmp_path / "a.gguf", SMALL, FACTORS, alpha=0), base), SMALL, 1)
    check_adds(open_adapter(write_hub(tmp_path / "a", FACTORS, alpha=0), base), SMALL, 0)


@pytest.mark.parametrize("dtype", [np.float16, ml_dtypes.bfloat16])
def test_half_precision(dtype: type, base: GgufFile, tmp_path: Path) -> None:
    rounded = {
        hub_name(n, f): x.astype(dtype) for n, ab in FACTORS.items() for f, x in zip("AB", ab, strict=True)
    }
    adapter = open_adapter(write_hub(tmp_path / "a", FACTORS, alpha=RANK, tensors=rounded), base)
    check_adds(adapter, SMALL, 1, 0.02)


def test_some_matrices_of_some_layers(base: GgufFile, tmp_path: Path) -> None:
    factors = random_factors(SMALL, 3, targets=("attn_v", "ffn_down"), layers=[1])
    adapter = open_adapter(write_hub(tmp_path / "a", factors), base)
    assert adapter.pairs.keys() == {"blk.1.attn_v.weight", "blk.1.ffn_down.weight"}
    assert adapter.pairs["blk.1.attn_v.weight"].a.shape == (3, SMALL.width)


@pytest.mark.parametrize("targets", ["all-linear", ".*_proj", ["self_attn.q_proj", "layers.0.mlp.up_proj"]])
def test_names_of_targets_as_peft_takes_them(targets: object, base: GgufFile, tmp_path: Path) -> None:
    factors = random_factors(SMALL, 2, targets=("attn_q", "ffn_up"), layers=[0])
    write_hub(tmp_path / "a", factors, changes={"target_modules": targets})
    assert open_adapter(tmp_path / "a", base).pairs.keys() == factors.keys()


def test_the_digest_is_of_what_is_read(base: GgufFile, tmp_path: Path) -> None:
    gguf = write_gguf_adapter(tmp_path / "a.gguf", SMALL, FACTORS)
    assert open_adapter(gguf, base).sha256 == hashlib.sha256(gguf.read_bytes()).hexdigest()
    hub = write_hub(tmp_path / "a", FACTORS)
    both = (hub / "adapter_model.safetensors").read_bytes() + (hub / "adapter_config.json").read_bytes()
    before = open_adapter(hub, base).sha256
    assert before == hashlib.sha256(both).hexdigest()
    write_hub(tmp_path / "a", FACTORS, alpha=9)  # another scale of the same weights
    assert open_adapter(hub, base).sha256 != before


# What is refused: the change, and what the error names


def in_hub(**arguments: Any) -> Callable[[Path], Path]:  # noqa: ANN401  # passed on
    return lambda folder: write_hub(folder / "a", FACTORS, **arguments)


def in_gguf(**arguments: Any) -> Callable[[Path], Path]:  # noqa: ANN401
    return lambda folder: write_gguf_adapter(folder / "a.gguf", SMALL, FACTORS, **arguments)


def config_of(**changes: object) -> Callable[[Path], Path]:
    return in_hub(changes=changes)


A, B = FACTORS[Q0]
QA, QB = hub_name(Q0, "A"), hub_name(Q0, "B")
NOT_FINITE = np.where(np.arange(B.size).reshape(B.shape) == 5, np.inf, B).astype(np.float32)
WIDE = np.zeros((257, SMALL.width), np.float32)
HEAD = "base_model.model.lm_head.lora_A.weight"
REFUSED: Mapping[str, tuple[Callable[[Path], Path], str]] = {
    "hub: another method": (config_of(peft_type="IA3"), "peft_type"),
    "hub: no method": (config_of(peft_type=None), "peft_type"),
    "hub: rank 0": (config_of(r=0), "'r'"),
    "hub: half a rank": (config_of(r=4.5), "'r'"),
    "hub: a rank that is true": (config_of(r=True), "'r'"),
    "hub: rank of other weights": (config_of(r=8), "rank 8"),
    "hub: alpha in words": (config_of(lora_alpha="16"), "lora_alpha"),
    "hub: alpha is no number": (config_of(lora_alpha=float("nan")), "lora_alpha"),
    "hub: rslora in words": (config_of(use_rslora="no"), "use_rslora"),
    "hub: DoRA": (config_of(use_dora=True), "use_dora"),
    "hub: transposed": (config_of(fan_in_fan_out=True), "fan_in_fan_out"),
    "hub: biases": (config_of(bias="lora_only"), "bias"),
    "hub: whole modules": (config_of(modules_to_save=["lm_head"]), "modules_to_save"),
    "hub: scales by name": (config_of(alpha_pattern={"q_proj": 3}), "alpha_pattern"),
    "hub: another base": (config_of(init_lora_weights="pissa_niter_4"), "init_lora_weights"),
    "hub: what nobody knows yet": (config_of(twice_as_good=True), "twice_as_good"),
    "hub: no targets": (config_of(target_modules=[]), "target_modules"),
    "hub: targets are numbers": (config_of(target_modules=[1]), "target_modules"),
    "hub: a target without tensors": (config_of(target_modules=["q_proj", "z_proj"]), "q_proj"),
    "hub: a tensor of no target": (config_of(target_modules=["k_proj"]), "target_modules"),
    "hub: the head": (in_hub(tensors={HEAD: A}), "lm_head"),
    "hub: an expert": (in_hub(tensors={QA.replace("q_proj", "experts"): A}), "experts"),
    "hub: a name with more behind": (in_hub(tensors={f"{QA}.1": A}), "weight.1"),
    "hub: a layer told in two ways": (in_hub(tensors={QA.replace("layers.0", "layers.00"): A}), "layers.00"),
    "hub: no B": (in_hub(tensors={QB: None}), f"{Q0!r} has only one"),
    "hub: a layer too many": (in_hub(tensors={QA.replace("layers.0", "layers.2"): A}), "layer 2"),
    "hub: a wider base": (in_hub(tensors={QA: np.zeros((RANK, 64), np.float32)}), QA),
    "hub: more rows": (in_hub(tensors={QB: np.zeros((64, RANK), np.float32)}), QB),
    "hub: a vector": (in_hub(tensors={QA: A[0]}), QA),
    "hub: integers": (in_hub(tensors={QA: A.astype(np.int32)}), "I32"),
    "hub: not finite": (in_hub(tensors={QB: NOT_FINITE}), "not finite"),
    "gguf: a model": (in_gguf(metadata={"general.type": typed(STRING, "model")}), "general.type"),
    "gguf: a control vector": (in_gguf(metadata={"adapter.type": typed(STRING, "cvec")}), "adapter.type"),
    "gguf: of qwen": (in_gguf(metadata={"general.architecture": typed(STRING, "qwen2")}), "architecture"),
    "gguf: alpha is no number": (
        in_gguf(metadata={"adapter.lora.alpha": typed(F32, float("nan"))}),
        "adapter.lora.alpha",
    ),
    "gguf: activated": (
        in_gguf(metadata={"adapter.alora.invocation_tokens": array(I32, [1])}),
        "invocation_tokens",
    ),
    "gguf: the head": (in_gguf(tensors={"output.weight.lora_a": A}), "output.weight.lora_a"),
    "gguf: a norm": (in_gguf(tensors={"blk.0.attn_norm.weight": A[0]}), "attn_norm"),
    "gguf: no A": (in_gguf(tensors={f"{Q0}.lora_a": None}), f"{Q0!r} has only one"),
    "gguf: a layer too many": (in_gguf(tensors={"blk.2.attn_q.weight.lora_a": A}), "layer 2"),
    "gguf: factors of two ranks": (in_gguf(tensors={f"{Q0}.lora_a": A[:3]}), "rank 3 and 4"),
    "gguf: too many ranks": (in_gguf(tensors={f"{Q0}.lora_a": WIDE}), "rank 257"),
    "gguf: transposed": (in_gguf(tensors={f"{Q0}.lora_a": np.ascontiguousarray(A.T)}), f"{Q0}.lora_a"),
    "gguf: not finite": (in_gguf(tensors={f"{Q0}.lora_b": NOT_FINITE}), f"{Q0}.lora_b"),
}


@pytest.mark.parametrize("case", REFUSED.values(), ids=REFUSED.keys())
def test_what_is_no_adapter_of_this_model_is_refused_by_name(
    case: tuple[Callable[[Path], Path], str], base: GgufFile, tmp_path: Path
) -> None:
    write, named = case
    path = write(tmp_path)
    with pytest.raises(LoraError) as caught:
        open_adapter(path, base)
    assert named in str(caught.value)
    assert str(caught.value).startswith(str(path))


def test_a_missing_key_of_gguf_is_told(base: GgufFile, tmp_path: Path) -> None:
    path = write_gguf_adapter(tmp_path / "a.gguf", SMALL, FACTORS, metadata={"adapter.lora.alpha": None})
    with pytest.raises(GgufError, match=r"adapter\.lora\.alpha"):
        open_adapter(path, base)
    with pytest.raises(GgufError, match=r"general\.type"):
        open_adapter(base.path, base)  # a model is no adapter


def test_an_adapter_with_nothing_in_it(base: GgufFile, tmp_path: Path) -> None:
    with pytest.raises(LoraError, match="no pair"):
        open_adapter(write_gguf_adapter(tmp_path / "a.gguf", SMALL, {}), base)


@pytest.mark.parametrize(
    "content", [b"", b"[]", b'{"peft_type": ', b"\xff\xfe", b"[" * 100_000, b" " * (1 << 21)]
)
def test_a_configuration_that_is_none(content: bytes, base: GgufFile, tmp_path: Path) -> None:
    folder = write_hub(tmp_path / "a", FACTORS)
    (folder / "adapter_config.json").write_bytes(content)
    with pytest.raises(LoraError, match=r"adapter_config\.json"):
        open_adapter(folder, base)


@pytest.mark.parametrize("keep", [0, 7, 100, -1])
def test_weights_that_were_cut(keep: int, base: GgufFile, tmp_path: Path) -> None:
    weights = write_hub(tmp_path / "a", FACTORS) / "adapter_model.safetensors"
    weights.write_bytes(weights.read_bytes()[:keep])
    with pytest.raises(LoraError, match="safetensors"):
        open_adapter(tmp_path / "a", base)


def test_files_that_are_not_there(base: GgufFile, tmp_path: Path) -> None:
    folder = write_hub(tmp_path / "a", FACTORS)
    (folder / "adapter_config.json").unlink()
    with pytest.raises(LoraError, match=r"adapter_config\.json"):
        open_adapter(folder, base)
    for path in (tmp_path, tmp_path / "none.gguf", tmp_path / "adapter_model.bin"):
        with pytest.raises(LoraError):
            open_adapter(path, base)


def test_an_adapter_of_another_model_is_refused(base: GgufFile, tmp_path: Path) -> None:
    other = random_factors(replace(SMALL, hidden=64), RANK)
    with pytest.raises(LoraError, match="ffn_down"):
        open_adapter(write_hub(tmp_path / "a", other), base)


def test_a_configuration_written_by_peft(base: GgufFile, tmp_path: Path) -> None:
    """All keys that PEFT 0.21 writes for `LoraConfig(r=4, lora_alpha=6)`."""
    written = json.loads((Path(__file__).parent / "peft_adapter_config.json").read_text(encoding="utf-8"))
    check_adds(open_adapter(write_hub(tmp_path / "a", FACTORS, changes=written), base), SMALL, 1.5)
