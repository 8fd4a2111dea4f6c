"""Prepared graphs on disk: the second start of a model builds nothing."""

import io
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnxruntime as ort

from kernels.prepared import Files, PreparedFiles
from llm.cpu.graph import CpuGraph

_FORMAT = 3  # of the graph and of its files; a new number where either changes


@dataclass(frozen=True)
class GraphStore:
    """Prepared graphs in the folder `root`; None keeps them in memory only."""

    root: Path | None

    def get(self, source: Path, variant: str, build: Callable[[], CpuGraph]) -> CpuGraph:
        """The graph of the model file `source` in one `variant`; see `PreparedFiles.get`."""
        key = f"llm {_FORMAT} {ort.__version__} {variant}"
        files = PreparedFiles(self.root).get(source, key, lambda: _files(build()))
        scales = io.BytesIO(files["kv_scales.npy"].tobytes())
        model, weights = files["model.onnx"].tobytes(), files["weights"]
        return CpuGraph(model, weights, np.load(scales, allow_pickle=False))


def _files(graph: CpuGraph) -> Files:
    scales = io.BytesIO()
    np.save(scales, graph.kv_scales)
    return {
        "model.onnx": np.frombuffer(graph.model, np.uint8),
        "weights": graph.weights,
        "kv_scales.npy": np.frombuffer(scales.getvalue(), np.uint8),
    }
