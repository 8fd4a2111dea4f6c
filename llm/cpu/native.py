"""A model on the compiled CPU kernel (`kernels/cpu/llama_cpu.h`), with weights in the bits of their file."""

from collections.abc import Sequence
from typing import Any
from weakref import WeakKeyDictionary

import numpy as np
from numpy.typing import NDArray

from kernels.cpu import BLOCK, LANES, Cache, Layer, LlamaPass, Model, compiled, supported
from kernels.cpu import Adapter as KernelAdapter
from llm.cpu.adapter import prepare
from llm.cpu.interleave import interleave
from llm.gguf.config import LlamaConfig
from llm.gguf.file import GgufError, GgufFile
from llm.gguf.rope import rope_frequencies
from llm.lora.adapter import Adapter
from llm.serve.batch import Logits, Part
from llm.serve.cache import KvSlots
from llm.serve.rows import Rows, read_rows

MAX_ROWS = 256
"""Rows of a pass; a longer one is read in pieces. Activations of so many lie in the processor's caches."""


def fits(config: LlamaConfig) -> bool:
    """Whether the kernel is there, runs on this processor and takes a model of these sizes."""
    return unsupported_reason(config) is None


def unsupported_reason(config: LlamaConfig) -> str | None:
    """What keeps the kernel from running such a model here; None if it fits."""
    if not compiled():
        return "it was not compiled: install a C compiler, then the assistant again"
    if not supported():
        return "the processor has no AVX2"
    sizes = (config.width, config.hidden, config.heads * config.head_dim)
    if config.head_dim % LANES or any(size % BLOCK for size in sizes):
        return f"heads must be multiples of {LANES} channels, and width and hidden of {BLOCK}"
    return None


def read_model(gguf: GgufFile, config: LlamaConfig, context: int) -> Model:
    """The weights, for sequences of up to `context` tokens; raises GgufError if some are not finite."""
    angles = np.arange(context)[:, None] * rope_frequencies(gguf, config)
    embedding = interleave(gguf, "token_embd.weight")
    tied = "output.weight" not in gguf.tensors
    return Model(
        heads=config.heads,
        kv_heads=config.kv_heads,
        interleaved=config.rotary == "interleaved",
        norm_eps=config.norm_eps,
        layers=[_layer(gguf, config, i) for i in range(config.layers)],
        embedding=embedding,
        head=embedding if tied else interleave(gguf, "output.weight"),
        output_norm=_floats(gguf, "output_norm.weight"),
        cos=np.cos(angles).astype(np.float32),
        sin=np.sin(angles).astype(np.float32),
    )


class NativeRunner:
    """StepRuns passes on keys and values in `kv`; see `llm.serve.batch.Run`."""

    def __init__(self, model: Model, kv: KvSlots, *, threads: int) -> None:
        scales = kv.layout.scales
        cache = Cache(kv.layers, None if scales is None else np.ascontiguousarray(scales[:, :, :, 0]))
        self._pass = LlamaPass(model, cache, threads=threads, max_rows=MAX_ROWS)
        self._config = kv.layout.config
        self._prepared: WeakKeyDictionary[Adapter, KernelAdapter] = WeakKeyDictionary()

    def __call__(self, parts: Sequence[Part]) -> list[NDArray[np.float32]]:
        """Read the parts, of any lengths and with any adapters; the logits of each."""
        adapters = {part.slot: self.prepare(part.adapter) for part in parts if part.adapter is not None}

        def run(ids: Rows, slots: Rows, positions: Rows, wanted: Rows) -> Logits:
            of_rows = [adapters.get(slot) for slot in slots.tolist()] if adapters else None
            return self._pass.run(ids.astype(np.int64), slots, positions, wanted, of_rows)

        return read_rows(parts, MAX_ROWS, run)

    def prepare(self, adapter: Adapter) -> KernelAdapter:
        """The adapter as the kernel wants it; it is kept as long as the adapter is."""
        if adapter not in self._prepared:
            self._prepared[adapter] = prepare(adapter, self._config)
        return self._prepared[adapter]


def _layer(gguf: GgufFile, config: LlamaConfig, i: int) -> Layer:
    floats = {"attn_norm": "attn_norm.weight", "ffn_norm": "ffn_norm.weight"}
    if config.qkv_bias:
        floats |= {f"{part}_bias": f"attn_{part}.bias" for part in "qkv"}
    if config.qk_norm:
        floats |= {f"{part}_norm": f"attn_{part}_norm.weight" for part in "qk"}
    matrices = {part: f"attn_{part}.weight" for part in "qkv"} | {"out": "attn_output.weight"}
    matrices |= {part: f"ffn_{part}.weight" for part in ("gate", "up", "down")}
    fields: dict[str, Any] = {field: interleave(gguf, f"blk.{i}.{name}") for field, name in matrices.items()}
    fields |= {field: _floats(gguf, f"blk.{i}.{name}") for field, name in floats.items()}
    return Layer(**fields)


def _floats(gguf: GgufFile, name: str) -> NDArray[np.float32]:
    tensor = gguf.tensor(name)
    if not np.isfinite(tensor).all():
        raise GgufError(gguf.path, None, f"weights of {name!r} are not finite")
    return tensor
