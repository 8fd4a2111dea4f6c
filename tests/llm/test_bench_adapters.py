"""The bench of adapters: every figure is printed, and what it measures is really with an adapter."""

import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import typer
from llama_files import SMALL, one_thread
from quantized_files import quantized_weights, write_quantized
from typer.testing import CliRunner

from kernels.cpu import supported
from llm.bench import adapters
from llm.bench.adapters import alone, bench, random_adapter
from llm.bench.run import BenchError
from llm.cpu.model import CpuConfig, CpuModel
from llm.gguf.file import GgufFile, open_gguf
from llm.gguf.quants import GgmlType

CONFIG = replace(SMALL, head_dim=16, width=64, hidden=64, context=1024)
WITHOUT = ("decode", "prefill of 512", "two sessions in one batch")

pytestmark = pytest.mark.skipif(not supported(), reason="not compiled, or another processor")


@pytest.fixture(autouse=True, scope="module")
def quick() -> Iterator[None]:
    with one_thread():
        yield


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> GgufFile:
    path: Path = tmp_path_factory.mktemp("adapters") / "m.gguf"
    return open_gguf(write_quantized(path, CONFIG, quantized_weights(CONFIG, {"": GgmlType.Q8_0})))


def run(*arguments: str) -> str:
    app = typer.Typer()
    app.command()(bench)
    done = CliRunner().invoke(app, list(arguments))
    if done.exception:
        raise done.exception
    return done.output


def test_every_figure_is_printed(file: GgufFile) -> None:
    out = run(str(file.path), "--rank", "3", "--rank", "20", "--threads", "1", "--rounds", "1")
    found = re.findall(r"^(.*), (.*): ([\d.]+) tok/s, ([\d.]+) of without$", out, re.MULTILINE)
    assert [(what, name) for what, name, *_ in found] == [
        *((what, name) for what in WITHOUT[:2] for name in ("without", "rank 3", "rank 20")),
        *((WITHOUT[2], name) for name in ("without", "one and without", "two adapters")),
    ]
    assert all(float(rate) > 0 for *_, rate, _ in found)
    assert [ratio for _, name, _, ratio in found if name == "without"] == ["1.000"] * 3


def test_tokens_a_second_are_by_the_clock(file: GgufFile) -> None:
    """One that goes on by 2 ms each time it is asked: a token takes as long, and so does a prompt."""
    ticks = iter(range(0, 10**12, 2_000_000))
    model = CpuModel(file, CpuConfig(context=1024, sessions=2, threads=1, prefix_bytes=0, kernel="compiled"))
    ids = np.random.default_rng(0).integers(0, CONFIG.vocabulary, 600).tolist()
    decoding, reading = alone(
        model, {"a": None, "b": random_adapter(CONFIG, 2, 0)}, ids, 1, lambda: next(ticks)
    )
    assert {name: set(rates) for name, rates in decoding.items()} == {"a": {500.0}, "b": {500.0}}
    assert {name: set(rates) for name, rates in reading.items()} == {"a": {256_000.0}, "b": {256_000.0}}


def test_a_random_adapter_changes_what_a_model_says(file: GgufFile) -> None:
    model = CpuModel(file, CpuConfig(context=64, threads=1, prefix_bytes=0, kernel="compiled"))
    logits = []
    for adapter in (None, random_adapter(CONFIG, 8, 1), random_adapter(CONFIG, 8, 2)):
        with model.open(adapter=adapter) as engine:
            logits.append(engine.extend(list(range(30)))[0])
    assert not np.array_equal(logits[0], logits[1]) and not np.array_equal(logits[1], logits[2])


def test_without_the_kernel_there_is_nothing_to_measure(
    file: GgufFile, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(adapters, "fits", lambda _: False)
    with pytest.raises(BenchError, match="compiled kernel"):
        run(str(file.path))
