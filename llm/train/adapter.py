"""A low-rank adapter (Hu et al. 2021) for every projection, and its files in PEFT's form."""

import json
import math
from collections.abc import Mapping
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812  # torch's own name for it

from llm.gguf.config import LlamaConfig
from llm.train.model import PROJECTIONS, projection_shapes

WEIGHTS_FILE, CONFIG_FILE = "adapter_model.safetensors", "adapter_config.json"


class Adapter(nn.Module):
    """`scale * B A x` beside each projection; nothing at first, since B begins with zeros."""

    def __init__(self, config: LlamaConfig, rank: int, alpha: float, seed: int = 0) -> None:
        super().__init__()
        self.config, self.rank, self.alpha = config, rank, alpha
        generator = torch.Generator().manual_seed(seed)
        self.a, self.b = nn.ParameterDict(), nn.ParameterDict()
        for layer in range(config.layers):
            for name, (rows, columns) in projection_shapes(config).items():
                start = torch.rand(rank, columns, generator=generator) * 2 - 1
                self.a[f"{name}_{layer}"] = nn.Parameter(start / math.sqrt(columns))
                self.b[f"{name}_{layer}"] = nn.Parameter(torch.zeros(rows, rank))

    def forward(self, layer: int, name: str, x: Tensor) -> Tensor:
        """What is added to the output of a projection; see `llm.train.model.Delta`."""
        key = f"{name}_{layer}"
        return F.linear(F.linear(x, self.a[key]), self.b[key]) * (self.alpha / self.rank)


def write_adapter(adapter: Adapter, folder: Path, base: str) -> None:
    """Write float16 weights and their configuration, as PEFT has them, for the model called `base`."""
    weights = {
        f"{_peft_name(layer, name)}.lora_{side.upper()}.weight": parameters[f"{name}_{layer}"]
        for layer in range(adapter.config.layers)
        for name in PROJECTIONS
        for side, parameters in (("a", adapter.a), ("b", adapter.b))
    }
    folder.mkdir(parents=True, exist_ok=True)
    halves = {name: weight.detach().half().cpu().contiguous() for name, weight in weights.items()}
    save_file(halves, folder / WEIGHTS_FILE, {"format": "pt"})
    written = json.dumps(_peft_config(adapter, base), indent=2)
    (folder / CONFIG_FILE).write_text(f"{written}\n", encoding="utf-8")


def read_adapter(folder: Path, config: LlamaConfig) -> Adapter:
    """An adapter that `write_adapter` wrote for a model of this shape; KeyError or RuntimeError otherwise."""
    settings = json.loads((folder / CONFIG_FILE).read_text(encoding="utf-8"))
    weights = load_file(folder / WEIGHTS_FILE)
    adapter = Adapter(config, settings["r"], settings["lora_alpha"])
    state: Mapping[str, Tensor] = {
        f"{side}.{name}_{layer}": weights[f"{_peft_name(layer, name)}.lora_{side.upper()}.weight"].float()
        for layer in range(config.layers)
        for name in PROJECTIONS
        for side in "ab"
    }
    adapter.load_state_dict(state)
    return adapter


def _peft_name(layer: int, name: str) -> str:
    return f"base_model.model.model.layers.{layer}.{PROJECTIONS[name]}"


def _peft_config(adapter: Adapter, base: str) -> dict[str, object]:
    return {
        "peft_type": "LORA",
        "task_type": "CAUSAL_LM",
        "base_model_name_or_path": base,
        "r": adapter.rank,
        "lora_alpha": adapter.alpha,
        "lora_dropout": 0.0,
        "bias": "none",
        "fan_in_fan_out": False,
        "inference_mode": True,
        "target_modules": [name.rpartition(".")[2] for name in PROJECTIONS.values()],
    }
