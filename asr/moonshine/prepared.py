"""Prepared graphs on disk: the second start of a model builds nothing."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnxruntime as ort
from numpy.typing import NDArray

from asr.onnx import OnnxGraph
from kernels.prepared import Files, PreparedFiles

_FORMAT = 3  # of the graphs and of their files; a new number where either changes

Graphs = tuple[OnnxGraph, ...]


@dataclass(frozen=True)
class GraphStore:
    """Prepared graphs in the folder `root`; None keeps them in memory only."""

    root: Path | None

    def get(self, source: Path, variant: str, build: Callable[[], Sequence[OnnxGraph]]) -> Graphs:
        """The graphs of the model file `source` in one `variant`; see `PreparedFiles.get`."""
        key = f"asr {_FORMAT} {ort.__version__} {variant}"
        files = PreparedFiles(self.root).get(source, key, lambda: _files(build()))
        count = len(files) // 2
        return tuple(OnnxGraph(files[f"{i}.onnx"].tobytes(), files[f"{i}.weights"]) for i in range(count))


def _files(graphs: Sequence[OnnxGraph]) -> Files:
    files: dict[str, NDArray[np.uint8]] = {}
    for i, graph in enumerate(graphs):
        files |= {f"{i}.onnx": np.frombuffer(graph.model, np.uint8), f"{i}.weights": graph.weights}
    return files
