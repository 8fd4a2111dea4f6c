"""What sessions write together: the replies are the engine's, and the clock runs from when all have read."""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import count
from pathlib import Path

import numpy as np
import pytest
import typer
from ahead_standin import standing_in
from llama_files import SMALL, one_thread
from quantized_files import quantized_weights, write_quantized
from typer.testing import CliRunner

from llm.bench.many import bench
from llm.bench.sessions import follow, rate
from llm.cpu.model import CpuConfig, CpuModel
from llm.cuda.model import CudaConfig, CudaModel
from llm.decode.engine import EngineOutOfMemory, MultiStepEngine
from llm.decode.sample import Sampling
from llm.gguf.file import GgufFile, open_gguf
from llm.gguf.quants import GgmlType
from llm.serve.sessions import SlotEngine

CONFIG = replace(SMALL, head_dim=16, width=64, hidden=64)
PENALTY = Sampling(repetition_penalty=1.1)


@pytest.fixture(autouse=True, scope="module")
def quick() -> Iterator[None]:
    with one_thread(), standing_in():
        yield


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> GgufFile:
    path: Path = tmp_path_factory.mktemp("many") / "m.gguf"
    return open_gguf(write_quantized(path, CONFIG, quantized_weights(CONFIG, {"": GgmlType.Q8_0})))


def prompts(sessions: int) -> list[list[int]]:
    return np.random.default_rng(0).integers(0, CONFIG.vocabulary, (sessions, 20)).tolist()


def test_a_reply_is_the_same_from_logits_and_ahead(file: GgufFile) -> None:
    model = CudaModel(file, CudaConfig(context=64, sessions=2, device="cpu"))
    ahead, plain = model.open(), SlotEngine(model.sessions, 1)
    assert isinstance(ahead, MultiStepEngine)
    assert not isinstance(plain, MultiStepEngine)
    (prompt,) = prompts(1)
    replies = [list(follow(engine, prompt, 30, PENALTY)) for engine in (ahead, plain)]
    assert replies[0] == replies[1]
    assert len(replies[0]) == 30


@pytest.mark.parametrize("place", ["cpu", "cuda"])
def test_the_clock_runs_from_when_all_have_read_to_when_all_have_written(file: GgufFile, place: str) -> None:
    model = (
        CpuModel(file, CpuConfig(context=64, sessions=3, threads=1, prefix_bytes=0))
        if place == "cpu"
        else CudaModel(file, CudaConfig(context=64, sessions=3, device="cpu", prefix_bytes=0))
    )
    opened: list[SlotEngine] = []

    def open_session() -> SlotEngine:
        opened.append(model.open())
        return opened[-1]

    held: list[Sequence[int]] = []

    def now_s() -> float:
        held.append([len(engine.tokens) for engine in opened])
        return 5.0 * len(held)

    assert rate(open_session, prompts(3), 10, PENALTY, now_s) == 3 * 10 / 5
    assert held == [[20] * 3, [30] * 3]
    assert [len(engine.tokens) for engine in opened] == [0] * 3  # closed


def test_one_that_fails_is_told_and_the_others_end(file: GgufFile) -> None:
    model = CpuModel(file, CpuConfig(context=64, sessions=3, threads=1, prefix_bytes=0))

    class Failing(SlotEngine):
        def extend(self, tokens: Sequence[int], logits_for: int = 1) -> np.ndarray:
            raise EngineOutOfMemory("a pass")

    numbers = count()

    def open_session() -> SlotEngine:
        engine = model.open()
        return Failing(model.sessions, engine._slot) if next(numbers) == 1 else engine

    with pytest.raises(EngineOutOfMemory):
        rate(open_session, prompts(3), 10, PENALTY)


def test_the_command(file: GgufFile) -> None:
    app = typer.Typer()
    app.command()(bench)
    options = ["--device", "cpu", "--sessions", "2", "--tokens", "5", "--rounds", "1"]
    result = CliRunner().invoke(app, [str(file.path), *options])
    assert result.exit_code == 0, result.output
    one, two = result.output.splitlines()
    assert one.startswith("cpu, 1 sessions: ") and one.endswith("1.00 times one")
    assert two.startswith("cpu, 2 sessions: ")
