"""Whatever happens to the folder of prepared graphs, a start gets the right graphs and leaves no rubbish."""

import errno
import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from asr.load import load_decoder
from asr.moonshine.prepared import Graphs, GraphStore
from asr.onnx import OnnxGraph
from kernels import prepared


def graphs(seed: int = 0) -> Graphs:
    rng = np.random.default_rng(seed)
    return tuple(OnnxGraph(rng.bytes(500), rng.integers(0, 256, 40_000, np.uint8)) for _ in range(2))


class Builds:
    def __init__(self, result: Graphs) -> None:
        self.result, self.count = result, 0

    def __call__(self) -> Graphs:
        self.count += 1
        return self.result


@pytest.fixture
def source(tmp_path: Path) -> Path:
    path = tmp_path / "model.ort"
    path.write_bytes(b"weights of a model")
    return path


@pytest.fixture
def store(tmp_path: Path) -> GraphStore:
    return GraphStore(tmp_path / "cache" / "graphs")


def check_same(found: Graphs, expected: Graphs) -> None:
    assert [graph.model for graph in found] == [graph.model for graph in expected]
    for one, other in zip(found, expected, strict=True):
        np.testing.assert_array_equal(one.weights, other.weights)


def files(store: GraphStore) -> list[Path]:
    assert store.root is not None
    (folder,) = store.root.iterdir()
    return sorted(folder.iterdir())


def test_the_second_start_builds_nothing(store: GraphStore, source: Path) -> None:
    build = Builds(graphs())
    check_same(store.get(source, "a", build), build.result)
    check_same(store.get(source, "a", build), build.result)
    assert build.count == 1
    assert [path.name for path in files(store)] == ["0.onnx", "0.weights", "1.onnx", "1.weights", "sha256"]


def test_another_model_or_variant_is_another_graph(store: GraphStore, source: Path) -> None:
    check_same(store.get(source, "a", Builds(graphs(1))), graphs(1))
    check_same(store.get(source, "b", Builds(graphs(2))), graphs(2))
    source.write_bytes(b"other weights")
    check_same(store.get(source, "a", Builds(graphs(3))), graphs(3))


@pytest.mark.parametrize("damaged", range(5))
@pytest.mark.parametrize("damage", ["flip", "cut", "empty", "remove"])
def test_a_damaged_folder_is_built_anew(store: GraphStore, source: Path, damaged: int, damage: str) -> None:
    store.get(source, "a", Builds(graphs()))
    path = files(store)[damaged]
    content = path.read_bytes()
    if damage == "remove":
        path.unlink()
    else:
        changed = {"flip": bytes([content[0] ^ 1]) + content[1:], "cut": content[:-1], "empty": b""}
        path.write_bytes(changed[damage])
    build = Builds(graphs())
    check_same(store.get(source, "a", build), graphs())
    check_same(store.get(source, "a", build), graphs())
    assert build.count == 1
    assert len(files(store)) == 5


def test_what_a_killed_process_left_is_removed(store: GraphStore, source: Path) -> None:
    store.get(source, "a", Builds(graphs()))
    (folder,) = store.root.iterdir() if store.root else ()
    left = folder.with_name(f"{folder.name}.abc")
    folder.rename(left)
    (left / "sha256").unlink()
    check_same(store.get(source, "a", Builds(graphs())), graphs())
    assert len(files(store)) == 5


def test_a_disk_that_takes_nothing_does_not_stop_a_start(
    store: GraphStore, source: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(files: object) -> str:
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr(prepared, "_digest", full)
        check_same(store.get(source, "a", Builds(graphs())), graphs())
    assert store.root is not None
    assert list(store.root.iterdir()) == []


def test_starts_at_the_same_time_all_get_it(store: GraphStore, source: Path) -> None:
    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(lambda _: store.get(source, "a", Builds(graphs())), range(24)))
    for one in found:
        check_same(one, graphs())
    assert len(files(store)) == 5


def test_without_a_folder_nothing_is_written(source: Path) -> None:
    build = Builds(graphs())
    store = GraphStore(None)
    check_same(store.get(source, "a", build), store.get(source, "a", build))
    assert build.count == 2
    assert list(source.parent.iterdir()) == [source]


@pytest.mark.models
def test_a_prepared_decoder_reads_as_a_built_one(
    model_path: Callable[[str], Path], store: GraphStore
) -> None:
    path, hidden = model_path("moonshine-tiny-en-decoder"), np.ones((9, 288), np.float32)
    steps = []
    for decoder in (load_decoder(path, store), load_decoder(path, store)):
        state = decoder.begin()
        decoder.push(state, hidden)
        steps.append(decoder.decode(state, [1, 5, 9]))
    for built, mapped in zip(*steps, strict=True):
        np.testing.assert_array_equal(built, mapped)
    assert len(files(store)) == 5


def test_no_torch_is_imported() -> None:
    code = "import asr.load, sys; sys.exit('torch' in sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)
