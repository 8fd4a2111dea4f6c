"""Adapters in GGUF, as llama.cpp's `convert_lora_to_gguf.py` makes them."""

import re
from collections.abc import Mapping
from math import isfinite
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from llm.gguf.config import LlamaConfig
from llm.gguf.file import GgufFile, open_gguf
from llm.lora.adapter import TARGETS, LoraError, LowRank, assemble, check_factor, check_finite

_NAME = re.compile(rf"(blk\.(?:0|[1-9]\d{{0,3}})\.(?:{'|'.join(TARGETS)})\.weight)\.lora_([ab])", re.ASCII)


def read_gguf(path: Path, base: GgufFile, model: LlamaConfig) -> Mapping[str, LowRank]:
    """The pairs in a file, whose rows are in the base's order already; raises GgufError and LoraError."""
    file = open_gguf(path)
    _check_kind(file, base)
    alpha = file.get_float("adapter.lora.alpha")
    if not isfinite(alpha):
        raise LoraError(path, "adapter.lora.alpha", f"is {alpha}, not a number")
    factors: dict[tuple[str, str], NDArray[np.float32]] = {}
    for name, info in file.tensors.items():
        found = _NAME.fullmatch(name)
        if found is None:
            raise LoraError(path, name, f"is no factor of a target that is supported ({', '.join(TARGETS)})")
        check_factor(path, name, model, found[1], found[2], info.shape)
        factors[found[1], found[2]] = values = file.tensor(name)
        check_finite(path, name, values)
    # Of an alpha of 0 llama.cpp takes no notice: it adds b @ a as they are.
    scales = {
        name: alpha / len(a) if alpha else 1.0 for (name, factor), a in factors.items() if factor == "a"
    }
    return assemble(path, factors, scales)


def _check_kind(file: GgufFile, base: GgufFile) -> None:
    for key, wanted in (("general.type", "adapter"), ("adapter.type", "lora")):
        if (found := file.get_str(key)) != wanted:
            raise LoraError(file.path, key, f"is {found!r:.80}, not {wanted!r}")
    found, wanted = (each.get_str("general.architecture") for each in (file, base))
    if found != wanted:
        raise LoraError(file.path, "general.architecture", f"is {found!r:.80}, and the model's is {wanted!r}")
    if (key := "adapter.alora.invocation_tokens") in file.metadata:
        raise LoraError(file.path, key, "is there: activated LoRA is not supported")
