"""Opening a model, with a scripted module in place of `llm.cuda.model`, and a tiny model on the CPU."""

import subprocess
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
from gguf import GGUFWriter
from numpy.typing import NDArray

from assistant.config import LlmConfig
from assistant.models import engine as load_engine
from assistant.models.engine import open_engine, trial
from llm.cpu.model import CpuConfig, CpuModel
from llm.decode.engine import CudaBroken, EngineOutOfMemory
from llm.decode.sample import Sampling
from llm.decode.served import Operation, Served, Unsupported
from llm.gguf.file import GgufError, GgufFile, open_gguf
from llm.serve.sessions import SlotEngine

SLOW = Unsupported("multi-step decoding", "the GPU has too few multiprocessors")
TAIL = "runs on the CPU, not on the GPU: "


@dataclass(frozen=True)
class CudaConfig:
    context: int
    kv: str


class CudaEngine:
    """Notes the passes; `fails` in one of so many rows."""

    def __init__(self, model: "CudaModel") -> None:
        self.context, self.model = model.config.context, model
        self.tokens: list[int] = []

    def extend(self, tokens: Sequence[int], logits_for: int = 1) -> NDArray[np.float32]:
        assert len(self.tokens) + len(tokens) <= self.context
        self.tokens.extend(tokens)
        self.model.passes.append((len(tokens), logits_for))
        if len(tokens) == self.model.fails_at[0]:
            raise self.model.fails_at[1]
        return np.zeros((logits_for, 8), np.float32)

    def truncate(self, length: int) -> None:
        del self.tokens[length:]

    def shift(self, start: int, stop: int) -> None:
        raise AssertionError("not asked for")

    def take_served(self) -> Sequence[Served]:
        return [Served(Operation("qkv", "Triton", "", ""), 1)]


class CudaModel:
    unsupported = (SLOW,)
    fails_at: tuple[int, Exception] = (-1, Exception())
    loading: Exception | None = None

    def __init__(self, gguf: GgufFile, config: CudaConfig) -> None:
        if self.loading:
            raise self.loading
        self.config, self.passes = config, []  # type: ignore[var-annotated]

    def open(self) -> CudaEngine:
        return CudaEngine(self)


@pytest.fixture(autouse=True)
def nothing_warned_of(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[None]:
    load_engine.warn_once.cache_clear()
    monkeypatch.setenv("ASSISTANT_CACHE", str(tmp_path / "cache"))
    yield
    load_engine.warn_once.cache_clear()


@pytest.fixture
def cuda(monkeypatch: pytest.MonkeyPatch) -> type[CudaModel]:
    """A machine with a GPU; the model class is the test's own."""
    model = type("Model", (CudaModel,), {})
    module = ModuleType("llm.cuda.model")
    module.CudaConfig, module.CudaModel = CudaConfig, model  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "llm.cuda.model", module)
    monkeypatch.setattr(load_engine, "unsupported_reason", lambda: None)
    return model


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> GgufFile:
    """A llama of one layer, written by llama.cpp's own library."""
    path, rng = tmp_path_factory.mktemp("load") / "m.gguf", np.random.default_rng(0)
    writer = GGUFWriter(path, "llama")
    writer.add_block_count(1)
    writer.add_context_length(256)
    writer.add_embedding_length(64)
    writer.add_feed_forward_length(64)
    writer.add_head_count(4)
    writer.add_layer_norm_rms_eps(1e-5)
    writer.add_tokenizer_model("gpt2")
    writer.add_token_list([f"t{i}" for i in range(64)])
    names = {"attn_norm": (64,), "ffn_norm": (64,)}
    names |= {f"attn_{part}": (64, 64) for part in ("q", "k", "v", "output")}
    names |= {f"ffn_{part}": (64, 64) for part in ("gate", "up", "down")}
    shapes = {f"blk.0.{name}": shape for name, shape in names.items()}
    for name, shape in {**shapes, "token_embd": (64, 64), "output_norm": (64,)}.items():
        writer.add_tensor(f"{name}.weight", rng.normal(0, 0.1, shape).astype(np.float32))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return open_gguf(path)


def config(**changes: str | int) -> LlmConfig:
    return LlmConfig(context=128, threads=1, **{"kv": "f32", **changes})  # type: ignore[arg-type]


def test_a_gpu_that_can_is_used_and_every_kind_of_pass_tried(file: GgufFile, cuda: type[CudaModel]) -> None:
    opened = open_engine(config(kv="int8"), file)
    assert opened.device == "cuda"
    assert isinstance(opened.engine, CudaEngine)
    assert opened.engine.model.config == CudaConfig(context=128, kv="int8")
    assert opened.engine.model.passes == [(64, 0), (16, 16), (8, 8), (4, 4), (2, 2), (1, 1)]
    assert opened.engine.tokens == []
    assert opened.unsupported == (SLOW,)


def test_f32_keys_and_values_are_float16_on_a_gpu(file: GgufFile, cuda: type[CudaModel]) -> None:
    engine = open_engine(config(device="cuda"), file).engine
    assert isinstance(engine, CudaEngine) and engine.model.config.kv == "f16"


def test_the_cpu_is_used_where_it_is_asked_for(file: GgufFile, cuda: type[CudaModel]) -> None:
    cuda.loading = AssertionError("the GPU was touched")
    opened = open_engine(config(device="cpu"), file)
    assert opened.device == "cpu" and isinstance(opened.engine, SlotEngine)
    assert opened.unsupported[0] == Unsupported(
        "GPU kernels", 'the configuration says device = "cpu"', of_gpu=True
    )


def test_without_a_gpu_auto_is_the_cpu_and_silent(file: GgufFile, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(load_engine, "unsupported_reason", lambda: "there is no NVIDIA driver")
    opened = open_engine(config(), file)  # a warning would be an error
    assert opened.device == "cpu"
    assert opened.unsupported[0] == Unsupported("GPU kernels", "there is no NVIDIA driver", of_gpu=True)


def test_a_gpu_that_was_asked_for_and_is_not_there_is_missed_aloud_once(
    file: GgufFile, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(load_engine, "unsupported_reason", lambda: "there is no NVIDIA driver")
    with pytest.warns(RuntimeWarning, match=f"{TAIL}there is no NVIDIA driver"):
        assert open_engine(config(device="cuda"), file).device == "cpu"
    assert open_engine(config(device="cuda"), file).device == "cpu"  # as a draft model is, after its target


FAILURES = [
    EngineOutOfMemory("9 GB of weights"),
    CudaBroken("an illegal memory access"),
    RuntimeError("CUDA error:\nno kernel image"),
    ValueError("heads of 80 channels"),
    OSError("libcuda.so.1: cannot open"),
    subprocess.CalledProcessError(1, ["gcc"]),
]


@pytest.mark.parametrize("device", ["auto", "cuda"])
@pytest.mark.parametrize("when", ["loading", "prompt", "draft"])
@pytest.mark.parametrize("error", FAILURES, ids=lambda error: type(error).__name__)
def test_a_gpu_that_fails_at_the_start_is_left_aloud(
    error: Exception, when: str, device: str, file: GgufFile, cuda: type[CudaModel]
) -> None:
    if when == "loading":
        cuda.loading = error
    else:
        cuda.fails_at = {"prompt": 64, "draft": 4}[when], error
    with pytest.warns(RuntimeWarning, match=TAIL) as caught:
        opened = open_engine(config(device=device), file)
    assert opened.device == "cpu"
    (warning,) = caught
    assert str(warning.message).endswith(TAIL + " ".join(str(error).split()))
    assert opened.unsupported[0].reason == " ".join(str(error).split())


def test_a_kernel_that_cannot_be_compiled_is_as_good_a_reason(file: GgufFile, cuda: type[CudaModel]) -> None:
    triton = pytest.importorskip("triton")
    cuda.fails_at = 1, triton.OutOfResources(300_000, 232_448, "shared memory")
    with pytest.warns(RuntimeWarning, match="shared memory"):
        assert open_engine(config(), file).device == "cpu"


def test_a_file_that_cannot_be_used_is_no_fault_of_the_gpu(file: GgufFile, cuda: type[CudaModel]) -> None:
    cuda.loading = GgufError(file.path, None, "weights are not finite")
    with pytest.raises(GgufError, match="not finite"):
        open_engine(config(), file)


def test_a_bug_is_not_taken_for_a_fault_of_the_gpu(file: GgufFile, cuda: type[CudaModel]) -> None:
    cuda.loading = KeyError("blk.0")
    with pytest.raises(KeyError):
        open_engine(config(), file)


def test_a_missing_library_is_told(
    file: GgufFile, cuda: type[CudaModel], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "triton", None)
    with pytest.warns(RuntimeWarning, match="triton"):
        assert open_engine(config(), file).device == "cpu"


@pytest.mark.parametrize("context", [2, 10, 128])
def test_a_trial_leaves_nothing_behind_and_fits_any_context(context: int, file: GgufFile) -> None:
    engine = CpuModel(file, CpuConfig(context=context, threads=1)).open()
    trial(engine)
    assert list(engine.tokens) == []
    assert {one.operation.name for one in engine.take_served()} >= {"qkv", "attention", "head"}


def test_decoding_ahead_is_tried_too() -> None:
    class MultiStepRunner(CudaEngine):
        steps = 0

        def can_sample(self, sampling: Sampling) -> bool:
            return True

        def decode_steps(
            self, token: int, steps: int, *, seen: Sequence[int], sampling: Sampling, lookahead: int = 0
        ) -> list[int]:
            self.tokens.append(token)
            self.steps += steps
            return [0] * steps

    engine = MultiStepRunner(CudaModel(None, CudaConfig(1, "int8")))  # type: ignore[arg-type]
    trial(engine)
    assert engine.steps == 1
    assert engine.tokens == []
