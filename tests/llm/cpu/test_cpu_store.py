"""Whatever happens to the folder of prepared graphs, a start gets the right graph and leaves no rubbish."""

import errno
import resource
import shutil
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from multiprocessing import get_context
from pathlib import Path
from threading import Barrier
from typing import Any

import numpy as np
import onnxruntime as ort
import pytest
from llama_files import SMALL, write_llama

from llm.cpu.graph import CpuGraph, build_graph
from llm.cpu.graph_store import GraphStore
from llm.cpu.model import CpuConfig, CpuModel
from llm.gguf.file import GgufFile, open_gguf

LLAMA = replace(SMALL, head_dim=16, width=64)
VARIANT = "context=64"


def graph(seed: int = 0) -> CpuGraph:
    rng = np.random.default_rng(seed)
    weights = rng.integers(0, 256, 100_000, np.uint8)
    return CpuGraph(rng.bytes(2000), weights, rng.random((2, 2, 1, 1, 16), np.float32))


class Builds:
    """Builds the same graph whenever it is asked to, and counts."""

    def __init__(self, result: CpuGraph) -> None:
        self.result, self.count = result, 0

    def __call__(self) -> CpuGraph:
        self.count += 1
        return self.result


@pytest.fixture
def source(tmp_path: Path) -> Path:
    path = tmp_path / "model.gguf"
    path.write_bytes(b"weights of a model")
    return path


@pytest.fixture
def store(tmp_path: Path) -> GraphStore:
    return GraphStore(tmp_path / "cache" / "graphs")


def check_same(got: CpuGraph, expected: CpuGraph) -> None:
    assert got.model == expected.model
    np.testing.assert_array_equal(got.weights, expected.weights)
    np.testing.assert_array_equal(got.kv_scales, expected.kv_scales)
    assert got.kv_scales.dtype == np.float32


def check_builds(store: GraphStore, source: Path, times: int, variant: str = VARIANT) -> None:
    build = Builds(graph())
    check_same(store.get(source, variant, build), build.result)
    assert build.count == times


def entries(store: GraphStore) -> list[Path]:
    assert store.root is not None
    return sorted(store.root.iterdir()) if store.root.is_dir() else []


@contextmanager
def full_disk(at: int) -> Iterator[None]:
    """A file that grows beyond `at` bytes is an OSError, as on a disk that has no room for more."""
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (at, limits[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)


# What is kept


def test_a_graph_is_built_once(store: GraphStore, source: Path) -> None:
    check_builds(store, source, 1)
    check_builds(store, source, 0)
    assert store.root is not None
    check_builds(GraphStore(store.root), source, 0)  # the next start
    assert len(entries(store)) == 1


def test_without_a_folder_graphs_are_built_and_nothing_is_written(source: Path) -> None:
    check_builds(GraphStore(None), source, 1)
    check_builds(GraphStore(None), source, 1)
    assert list(source.parent.iterdir()) == [source]


def test_what_cannot_be_built_is_not_kept(store: GraphStore, source: Path) -> None:
    def fail() -> CpuGraph:
        raise ValueError("no such model")

    with pytest.raises(ValueError, match="no such model"):
        store.get(source, VARIANT, fail)
    assert entries(store) == []


def test_a_graph_without_scales_is_kept(store: GraphStore, source: Path) -> None:
    build = Builds(replace(graph(), kv_scales=np.zeros((0, 2, 3, 1, 64), np.float32)))
    for _ in range(2):
        got = store.get(source, VARIANT, build)
        assert got.kv_scales.shape == (0, 2, 3, 1, 64)
    assert build.count == 1


def test_the_path_of_the_model_does_not_matter(store: GraphStore, source: Path) -> None:
    check_builds(store, source, 1)
    copy = source.with_name("copy.gguf")
    shutil.copyfile(source, copy)
    check_builds(store, copy, 0)


def test_another_file_or_variant_or_runtime_has_another_graph(
    store: GraphStore, source: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    check_builds(store, source, 1)
    check_builds(store, source, 1, "context=65")
    monkeypatch.setattr(ort, "__version__", "99.0")
    check_builds(store, source, 1)
    monkeypatch.undo()
    source.write_bytes(b"weights of a modem")  # as long as before
    check_builds(store, source, 1)
    source.write_bytes(b"weights of a model")
    for variant in (VARIANT, "context=65"):
        check_builds(store, source, 0, variant)
    assert len(entries(store)) == 4


# What is damaged


def remove(path: Path) -> None:
    path.unlink()


def truncate(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-1])


def halve(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def empty(path: Path) -> None:
    path.write_bytes(b"")


def flip_a_bit(path: Path) -> None:
    raw = bytearray(path.read_bytes())
    raw[len(raw) // 2] ^= 1
    path.write_bytes(raw)


def append(path: Path) -> None:
    path.write_bytes(path.read_bytes() + b"\0")


def overwrite(path: Path) -> None:
    path.write_bytes(bytes([0xFF]) * path.stat().st_size)


def zip_up(path: Path) -> None:
    """What numpy would take for an archive."""
    path.write_bytes(b"PK\x03\x04" + bytes(60))


def put_a_folder_there(path: Path) -> None:
    path.unlink()
    path.mkdir()


DAMAGES = [remove, truncate, halve, empty, flip_a_bit, append, overwrite, zip_up, put_a_folder_there]


@pytest.mark.parametrize("damage", DAMAGES, ids=lambda f: f.__name__)
@pytest.mark.parametrize("file", range(4))
def test_a_damaged_graph_is_built_anew(
    store: GraphStore, source: Path, file: int, damage: Callable[[Path], None]
) -> None:
    check_builds(store, source, 1)
    folder = entries(store)[0]
    files = sorted(folder.iterdir())
    assert len(files) == 4
    damage(files[file])
    check_builds(store, source, 1)
    check_builds(store, source, 0)
    assert entries(store) == [folder]
    assert len(list(folder.iterdir())) == 4


def test_the_files_of_another_graph_are_not_taken(store: GraphStore, source: Path) -> None:
    """Each whole, and with a digest that is right, but not of these."""
    check_builds(store, source, 1)
    store.get(source, "other", Builds(graph(seed=1)))
    a, b = entries(store)
    for name in sorted(path.name for path in a.iterdir())[:3]:
        shutil.copyfile(b / name, a / name)
    for variant in (VARIANT, "other"):
        got = store.get(source, variant, Builds(graph(seed=variant != VARIANT)))
        check_same(got, graph(seed=variant != VARIANT))


def test_an_empty_folder_is_replaced(store: GraphStore, source: Path) -> None:
    check_builds(store, source, 1)
    folder = entries(store)[0]
    shutil.rmtree(folder)
    folder.mkdir()
    check_builds(store, source, 1)
    check_builds(store, source, 0)


def test_what_a_killed_process_left_is_removed(store: GraphStore, source: Path) -> None:
    check_builds(store, source, 1)
    folder = entries(store)[0]
    half_written = folder.with_name(f"{folder.name}.x7_q9k2a")
    folder.rename(half_written)
    max(half_written.iterdir(), key=lambda path: path.stat().st_size).unlink()
    check_builds(store, source, 1)
    assert entries(store) == [folder]
    check_builds(store, source, 0)


# What cannot be written


@pytest.mark.parametrize("size", [0, 100, 3_000, 50_000])
def test_a_full_disk_is_no_error(store: GraphStore, source: Path, size: int) -> None:
    """A graph has a small file, one of 2 kB and one of 100 kB."""
    with full_disk(size):
        check_builds(store, source, 1)
        check_builds(store, source, 1)
    assert entries(store) == []
    check_builds(store, source, 1)
    check_builds(store, source, 0)


def test_a_damaged_graph_and_a_full_disk_are_no_error(store: GraphStore, source: Path) -> None:
    check_builds(store, source, 1)
    truncate(max(entries(store)[0].iterdir(), key=lambda path: path.stat().st_size))
    with full_disk(3_000):
        check_builds(store, source, 1)
    check_builds(store, source, 1)
    check_builds(store, source, 0)
    assert len(entries(store)) == 1


def test_a_folder_that_cannot_be_made_is_no_error(tmp_path: Path, source: Path) -> None:
    (tmp_path / "file").write_bytes(b"in the way")
    for root in (tmp_path / "file", tmp_path / "file" / "graphs", Path("/dev/null/graphs")):
        check_builds(GraphStore(root), source, 1)
        check_builds(GraphStore(root), source, 1)
    assert (tmp_path / "file").read_bytes() == b"in the way"


@pytest.mark.parametrize("step", ["mkdir", "write_bytes", "write_text", "replace"])
def test_whatever_is_refused_nothing_is_left_behind(
    store: GraphStore, source: Path, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise OSError(errno.EROFS, "Read-only file system")

    monkeypatch.setattr(Path, step, refuse)
    check_builds(store, source, 1)
    monkeypatch.undo()
    assert entries(store) == []
    check_builds(store, source, 1)
    check_builds(store, source, 0)


def test_an_interrupted_start_leaves_nothing_behind(
    store: GraphStore, source: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(Path, "replace", interrupt)
    with pytest.raises(KeyboardInterrupt):
        check_builds(store, source, 1)
    monkeypatch.undo()
    assert entries(store) == []


# Several at once


def test_another_that_was_first_does_not_disturb(store: GraphStore, source: Path) -> None:
    """It builds and writes the same graph while this one builds."""

    def build() -> CpuGraph:
        check_builds(store, source, 1)
        return graph()

    check_same(store.get(source, VARIANT, build), graph())
    assert len(entries(store)) == 1
    check_builds(store, source, 0)


def test_another_that_comes_between_the_last_two_steps_does_not_disturb(
    store: GraphStore, source: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its folder is there when this one's is to be renamed, which then goes away."""
    assert store.root is not None
    elsewhere = GraphStore(store.root.with_name("elsewhere"))
    check_builds(elsewhere, source, 1)
    theirs = entries(elsewhere)[0]
    rename = Path.replace

    def replace_late(new: Path, target: Path) -> Path:
        shutil.copytree(theirs, target)
        return rename(new, target)

    monkeypatch.setattr(Path, "replace", replace_late)
    check_builds(store, source, 1)
    monkeypatch.undo()
    assert [path.name for path in entries(store)] == [theirs.name]
    check_builds(store, source, 0)


def test_threads_that_start_at_once_all_get_the_graph(store: GraphStore, source: Path) -> None:
    together = Barrier(6)

    def start(_: int) -> None:
        build = Builds(graph())
        together.wait(timeout=20)
        for _ in range(5):
            check_same(store.get(source, VARIANT, build), build.result)

    with ThreadPoolExecutor(6) as pool:
        list(pool.map(start, range(6)))
    check_builds(store, source, 0)
    assert len(entries(store)) == 1


def load_and_read(path: Path, cache: Path) -> list[float]:
    """In a process of its own."""
    model = CpuModel(
        open_gguf(path), CpuConfig(context=64, threads=1, kv="int8", kernel="onnxruntime"), cache
    )
    with model.open() as engine:
        logits: list[float] = engine.extend([1, 2, 3])[0].tolist()
    return logits


def test_processes_that_start_at_once_all_run(tmp_path: Path) -> None:
    path, cache = write_llama(tmp_path / "m.gguf", LLAMA), tmp_path / "graphs"
    with ProcessPoolExecutor(2, mp_context=get_context("spawn")) as pool:
        got = [pool.submit(load_and_read, path, cache) for _ in range(4)]
    expected = load_and_read(path, tmp_path / "own")
    assert [logits.result() for logits in got] == [expected] * 4
    assert len(list(cache.iterdir())) == 1


# A model


@pytest.fixture
def model_file(tmp_path: Path) -> GgufFile:
    return open_gguf(write_llama(tmp_path / "m.gguf", LLAMA))


def test_the_second_start_of_a_model_builds_nothing(
    tmp_path: Path, model_file: GgufFile, monkeypatch: pytest.MonkeyPatch
) -> None:
    built: list[dict[str, Any]] = []

    def counted(*arguments: Any, **options: Any) -> CpuGraph:  # noqa: ANN401  # passed on
        built.append(options)
        return build_graph(*arguments, **options)

    monkeypatch.setattr("llm.cpu.model.build_graph", counted)
    cache = tmp_path / "graphs"

    def start(**options: Any) -> tuple[int, np.ndarray]:  # noqa: ANN401  # passed on
        before = len(built)
        config = CpuConfig(
            **{"context": 64, "threads": 1, "prefix_bytes": 0, "kernel": "onnxruntime", **options}
        )
        model = CpuModel(model_file, config, cache)
        with model.open() as engine:
            return len(built) - before, engine.extend([1, 2, 3], 3)

    variants: list[tuple[dict[str, Any], int]] = [
        ({}, 1),
        ({"kv": "int8"}, 2),
        ({"weights": "f32"}, 1),
        ({"context": 65}, 1),
    ]
    first = []
    for options, times in variants:  # int8 keys and values are calibrated with a graph of float32 ones
        count, logits = start(**options)
        assert count == times
        first.append(logits)
    for (options, _), logits in zip(variants, first, strict=True):
        count, again = start(**options)
        assert count == 0
        np.testing.assert_array_equal(again, logits)
    others = {"sessions": 3, "threads": 2, "prefix_bytes": 2**20, "waiting": 0}
    assert start(**others)[0] == 0  # the graph does not depend on these
    assert len(list(cache.iterdir())) == len(variants)


def test_a_model_whose_kept_graph_is_damaged_runs(tmp_path: Path, model_file: GgufFile) -> None:
    cache = tmp_path / "graphs"
    expected = load_and_read(model_file.path, cache)
    (folder,) = cache.iterdir()
    for path in sorted(folder.iterdir()):
        flip_a_bit(path)
        assert load_and_read(model_file.path, cache) == expected
    assert list(cache.iterdir()) == [folder]
