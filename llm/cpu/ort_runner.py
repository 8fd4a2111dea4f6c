"""Passes on ONNX Runtime: where the compiled kernel is not, and, with float32 weights, as the reference."""

from collections.abc import Sequence

import numpy as np
import onnxruntime as ort
from numpy.typing import NDArray

from llm.cpu.graph import WEIGHTS_FILE, CpuGraph
from llm.serve.batch import Part
from llm.serve.cache import KvSlots

ort.set_default_logger_severity(3)  # its warnings are noise to a user


class OrtRunner:
    """StepRuns passes of parts of equal length on keys and values in `kv`; see `llm.serve.batch.Run`."""

    def __init__(self, graph: CpuGraph, kv: KvSlots, *, vocabulary: int, threads: int) -> None:
        self._session = open_session(graph, threads)
        self._kv, self._vocabulary = kv, vocabulary
        self._bindings: dict[tuple[int, int], ort.IOBinding] = {}

    def __call__(self, parts: Sequence[Part]) -> list[NDArray[np.float32]]:
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
        logits = np.empty((len(wanted), self._vocabulary), np.float32)
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
            self._bindings[first, last] = bind_kv(self._session, self._kv, first, last)
        return self._bindings[first, last]


def open_session(graph: CpuGraph, threads: int) -> ort.InferenceSession:
    """A session whose weights come from memory."""
    options = ort.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
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
