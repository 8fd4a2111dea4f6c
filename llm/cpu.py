"""The engine for CPUs: a model, the keys and values of several sequences, and whoever runs the passes."""

import os
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from threading import Condition
from types import TracebackType
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from llm import native
from llm.batch import Batcher, Part, Run
from llm.cache import BLOCK, KvLayout, KvSlots, PrefixStore
from llm.calibrate import calibration_tokens, scales_of
from llm.config import LlamaConfig, read_config
from llm.cpu_graph import CpuGraph, WeightType, build_graph
from llm.cpu_store import GraphStore
from llm.engine import ContextFull
from llm.gguf import GgufFile
from llm.kv_type import KvType
from llm.ort_runner import OrtRunner
from llm.rope import rope_frequencies


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


class EngineBusy(RuntimeError):  # noqa: N818  # a condition with a name of its own
    """Every session is taken, and as many as may wait are waiting."""

    def __init__(self, sessions: int, waiting: int) -> None:
        super().__init__(f"all {sessions} sessions are taken and {waiting} wait for one")
        self.sessions, self.waiting = sessions, waiting


class CpuModel:
    """A loaded model and the places of its sessions. May be used from several threads."""

    def __init__(self, gguf: GgufFile, config: CpuConfig, cache: Path | None = None) -> None:
        """Read a model; what had to be prepared is kept in the folder `cache`. Raises GgufError."""
        self.config, self.model = config, read_config(gguf)
        self.context = min(config.context, self.model.context)
        self.frequencies = rope_frequencies(gguf, self.model)
        self.kernel = _kernel(config, self.model)
        prepare = _compiled if self.kernel == "compiled" else _on_onnxruntime
        self.kv, self._runner = prepare(gguf, self.model, config, cache)
        token_bytes = self.kv.layout.token_bytes
        self.prefixes = PrefixStore(config.prefix_bytes, BLOCK * token_bytes)
        self.batcher = Batcher(self._run, ragged=self.kernel == "compiled")
        self._free = list(range(config.sessions))[::-1]
        self._waiting: list[object] = []  # a token for each, who came first is first
        self._released = Condition()

    def open(self, wait_s: float = 0.0) -> "CpuEngine":
        """A new sequence; waits up to `wait_s` for a place. Raises EngineBusy."""
        with self._released:
            if not self._free or self._waiting:
                self._queue(wait_s)
            return CpuEngine(self, self._free.pop())

    def _queue(self, wait_s: float) -> None:
        """Wait for a place behind those who wait already. Raises EngineBusy."""
        if wait_s <= 0 or len(self._waiting) >= self.config.waiting:
            raise EngineBusy(self.config.sessions, len(self._waiting))
        ticket = object()
        self._waiting.append(ticket)
        try:
            mine = self._released.wait_for(lambda: self._free and self._waiting[0] is ticket, wait_s)
        finally:
            self._waiting.remove(ticket)
            self._released.notify_all()  # the next may be first now
        if not mine:
            raise EngineBusy(self.config.sessions, len(self._waiting))

    def release(self, slot: int) -> None:
        """Give a sequence's place back."""
        with self._released:
            self._free.append(slot)
            self._free.sort(reverse=True)  # the lowest first: a pass spans the slots from first to last
            self._released.notify_all()

    def _run(self, parts: Sequence[Part]) -> list[NDArray[np.float32]]:
        """See `llm.batch.Run`."""
        return self._runner(parts)


class CpuEngine:
    """One sequence in a place of its own; see `llm.engine.Engine`. Closing it gives the place back."""

    def __init__(self, model: CpuModel, slot: int) -> None:
        self.context = model.context
        self._model, self._slot = model, slot
        self._tokens: list[int] = []
        self._pure = model.context  # tokens up to here have seen nothing that was cut
        self._closed = False

    @property
    def tokens(self) -> Sequence[int]:
        """See Engine."""
        return self._tokens

    @property
    def kv_bytes(self) -> int:
        """What the keys and values held take."""
        return len(self._tokens) * self._model.kv.layout.token_bytes

    def extend(self, tokens: Sequence[int], logits_for: int = 1) -> NDArray[np.float32]:
        """See Engine. Blocks of the prefix store are copied rather than computed."""
        total = len(self._tokens) + len(tokens)
        if total > self.context:
            raise ContextFull(total, self.context)
        if not 0 <= logits_for <= len(tokens):
            raise ValueError(f"{logits_for} logits asked of {len(tokens)} tokens")
        if wrong := [token for token in tokens if not 0 <= token < self._model.model.vocabulary]:
            raise ValueError(f"token {wrong[0]} of a vocabulary of {self._model.model.vocabulary}")
        assert not self._closed, "a closed sequence"
        if not tokens:
            return np.empty((0, self._model.model.vocabulary), np.float32)
        known = self._recall(tokens, len(tokens) - max(logits_for, 1))
        fresh = tokens[known:]
        logits = self._model.batcher.read(Part(self._slot, len(self._tokens), fresh, logits_for))
        self._tokens.extend(fresh)
        return logits

    def truncate(self, length: int) -> None:
        """See Engine."""
        del self._tokens[length:]
        if length <= self._pure:
            self._pure = self.context

    def cut(self, start: int, stop: int) -> None:
        """See Engine."""
        if not 0 <= start <= stop <= len(self._tokens):
            raise ValueError(f"tokens {start} to {stop} of {len(self._tokens)} cannot be cut")
        if start < stop < len(self._tokens):
            self._model.kv.cut(self._slot, start, stop, len(self._tokens), self._model.frequencies)
            self._pure = min(self._pure, start)
        del self._tokens[start:stop]

    def fork(self, wait_s: float = 0.0) -> "CpuEngine":
        """A second sequence with the same tokens; the two go their own ways from here. Raises EngineBusy."""
        other = self._model.open(wait_s)
        other._model.kv.write(other._slot, 0, self._model.kv.read(self._slot, 0, len(self._tokens)))
        other._tokens, other._pure = list(self._tokens), self._pure
        return other

    def share(self) -> None:
        """Put what is held into the prefix store, for sequences that begin alike.

        Not what lies behind a cut: its keys and values are of a text that others do not have.
        """
        tokens = self._tokens[: self._pure]
        blocks = self._model.prefixes.missing(tokens)
        kv = {i: self._model.kv.read(self._slot, i * BLOCK, (i + 1) * BLOCK) for i in blocks}
        self._model.prefixes.add(tokens, kv)

    def close(self) -> None:
        """Give the place back; what was held stays in the prefix store."""
        if not self._closed:
            self.share()
            self._closed = True
            self._tokens = []  # the place is another's from here
            self._model.release(self._slot)

    def __enter__(self) -> "CpuEngine":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _recall(self, tokens: Sequence[int], limit: int) -> int:
        """Copy what the prefix store has of `tokens`, at most `limit`; returns how many."""
        held = len(self._tokens)
        if limit < BLOCK or not self._model.prefixes.budget:
            return 0
        blocks = self._model.prefixes.match([*self._tokens, *tokens[:limit]])
        for i, block in enumerate(blocks):
            if (end := (i + 1) * BLOCK) > held:
                self._model.kv.write(self._slot, end - BLOCK, block)
        known = max(0, len(blocks) * BLOCK - held)
        self._tokens.extend(tokens[:known])
        return known


def _kernel(config: CpuConfig, model: LlamaConfig) -> Literal["compiled", "onnxruntime"]:
    if config.kernel == "onnxruntime" or config.weights == "f32":
        return "onnxruntime"
    if config.kernel == "compiled" and not native.fits(model):
        raise ValueError("the compiled kernel is not there, or not for this processor or model")
    return "compiled" if native.fits(model) else "onnxruntime"


def _compiled(
    gguf: GgufFile,
    model: LlamaConfig,
    config: CpuConfig,
    cache: Path | None,  # noqa: ARG001  # nothing to keep
) -> tuple[KvSlots, Run]:
    context = min(config.context, model.context)
    threads = config.threads or default_threads()
    calibration = calibration_tokens(gguf)[: model.context] if config.kv == "int8" else []
    weights = native.read_model(gguf, model, max(context, len(calibration)))
    scales = None
    if calibration:
        exact = KvSlots(KvLayout(model, None), 1, len(weights.cos))
        native.NativeRunner(weights, exact, threads=threads)([Part(0, 0, calibration, 0)])
        scales = _scales_held(exact, len(calibration))
    kv = KvSlots(KvLayout(model, scales), config.sessions, context)
    short = replace(weights, cos=weights.cos[:context], sin=weights.sin[:context])
    return kv, native.NativeRunner(short, kv, threads=threads)


def _on_onnxruntime(
    gguf: GgufFile, model: LlamaConfig, config: CpuConfig, cache: Path | None
) -> tuple[KvSlots, Run]:
    context = min(config.context, model.context)
    variant = f"context={context} kv={config.kv} weights={config.weights}"

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
    return scales_of([(keys[0, :, :tokens], values[0, :, :tokens]) for keys, values in kv.layers])


def default_threads() -> int:
    """As many as there are cores, up to four: more do not read the memory any faster."""
    return min(cores(), 4)


def cores() -> int:
    """Cores that this process may use."""
    with suppress(AttributeError):  # not on macOS and Windows
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
