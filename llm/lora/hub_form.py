"""Adapters in the hub's form, as PEFT saves them: `adapter_model.safetensors` and `adapter_config.json`."""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from math import isfinite
from pathlib import Path
from types import MappingProxyType
from typing import Any

import ml_dtypes  # noqa: F401  # numpy learns bfloat16 from it
import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError, safe_open

from llm.gguf.config import LlamaConfig
from llm.lora.adapter import TARGETS, LoraError, LowRank, assemble, check_factor, check_finite
from llm.lora.digest import CONFIG

_MODULES: Mapping[str, str] = MappingProxyType(
    {
        "self_attn.q_proj": "attn_q",
        "self_attn.k_proj": "attn_k",
        "self_attn.v_proj": "attn_v",
        "self_attn.o_proj": "attn_output",
        "mlp.gate_proj": "ffn_gate",
        "mlp.up_proj": "ffn_up",
        "mlp.down_proj": "ffn_down",
    }
)
_NAME = re.compile(
    r"base_model\.model\.(model\.layers\.(0|[1-9]\d{0,3})\.(\w+\.\w+))\.lora_([AB])\.weight", re.ASCII
)
_MAX_CONFIG_BYTES = 1 << 20
_MAX_TENSORS = 2 * len(TARGETS) * 1024

# What may be there without changing what the weights mean. Any other key must be empty: there are dozens,
# of variants of LoRA that are computed otherwise (use_dora, alpha_pattern, modules_to_save, ...).
_READ = {"peft_type", "r", "lora_alpha", "target_modules", "use_rslora", "init_lora_weights", "bias"}
_HARMLESS = {
    *(
        "auto_mapping",
        "base_model_name_or_path",
        "inference_mode",
        "lora_dropout",
        "peft_version",
        "revision",
    ),
    *(
        "task_type",
        "exclude_modules",
        "layers_pattern",
        "layers_to_transform",
        "megatron_core",
        "runtime_config",
    ),
    "qalora_group_size",
}
_OF_THE_BASE = ("pissa", "olora", "corda", "loftq", "lora_ga")
"""Initial values that change the base model's weights, too, which the adapter then does not have."""


@dataclass(frozen=True)
class _Config:
    rank: int
    scale: float
    targets: tuple[str, ...] | None  # None: a pattern, or all


def read_hub(weights: Path, config_file: Path, model: LlamaConfig) -> Mapping[str, LowRank]:
    """The pairs in a file of weights; raises LoraError and OSError.

    The hub has q and k as they were trained, with channels half a head apart rotated together. Files of the
    architecture llama have their rows permuted, and so must the rows of B be.
    """
    config = _read_config(config_file)
    factors: dict[tuple[str, str], NDArray[np.float32]] = {}
    try:
        with safe_open(weights, framework="numpy") as file:
            names = list(file.keys())
            if len(names) > _MAX_TENSORS:
                raise LoraError(weights, None, f"has {len(names)} tensors, more than {_MAX_TENSORS}")
            for name in names:
                target, factor = _target(weights, name, config)
                part = file.get_slice(name)
                shape = tuple(part.get_shape())
                _check(weights, name, shape, part.get_dtype(), config.rank, factor)
                check_factor(weights, name, model, target, factor, shape)
                values = file.get_tensor(name).astype(np.float32)
                check_finite(weights, name, values)
                factors[target, factor] = _in_order(values, target, model) if factor == "b" else values
    except SafetensorError as error:
        raise LoraError(weights, None, f"is not readable as safetensors: {error}") from error
    _check_targets(weights, config, {_module(name) for name, _ in factors})
    return assemble(weights, factors, dict.fromkeys((name for name, _ in factors), config.scale))


def _read_config(path: Path) -> _Config:
    """The configuration, of which nothing that matters is left unread; raises LoraError."""
    with path.open("rb") as file:
        raw = file.read(_MAX_CONFIG_BYTES + 1)
    try:
        if len(raw) > _MAX_CONFIG_BYTES:
            raise ValueError(f"more than {_MAX_CONFIG_BYTES} bytes")  # noqa: TRY301
        found = json.loads(raw)
    except (ValueError, RecursionError) as error:
        raise LoraError(path, None, f"is no JSON: {error}") from error
    if not isinstance(found, dict) or found.get("peft_type") != "LORA":
        raise LoraError(path, "peft_type", "is not 'LORA'")
    for key, value in found.items():
        if key not in _READ | _HARMLESS and value not in (None, False, "", [], {}):
            raise LoraError(path, key, f"is {value!r:.80}, which is not supported")
    if found.get("bias", "none") != "none":
        raise LoraError(path, "bias", f"is {found['bias']!r:.80}, and only 'none' is supported")
    if str(found.get("init_lora_weights", True)).lower().startswith(_OF_THE_BASE):
        raise LoraError(path, "init_lora_weights", "changes the base model, which is not supported")
    rank, alpha = _number(path, found, "r"), _number(path, found, "lora_alpha")
    if rank != int(rank) or rank < 1:
        raise LoraError(path, "r", f"is {rank}, not a whole number from 1")
    scale = alpha / (rank**0.5 if _truth(path, found, "use_rslora") else rank)
    return _Config(int(rank), scale, _targets(path, found.get("target_modules")))


def _number(path: Path, found: Mapping[str, Any], key: str) -> float:
    value = found.get(key)
    if isinstance(value, bool) or not isinstance(value, int | float) or not isfinite(value):
        raise LoraError(path, key, f"is {value!r:.80}, not a number")
    return float(value)


def _truth(path: Path, found: Mapping[str, Any], key: str) -> bool:
    value = found.get(key, False)
    if not isinstance(value, bool):
        raise LoraError(path, key, f"is {value!r:.80}, not true or false")
    return value


def _targets(path: Path, value: object) -> tuple[str, ...] | None:
    if isinstance(value, str):
        return None
    if not isinstance(value, list) or not value or not all(isinstance(name, str) for name in value):
        raise LoraError(path, "target_modules", f"is {value!r:.80}, not names of modules")
    return tuple(value)


def _target(path: Path, name: str, config: _Config) -> tuple[str, str]:
    """The tensor of the base, and which factor; raises LoraError for what is no target."""
    found = _NAME.fullmatch(name)
    if found is None or found[3] not in _MODULES:
        known = ", ".join(module.partition(".")[2] for module in _MODULES)
        raise LoraError(path, name, f"is no factor of a target that is supported ({known})")
    if config.targets is not None and not any(f".{found[1]}".endswith(f".{end}") for end in config.targets):
        raise LoraError(path, name, f"is of none of the target_modules {', '.join(config.targets)}")
    return f"blk.{int(found[2])}.{_MODULES[found[3]]}.weight", found[4].lower()


def _module(target: str) -> str:
    """The hub's name for the base's tensor "blk.0.attn_q.weight"."""
    _, layer, name, _ = target.split(".")
    return f".model.layers.{layer}." + next(module for module, ours in _MODULES.items() if ours == name)


def _check_targets(path: Path, config: _Config, modules: set[str]) -> None:
    for end in config.targets or ():
        if not any(module.endswith(f".{end}") for module in modules):
            raise LoraError(path, None, f"has nothing of {end!r}, one of the target_modules")


def _check(path: Path, name: str, shape: tuple[int, ...], dtype: str, rank: int, factor: str) -> None:
    if dtype not in ("F32", "F16", "BF16"):
        raise LoraError(path, name, f"is of type {dtype}, not of floats")
    if len(shape) == 2 and shape[factor == "b"] != rank:
        raise LoraError(path, name, f"is {shape}: not of rank {rank}, as {CONFIG} says")


def _in_order(b: NDArray[np.float32], target: str, model: LlamaConfig) -> NDArray[np.float32]:
    """Rows of B as the base's file has those of its matrix."""
    heads = {"attn_q": model.heads, "attn_k": model.kv_heads}.get(target.split(".")[2])
    if heads is None or model.rotary == "half":
        return b
    return b.reshape(heads, 2, model.head_dim // 2, -1).swapaxes(1, 2).reshape(b.shape)
