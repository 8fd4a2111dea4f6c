"""Prepared graphs on disk: what takes a second to build from a model file is mapped the next time.

The graphs of a model are a folder named by a digest of all that they depend on. It appears whole, by a
rename, and carries the SHA-256 of its files: one that is damaged is built again.
"""

import hashlib
import shutil
import tempfile
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnxruntime as ort

from asr.onnx import OnnxGraph

_FORMAT = 2  # of the graphs and of this folder; a new number where either changes
_DIGEST_FILE = "sha256"

Graphs = tuple[OnnxGraph, ...]


@dataclass(frozen=True)
class GraphStore:
    """Prepared graphs in the folder `root`; None keeps them in memory only."""

    root: Path | None

    def get(self, source: Path, variant: str, build: Callable[[], Sequence[OnnxGraph]]) -> Graphs:
        """The graphs of the model file `source` in one `variant`; built, and kept if the disk lets us.

        A folder that is missing, half-written, damaged or unreadable is a reason to build, not an error.
        """
        if self.root is None:
            return tuple(build())
        folder = self.root / _key(source, variant)
        with suppress(OSError, ValueError):
            return _read(folder)
        graphs = tuple(build())
        with suppress(OSError):  # a full disk or a read-only one: the next start builds again
            _write(folder, graphs)
        return graphs


def _key(source: Path, variant: str) -> str:
    with source.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256")
    digest.update(f"\n{_FORMAT}\n{ort.__version__}\n{variant}".encode())
    return digest.hexdigest()[:32]


def _read(folder: Path) -> Graphs:
    """Raises OSError, or ValueError if the files are not those that were written."""
    expected = (folder / _DIGEST_FILE).read_text()
    models = sorted(folder.glob("*.onnx"))
    graphs = tuple(
        OnnxGraph(model.read_bytes(), np.memmap(model.with_suffix(".weights"), np.uint8, mode="r"))
        for model in models
    )
    if _digest(graphs) != expected:
        raise ValueError(f"{folder} is damaged")
    return graphs


def _write(folder: Path, graphs: Graphs) -> None:
    """Write a folder beside `folder` and rename it; nothing is left if that fails."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    new = Path(tempfile.mkdtemp(prefix=f"{folder.name}.", dir=folder.parent))
    try:
        _sweep(folder, new)
        for number, graph in enumerate(graphs):
            (new / f"{number}.onnx").write_bytes(graph.model)
            graph.weights.tofile(new / f"{number}.weights")
        (new / _DIGEST_FILE).write_text(_digest(graphs))
        shutil.rmtree(folder, ignore_errors=True)  # a damaged one
        new.replace(folder)  # fails if another process was first, whose folder is as good
    finally:
        shutil.rmtree(new, ignore_errors=True)


def _sweep(folder: Path, new: Path) -> None:
    """Remove what killed processes left of `folder`.

    Each is moved first, so that a process which still writes there loses it whole: it can rename nothing,
    and goes on with what it has built.
    """
    for left in folder.parent.glob(f"{folder.name}.*"):
        if left != new:
            with suppress(OSError):  # it is renamed by now
                shutil.rmtree(left.replace(new / "left"), ignore_errors=True)


def _digest(graphs: Graphs) -> str:
    digest = hashlib.sha256()
    for graph in graphs:
        digest.update(hashlib.sha256(graph.model).digest())
        digest.update(hashlib.sha256(graph.weights.data).digest())
    return digest.hexdigest()
