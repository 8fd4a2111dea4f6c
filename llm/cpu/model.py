"""The engine for CPUs: a model, the keys and values of several sequences, and whoever runs the passes."""

import os
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from llm.cpu import native
from llm.cpu.graph import CpuGraph, WeightType, build_graph
from llm.cpu.graph_store import GraphStore
from llm.cpu.ort_runner import OrtRunner
from llm.cpu.served import describe
from llm.decode.served import Unsupported, rows_of
from llm.gguf.config import LlamaConfig, read_config
from llm.gguf.file import GgufFile
from llm.gguf.rope import rope_frequencies
from llm.lora import Adapter, merge
from llm.serve.adapters import Choice, chosen
from llm.serve.batch import Batcher, Part, Run
from llm.serve.cache import BLOCK, KvLayout, KvSlots, PrefixStore
from llm.serve.calibrate import calibration_tokens, scales_of
from llm.serve.kv_type import Kernel, KvType
from llm.serve.sessions import Sessions, SlotEngine


@dataclass(frozen=True)
class CpuConfig:
    """How a model is run. `threads` None: as many as there are cores, up to four."""

    context: int = 2048
    sessions: int = 1
    waiting: int = 8
    """How many may queue for a session's place before the next is refused."""
    threads: int | None = None
    kv: KvType = "f32"
    weights: WeightType = "quantized"
    prefix_bytes: int = 64 * 2**20
    """For beginnings of prompts that several sessions, or several conversations, have in common."""
    kernel: Literal["auto", "compiled", "onnxruntime"] = "auto"
    """auto: the compiled one where it is there and fits, ONNX Runtime elsewhere and for f32 weights."""

    def __post_init__(self) -> None:
        if min(self.context, self.sessions) < 1 or min(self.waiting, self.prefix_bytes) < 0:
            raise ValueError(
                f"context and sessions must be positive, waiting and prefix_bytes not negative: {self}"
            )
        if self.threads is not None and self.threads < 1:
            raise ValueError(f"threads must be positive: {self}")


class CpuModel:
    """A loaded model and the places of its sessions. May be used from several threads."""

    def __init__(
        self, gguf: GgufFile, config: CpuConfig, cache: Path | None = None, adapter: Adapter | None = None
    ) -> None:
        """Read a model; what had to be prepared is kept in the folder `cache`. Raises GgufError.

        `adapter` is that of sessions which name none. On ONNX Runtime it is merged into the weights.
        """
        self.config, self.model, self.adapter = config, read_config(gguf), adapter
        self.context = min(config.context, self.model.context)
        self.kernel = _kernel(config, self.model)
        self.unsupported = _unsupported(config, self.model, self.kernel)
        if adapter is not None and self.kernel == "onnxruntime":
            gguf = merge(gguf, adapter)
        prepare = _compiled if self.kernel == "compiled" else _on_onnxruntime
        self.kv, self._runner = prepare(gguf, self.model, config, cache, adapter)
        self.prefixes = PrefixStore(config.prefix_bytes, BLOCK * self.kv.layout.token_bytes)
        self.sessions = Sessions(
            config.sessions,
            waiting=config.waiting,
            context=self.context,
            vocabulary=self.model.vocabulary,
            store=_Store(self.kv, self.prefixes, rope_frequencies(gguf, self.model)),
            batcher=Batcher(self._run, ragged=self.kernel == "compiled"),
            describe=describe(
                gguf,
                self.model,
                context=self.context,
                kernel=self.kernel,
                kv=config.kv,
                dense=config.weights == "f32",
            ),
        )

    def open(self, wait_s: float = 0.0, adapter: Choice = "default") -> SlotEngine:
        """A new sequence; waits up to `wait_s` for a place. Raises EngineBusy, and AdapterMerged.

        The compiled kernel takes any adapter that was read for this model, in passes with other sessions'.
        """
        merged = "ONNX Runtime" if self.kernel == "onnxruntime" else None
        found = chosen(adapter, self.adapter, merged=merged)
        if found is not None and isinstance(self._runner, native.NativeRunner):
            self._runner.prepare(found)  # now, or the others in its first pass would wait for it
        return self.sessions.open(wait_s, found)

    def _run(self, parts: Sequence[Part]) -> list[NDArray[np.float32]]:
        """See `llm.serve.batch.Run`."""
        logits = self._runner(parts)
        rows = rows_of(sum(len(part.tokens) for part in parts))
        for part in parts:
            self.sessions.tallies[part.slot].add(rows)
        return logits


@dataclass(frozen=True)
class _Store:
    """See `llm.serve.sessions.Store`: each slot has a buffer of its own, and what is shared is copied."""

    kv: KvSlots
    prefixes: PrefixStore
    frequencies: NDArray[np.float64]  # radians a position, [head dim / 2]

    @property
    def token_bytes(self) -> int:
        return self.kv.layout.token_bytes

    def lookup(self, slot: int, held: Sequence[int], tokens: Sequence[int], adapter: str = "") -> int:
        if len(tokens) < BLOCK or not self.prefixes.budget:
            return 0
        blocks = self.prefixes.match([*held, *tokens], adapter)
        for i, block in enumerate(blocks):
            if (end := (i + 1) * BLOCK) > len(held):
                self.kv.write(slot, end - BLOCK, block)
        return max(0, len(blocks) * BLOCK - len(held))

    def reserve(self, slot: int, held: int, total: int) -> None:
        pass  # there is room for a whole context

    def truncate(self, slot: int, length: int) -> None:
        pass  # what lies behind is written over

    def shift(self, slot: int, start: int, stop: int, length: int) -> None:
        self.kv.shift(slot, start, stop, length, self.frequencies)

    def insert(self, slot: int, tokens: Sequence[int], adapter: str = "") -> None:
        blocks = self.prefixes.missing(tokens, adapter)
        kv = {i: self.kv.read(slot, i * BLOCK, (i + 1) * BLOCK) for i in blocks}
        self.prefixes.add(tokens, kv, adapter)


def _kernel(config: CpuConfig, model: LlamaConfig) -> Kernel:
    if config.kernel == "onnxruntime" or config.weights == "f32":
        return "onnxruntime"
    if config.kernel == "compiled" and not native.fits(model):
        raise ValueError("the compiled kernel is not there, or not for this processor or model")
    return "compiled" if native.fits(model) else "onnxruntime"


def _unsupported(config: CpuConfig, model: LlamaConfig, kernel: Kernel) -> tuple[Unsupported, ...]:
    if kernel == "compiled":
        return ()
    unwanted = "float32 weights" if config.weights == "f32" else "ONNX Runtime was asked for"
    return (Unsupported("compiled CPU kernel", native.unsupported_reason(model) or unwanted),)


def _compiled(
    gguf: GgufFile,
    model: LlamaConfig,
    config: CpuConfig,
    cache: Path | None,  # noqa: ARG001  # nothing to keep
    adapter: Adapter | None,
) -> tuple[KvSlots, Run[Part]]:
    context = min(config.context, model.context)
    threads = config.threads or default_threads()
    calibration = calibration_tokens(gguf)[: model.context] if config.kv == "int8" else []
    weights = native.read_model(gguf, model, max(context, len(calibration)))
    scales = None
    if calibration:
        exact = KvSlots(KvLayout(model, None), 1, len(weights.cos))
        native.NativeRunner(weights, exact, threads=threads)([Part(0, 0, calibration, 0, adapter=adapter)])
        scales = _scales_held(exact, len(calibration))
    kv = KvSlots(KvLayout(model, scales), config.sessions, context)
    short = replace(weights, cos=weights.cos[:context], sin=weights.sin[:context])
    return kv, native.NativeRunner(short, kv, threads=threads)


def _on_onnxruntime(
    gguf: GgufFile,
    model: LlamaConfig,
    config: CpuConfig,
    cache: Path | None,
    adapter: Adapter | None,  # noqa: ARG001  # it is in the weights
) -> tuple[KvSlots, Run[Part]]:
    context = min(config.context, model.context)
    variant = f"context={context} kv={config.kv} weights={config.weights}"
    if gguf.variant:
        variant += f" {gguf.variant}"

    def build() -> CpuGraph:
        scales = _kv_scales(gguf, config) if config.kv == "int8" else None
        return build_graph(gguf, model, context=context, weights=config.weights, kv_scales=scales)

    graph = GraphStore(cache).get(gguf.path, variant, build)
    kv = KvSlots(KvLayout(model, graph.kv_scales if len(graph.kv_scales) else None), config.sessions, context)
    threads = config.threads or default_threads()
    return kv, OrtRunner(graph, kv, vocabulary=model.vocabulary, threads=threads)


def _kv_scales(gguf: GgufFile, config: CpuConfig) -> NDArray[np.float32]:
    """How large keys and values get, seen with float32 ones."""
    tokens = calibration_tokens(gguf)[: read_config(gguf).context]
    exact = CpuModel(gguf, replace(config, kv="f32", sessions=1, context=len(tokens), prefix_bytes=0))
    with exact.open() as engine:
        engine.extend(tokens, 0)
        return _scales_held(exact.kv, len(tokens))


def _scales_held(kv: KvSlots, tokens: int) -> NDArray[np.float32]:
    held = [(keys[0, :, :tokens], values[0, :, :tokens]) for keys, values in kv.layers]
    return scales_of(held, kv.layout.config.rotary)


def default_threads() -> int:
    """As many as there are cores, up to four: more do not read the memory any faster."""
    return min(cores(), 4)


def cores() -> int:
    """Cores that this process may use."""
    with suppress(AttributeError):  # not on macOS and Windows
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
