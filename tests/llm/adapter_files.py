"""Small adapters, written in both forms; their rows are in the hub's order, as they were trained."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from gguf_writer import F32, STRING, Entry, build, typed
from llama_files import architecture_of
from numpy.typing import NDArray
from safetensors.numpy import save_file

from llm.gguf.config import LlamaConfig, layer_shapes

Matrix = NDArray[np.float32]
Factors = dict[str, tuple[Matrix, Matrix]]
"""A [rank, in] and B [out, rank] of each matrix, by the name of its tensor in the base."""

MODULES = {
    "attn_q": "self_attn.q_proj",
    "attn_k": "self_attn.k_proj",
    "attn_v": "self_attn.v_proj",
    "attn_output": "self_attn.o_proj",
    "ffn_gate": "mlp.gate_proj",
    "ffn_up": "mlp.up_proj",
    "ffn_down": "mlp.down_proj",
}


def random_factors(
    config: LlamaConfig,
    rank: int = 4,
    *,
    targets: Sequence[str] = tuple(MODULES),
    layers: Sequence[int] | None = None,
    size: float = 0.3,
    seed: int = 0,
) -> Factors:
    """Factors whose product, with a scale of 1, is about `size` times as large as the weights."""
    rng, shapes = np.random.default_rng(seed), layer_shapes(config)
    found: Factors = {}
    for layer in range(config.layers) if layers is None else layers:
        for target in targets:
            out, into = shapes[f"{target}.weight"]
            a = rng.normal(0, into**-0.5, (rank, into)).astype(np.float32)
            b = rng.normal(0, 1.5 * size / rank**0.5, (out, rank)).astype(np.float32)
            found[f"blk.{layer}.{target}.weight"] = a, b
    return found


def permuted(rows: Matrix, heads: int) -> Matrix:
    """As llama.cpp's conversion permutes q and k of the architecture llama, told row by row."""
    d = len(rows) // heads
    order = [h * d + i % 2 * (d // 2) + i // 2 for h in range(heads) for i in range(d)]
    return rows[order]


def in_base_order(config: LlamaConfig, name: str, rows: Matrix) -> Matrix:
    """Rows of a matrix of the hub, or of its B, as a GGUF file has them."""
    heads = {"attn_q": config.heads, "attn_k": config.kv_heads}.get(name.split(".")[2])
    return permuted(rows, heads) if heads and architecture_of(config) == "llama" else rows


def deltas(config: LlamaConfig, factors: Factors, scale: float) -> dict[str, Matrix]:
    """What is added to each matrix of the GGUF file, in float32."""
    return {
        name: in_base_order(config, name, (scale * (b.astype(np.float64) @ a)).astype(np.float32))
        for name, (a, b) in factors.items()
    }


def write_hub(
    folder: Path,
    factors: Factors,
    *,
    alpha: float = 8,
    changes: Mapping[str, object] | None = None,
    tensors: Mapping[str, NDArray[np.generic] | None] | None = None,
) -> Path:
    """A folder as PEFT saves it, with changes of its configuration and tensors; None leaves one out."""
    folder.mkdir(parents=True, exist_ok=True)
    rank = len(next(iter(factors.values()))[0])
    names = sorted({MODULES[name.split(".")[2]].split(".")[1] for name in factors})
    config = {
        "peft_type": "LORA",
        "task_type": "CAUSAL_LM",
        "base_model_name_or_path": "a/model",
        "r": rank,
        "lora_alpha": alpha,
        "lora_dropout": 0.05,
        "target_modules": names,
        "bias": "none",
        "use_rslora": False,
        "use_dora": False,
        "fan_in_fan_out": False,
        "modules_to_save": None,
        "rank_pattern": {},
        **(changes or {}),
    }
    (folder / "adapter_config.json").write_text(json.dumps(config), encoding="utf-8")
    held: dict[str, NDArray[np.generic]] = {}
    for name, (a, b) in factors.items():
        held[hub_name(name, "A")], held[hub_name(name, "B")] = a, b
    changed = {**held, **(tensors or {})}
    save_file(
        {name: np.ascontiguousarray(x) for name, x in changed.items() if x is not None},
        folder / "adapter_model.safetensors",
    )
    return folder


def hub_name(name: str, factor: str) -> str:
    """The hub's name of a factor of the base's tensor `name`."""
    _, layer, target, _ = name.split(".")
    return f"base_model.model.model.layers.{layer}.{MODULES[target]}.lora_{factor}.weight"


def write_gguf_adapter(
    path: Path,
    config: LlamaConfig,
    factors: Factors,
    *,
    alpha: float = 8,
    metadata: Mapping[str, bytes | None] | None = None,
    tensors: Mapping[str, Matrix | None] | None = None,
) -> Path:
    """A file as llama.cpp's conversion makes it."""
    values: dict[str, bytes | None] = {
        "general.type": typed(STRING, "adapter"),
        "general.architecture": typed(STRING, architecture_of(config)),
        "adapter.type": typed(STRING, "lora"),
        "adapter.lora.alpha": typed(F32, alpha),
        **(metadata or {}),
    }
    held: dict[str, Matrix | None] = {}
    for name, (a, b) in factors.items():
        held[f"{name}.lora_a"], held[f"{name}.lora_b"] = a, in_base_order(config, name, b)
    entries: list[Entry] = []
    data = b""
    for name, x in {**held, **(tensors or {})}.items():
        if x is not None:
            entries.append((name, x.shape[::-1], 0, len(data)))
            data += x.tobytes()
            data += bytes(-len(data) % 32)
    path.write_bytes(build([(k, v) for k, v in values.items() if v is not None], entries, data))
    return path
