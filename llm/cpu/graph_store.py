"""Prepared graphs on disk: what took seconds to build from a GGUF file is mapped when it is wanted again.

A graph is a folder named by a digest of all that it depends on. It appears whole, by a rename, and carries
the SHA-256 of its files: one that is damaged is built anew.
"""

import hashlib
import io
import shutil
import tempfile
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnxruntime as ort
from numpy.typing import NDArray

from llm.cpu.graph import WEIGHTS_FILE, CpuGraph

_FORMAT = 2  # of the graph and of this folder; a new number where either changes
_MODEL_FILE = "model.onnx"
_SCALES_FILE = "kv_scales.npy"
_DIGEST_FILE = "sha256"


@dataclass(frozen=True)
class GraphStore:
    """Prepared graphs in the folder `root`; None keeps them in memory only."""

    root: Path | None

    def get(self, source: Path, variant: str, build: Callable[[], CpuGraph]) -> CpuGraph:
        """The graph of the model file `source` in one `variant`; built, and kept if the disk lets us.

        A folder that is missing, half-written, damaged or unreadable is a reason to build, not an error.
        """
        if self.root is None:
            return build()
        folder = self.root / _key(source, variant)
        with suppress(OSError, ValueError):
            return _read(folder)
        graph = build()
        with suppress(OSError):  # a full disk or a read-only one: the next start builds again
            _write(folder, graph)
        return graph


def _key(source: Path, variant: str) -> str:
    with source.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256")
    digest.update(f"\n{_FORMAT}\n{ort.__version__}\n{variant}".encode())
    return digest.hexdigest()[:32]


def _read(folder: Path) -> CpuGraph:
    """Raises OSError, or ValueError if the files are not those that were written."""
    model = (folder / _MODEL_FILE).read_bytes()
    weights = np.memmap(folder / WEIGHTS_FILE, np.uint8, mode="r")
    scales = (folder / _SCALES_FILE).read_bytes()
    if (folder / _DIGEST_FILE).read_text() != _digest(model, weights, scales):
        raise ValueError(f"{folder} is damaged")
    return CpuGraph(model, weights, np.load(io.BytesIO(scales), allow_pickle=False))


def _write(folder: Path, graph: CpuGraph) -> None:
    """Write a folder beside `folder` and rename it; nothing is left if that fails."""
    scales = io.BytesIO()
    np.save(scales, graph.kv_scales)
    folder.parent.mkdir(parents=True, exist_ok=True)
    new = Path(tempfile.mkdtemp(prefix=f"{folder.name}.", dir=folder.parent))
    try:
        _sweep(folder, new)
        (new / _MODEL_FILE).write_bytes(graph.model)
        graph.weights.tofile(new / WEIGHTS_FILE)
        (new / _SCALES_FILE).write_bytes(scales.getvalue())
        (new / _DIGEST_FILE).write_text(_digest(graph.model, graph.weights, scales.getvalue()))
        shutil.rmtree(folder, ignore_errors=True)  # a damaged one
        new.replace(folder)  # fails if another process was first, whose folder is as good
    finally:
        shutil.rmtree(new, ignore_errors=True)


def _sweep(folder: Path, new: Path) -> None:
    """Remove what killed processes left of `folder`.

    Each is moved first, so that a process which still writes there loses it whole: it can rename nothing, and
    goes on with what it has built.
    """
    for left in folder.parent.glob(f"{folder.name}.*"):
        if left != new:
            with suppress(OSError):  # it is renamed by now
                shutil.rmtree(left.replace(new / "left"), ignore_errors=True)


def _digest(model: bytes, weights: NDArray[np.uint8], scales: bytes) -> str:
    digest = hashlib.sha256(model)
    digest.update(weights.data)
    digest.update(scales)
    return digest.hexdigest()
