"""The engine for CPUs: ONNX Runtime, 8-bit weights, keys and values in place, several sequences a pass."""

import os
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from threading import Condition
from types import TracebackType

import numpy as np
import onnxruntime as ort
from numpy.typing import NDArray

from llm.batch import Batcher, Part
from llm.cache import BLOCK, KvLayout, KvSlots, PrefixStore
from llm.calibrate import calibration_tokens, scales_of
from llm.config import LlamaConfig, read_config
from llm.cpu_graph import WEIGHTS_FILE, CpuGraph, WeightType, build_graph
from llm.cpu_store import GraphStore
from llm.engine import ContextFull
from llm.gguf import GgufFile
from llm.kv_type import KvType
from llm.rope import rope_frequencies

ort.set_default_logger_severity(3)  # its warnings are noise to a user


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
    spin: bool = True
    """Whether the threads of a pass spin while they wait for each other."""

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

    def __init__(
        self, graph: CpuGraph, model: LlamaConfig, config: CpuConfig, frequencies: NDArray[np.float64]
    ) -> None:
        self.context = min(config.context, model.context)
        self.config, self.model = config, model
        layout = KvLayout(model, graph.kv_scales if len(graph.kv_scales) else None)
        self.prefixes = PrefixStore(config.prefix_bytes, BLOCK * layout.token_bytes)
        self.kv = KvSlots(layout, config.sessions, self.context)
        self.frequencies = frequencies
        self._session = open_session(graph, config)
        self._bindings: dict[tuple[int, int], ort.IOBinding] = {}
        self.batcher = Batcher(self._run)
        self._free = list(range(config.sessions))[::-1]
        self._waiting: list[object] = []  # a token for each, who came first is first
        self._released = Condition()

    @classmethod
    def load(cls, gguf: GgufFile, config: CpuConfig, cache: Path | None = None) -> "CpuModel":
        """Read a model; its prepared graph is kept in the folder `cache`. Raises GgufError."""
        model = read_config(gguf)
        context = min(config.context, model.context)
        variant = f"context={context} kv={config.kv} weights={config.weights}"

        def build() -> CpuGraph:
            scales = _kv_scales(gguf, config) if config.kv == "int8" else None
            return build_graph(gguf, model, context=context, weights=config.weights, kv_scales=scales)

        graph = GraphStore(cache).get(gguf.path, variant, build)
        return cls(graph, model, config, rope_frequencies(gguf, model))

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
        """One pass over parts of equal length; slots between them that are not asked for stay as they are."""
        first, last = min(part.slot for part in parts), max(part.slot for part in parts)
        batch, new = last - first + 1, len(parts[0].tokens)
        tokens = np.zeros((batch, new), np.int64)
        lengths, queries = np.zeros(batch, np.int32), np.zeros(batch, np.int32)
        rows: list[int] = []
        for part in parts:
            i = part.slot - first
            tokens[i], lengths[i], queries[i] = part.tokens, part.start + new - 1, new
            rows += range((i + 1) * new - part.logits_for, (i + 1) * new)
        # A head over no rows is refused: the last row's logits are thrown away then.
        wanted = np.array(rows or [new - 1], np.int64)
        logits = np.empty((len(wanted), self.model.vocabulary), np.float32)
        binding = self._binding(first, last)
        inputs = {
            "tokens": tokens,
            "lengths": lengths,
            "longest": np.array(lengths.max() + 1, np.int32),
            "query_lengths": queries,
            "rows": wanted,
        }
        for name, array in inputs.items():
            binding.bind_ortvalue_input(name, ort.OrtValue.ortvalue_from_numpy(array))
        binding.bind_ortvalue_output("logits", ort.OrtValue.ortvalue_from_numpy(logits))
        self._session.run_with_iobinding(binding)
        ends = np.cumsum([part.logits_for for part in parts])
        return [logits[end - part.logits_for : end] for end, part in zip(ends, parts, strict=True)]

    def _binding(self, first: int, last: int) -> ort.IOBinding:
        """Keys and values of the slots from first to last, as inputs and, in the same place, as outputs."""
        if (first, last) not in self._bindings:
            self._bindings[first, last] = bind_kv(self._session, self.kv, first, last)
        return self._bindings[first, last]


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


def open_session(graph: CpuGraph, config: CpuConfig) -> ort.InferenceSession:
    """A session whose weights come from memory."""
    options = ort.SessionOptions()
    options.intra_op_num_threads = config.threads or min(cores(), 4)
    options.inter_op_num_threads = 1
    options.add_session_config_entry("session.intra_op.allow_spinning", "1" if config.spin else "0")
    options.add_external_initializers_from_files_in_memory(
        [WEIGHTS_FILE], [graph.weights], [graph.weights.nbytes]
    )
    return ort.InferenceSession(graph.model, options, providers=["CPUExecutionProvider"])


def bind_kv(session: ort.InferenceSession, kv: KvSlots, first: int, last: int) -> ort.IOBinding:
    """A binding in which the keys and values of slots `first` to `last` are read and written in place."""
    binding = session.io_binding()
    for i, layer in enumerate(kv.layers):
        for name, part in zip(("key", "value"), layer, strict=True):
            value = ort.OrtValue.ortvalue_from_numpy(part[first : last + 1])
            binding.bind_ortvalue_input(f"{name}.{i}", value)
            binding.bind_ortvalue_output(f"new_{name}.{i}", value)
    if kv.layout.scales is not None:
        for i, scales in enumerate(kv.layout.scales):
            for name, scale in zip(("key", "value"), scales, strict=True):
                binding.bind_ortvalue_input(f"{name}_scale.{i}", ort.OrtValue.ortvalue_from_numpy(scale))
    return binding


def _kv_scales(gguf: GgufFile, config: CpuConfig) -> NDArray[np.float32]:
    """How large keys and values get, seen with float32 ones."""
    tokens = calibration_tokens(gguf)[: read_config(gguf).context]
    exact = CpuModel.load(gguf, replace(config, kv="f32", sessions=1, context=len(tokens), prefix_bytes=0))
    with exact.open() as engine:
        engine.extend(tokens, 0)
        return scales_of([(k[0, :, : len(tokens)], v[0, :, : len(tokens)]) for k, v in exact.kv.layers])


def cores() -> int:
    """Cores that this process may use."""
    with suppress(AttributeError):  # not on macOS and Windows
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
