"""Loading a model, with a scripted module in place of `llm.cuda.model`, and a tiny model on the CPU."""

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
from assistant.models.engine import load_model, warm_up
from llm.cpu.model import CpuConfig, CpuModel
from llm.decode.engine import CudaBroken, EngineOutOfMemory
from llm.decode.sample import Sampling
from llm.decode.served import Operation, Served, Unsupported
from llm.gguf.file import GgufError, GgufFile, open_gguf
from llm.lora import Adapter
from llm.serve.sessions import EngineBusy

SLOW = Unsupported("multi-step decoding", "the GPU has too few multiprocessors")
TAIL = "runs on the CPU, not on the GPU: "


@dataclass(frozen=True)
class CudaConfig:
    context: int
    sessions: int
    kv: str


class CudaEngine:
    """Notes the passes; `fails` in one of so many rows."""

    def __init__(self, model: "CudaModel") -> None:
        self.context, self.model = model.config.context, model
        self.tokens: list[int] = []
        self.closed = False

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

    def close(self) -> None:
        assert not self.closed
        self.closed = True


class CudaModel:
    unsupported = (SLOW,)
    fails_at: tuple[int, Exception] = (-1, Exception())
    loading: Exception | None = None

    def __init__(self, gguf: GgufFile, config: CudaConfig, adapter: Adapter | None = None) -> None:
        if self.loading:
            raise self.loading
        self.config, self.adapter = config, adapter
        self.passes: list[tuple[int, int]] = []
        self.opened: list[CudaEngine] = []

    def open(self) -> CudaEngine:
        self.opened.append(CudaEngine(self))
        return self.opened[-1]


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
    return LlmConfig(context=129, threads=1, **{"kv": "f32", **changes})  # type: ignore[arg-type]


def test_a_gpu_that_can_is_used_and_every_kind_of_pass_tried(file: GgufFile, cuda: type[CudaModel]) -> None:
    loaded = load_model(config(kv="int8", sessions=3), file)
    assert loaded.device == "cuda"
    assert isinstance(loaded.model, CudaModel)
    assert loaded.model.config == CudaConfig(context=129, sessions=3, kv="int8")
    assert loaded.model.passes == [(64, 0), (16, 16), (8, 8), (4, 4), (2, 2), (1, 1)]
    (tried,) = loaded.model.opened
    assert tried.tokens == [] and tried.closed  # its place is free
    assert loaded.unsupported == (SLOW,)


def test_f32_keys_and_values_are_float16_on_a_gpu(file: GgufFile, cuda: type[CudaModel]) -> None:
    model = load_model(config(device="cuda"), file).model
    assert isinstance(model, CudaModel) and model.config.kv == "f16"


def test_as_many_sequences_are_opened_on_the_cpu_as_there_are_sessions(file: GgufFile) -> None:
    model = load_model(config(device="cpu", sessions=2), file).model
    engines = [model.open(), model.open()]
    with pytest.raises(EngineBusy):
        model.open()
    engines[0].close()
    model.open()


def test_the_cpu_is_used_where_it_is_asked_for(file: GgufFile, cuda: type[CudaModel]) -> None:
    cuda.loading = AssertionError("the GPU was touched")
    loaded = load_model(config(device="cpu"), file)
    assert loaded.device == "cpu" and isinstance(loaded.model, CpuModel)
    assert loaded.unsupported[0] == Unsupported(
        "GPU kernels", 'the configuration says device = "cpu"', of_gpu=True
    )


@pytest.mark.parametrize("device", ["cpu", "cuda"])
def test_sessions_have_the_adapter_that_the_model_is_loaded_with(
    device: str, file: GgufFile, cuda: type[CudaModel], tmp_path: Path
) -> None:
    adapter = Adapter(tmp_path, "00" * 32, {})
    model = load_model(config(device=device), file, adapter).model
    assert isinstance(model, CpuModel | CudaModel) and model.adapter is adapter


def test_without_a_gpu_auto_is_the_cpu_and_silent(file: GgufFile, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(load_engine, "unsupported_reason", lambda: "there is no NVIDIA driver")
    loaded = load_model(config(), file)  # a warning would be an error
    assert loaded.device == "cpu"
    assert loaded.unsupported[0] == Unsupported("GPU kernels", "there is no NVIDIA driver", of_gpu=True)


def test_a_gpu_that_was_asked_for_and_is_not_there_is_missed_aloud_once(
    file: GgufFile, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(load_engine, "unsupported_reason", lambda: "there is no NVIDIA driver")
    with pytest.warns(RuntimeWarning, match=f"{TAIL}there is no NVIDIA driver"):
        assert load_model(config(device="cuda"), file).device == "cpu"
    assert load_model(config(device="cuda"), file).device == "cpu"  # a second model


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
        loaded = load_model(config(device=device), file)
    assert loaded.device == "cpu"
    (warning,) = caught
    assert str(warning.message).endswith(TAIL + " ".join(str(error).split()))
    assert loaded.unsupported[0].reason == " ".join(str(error).split())


def test_a_kernel_that_cannot_be_compiled_is_as_good_a_reason(file: GgufFile, cuda: type[CudaModel]) -> None:
    triton = pytest.importorskip("triton")
    cuda.fails_at = 1, triton.OutOfResources(300_000, 232_448, "shared memory")
    with pytest.warns(RuntimeWarning, match="shared memory"):
        assert load_model(config(), file).device == "cpu"


def test_a_file_that_cannot_be_used_is_no_fault_of_the_gpu(file: GgufFile, cuda: type[CudaModel]) -> None:
    cuda.loading = GgufError(file.path, None, "weights are not finite")
    with pytest.raises(GgufError, match="not finite"):
        load_model(config(), file)


def test_a_bug_is_not_taken_for_a_fault_of_the_gpu(file: GgufFile, cuda: type[CudaModel]) -> None:
    cuda.loading = KeyError("blk.0")
    with pytest.raises(KeyError):
        load_model(config(), file)


def test_a_missing_library_is_told(
    file: GgufFile, cuda: type[CudaModel], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "triton", None)
    with pytest.warns(RuntimeWarning, match="triton"):
        assert load_model(config(), file).device == "cpu"


@pytest.mark.parametrize("context", [2, 10, 128])
def test_a_warm_up_leaves_nothing_behind_and_fits_any_context(context: int, file: GgufFile) -> None:
    engine = CpuModel(file, CpuConfig(context=context, threads=1)).open()
    warm_up(engine)
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

    engine = MultiStepRunner(CudaModel(None, CudaConfig(1, 1, "int8")))  # type: ignore[arg-type]
    warm_up(engine)
    assert engine.steps == 1
    assert engine.tokens == []
