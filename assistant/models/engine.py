"""Loading a language model on the GPU or on the CPU, whichever is wanted and works."""

import gc
import subprocess
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from typing import Literal, Protocol

from assistant.config import LlmConfig
from assistant.models.store import cache_dir
from llm.cpu.model import CpuConfig, CpuModel
from llm.cuda import unsupported_reason
from llm.decode import Engine, MultiStepEngine, Sampling, Served, Unsupported
from llm.gguf import GgufError, GgufFile
from llm.lora import Adapter

_GPU = "GPU kernels"
_PROMPT = 64  # tokens of a warm-up: a prompt to every engine
_DRAFTED = (16, 8, 4, 2, 1)  # rows of passes over drafts, as the engines round them


class ServedEngine(Engine, Protocol):
    """A sequence in one of a model's places; it says what serves it."""

    @property
    def kv_bytes(self) -> int:
        """What the keys and values held take."""
        ...

    def take_served(self) -> Sequence[Served]:
        """What served the passes since this was asked last."""
        ...

    def close(self) -> None:
        """Give the place back."""
        ...


class ServedModel(Protocol):
    """A loaded model with places for sequences."""

    def open(self) -> ServedEngine:
        """A new sequence; raises EngineBusy."""
        ...


@dataclass(frozen=True)
class Loaded:
    """A model, where it runs, and what it could have run on but does not."""

    model: ServedModel
    device: Literal["cpu", "cuda"]
    unsupported: tuple[Unsupported, ...]


def load_model(config: LlmConfig, gguf: GgufFile, adapter: Adapter | None = None) -> Loaded:
    """The model `gguf` on `config.device`, its sessions with `adapter`; raises GgufError and its relatives.

    Where the GPU was asked for and cannot be used, or is there and fails, the model runs on the CPU, and a
    RuntimeWarning says why, once.
    """
    if config.device == "cpu":
        chosen = Unsupported(_GPU, 'the configuration says device = "cpu"', of_gpu=True)
        return _on_cpu(config, gguf, adapter, chosen)
    reason = unsupported_reason()
    tried = reason is None
    if tried:
        found = _on_gpu(config, gguf, adapter)
        if isinstance(found, Loaded):
            return found
        reason = found
        gc.collect()  # the model that failed: its parts refer to each other, and hold GPU memory
    assert reason is not None, "the GPU was tried, or is unsupported"
    if tried or config.device == "cuda":
        warn_once(f"the language model runs on the CPU, not on the GPU: {reason}")
    return _on_cpu(config, gguf, adapter, Unsupported(_GPU, reason, of_gpu=True))


def warm_up(engine: Engine) -> None:
    """Run each kind of pass once, so that none is compiled in a turn; nothing is held afterwards."""
    for rows in (_PROMPT, *_DRAFTED):
        tokens = [0] * min(rows, engine.context)
        engine.extend(tokens, len(tokens) if rows in _DRAFTED else 0)
        engine.truncate(0)
    if isinstance(engine, MultiStepEngine):
        engine.decode_steps(0, 1, seen=[0], sampling=Sampling())
        engine.truncate(0)


@cache
def warn_once(message: str) -> None:
    """Warn of `message` if that was not done yet."""
    warnings.warn(message, RuntimeWarning, stacklevel=3)


def _on_gpu(config: LlmConfig, gguf: GgufFile, adapter: Adapter | None) -> Loaded | str:
    """The model on the GPU, every kernel tried, or why that failed; raises GgufError."""
    try:
        from triton import TritonError  # noqa: PLC0415  # optional, as is torch, which the next imports

        from llm.cuda.model import CudaConfig, CudaModel  # noqa: PLC0415
    except (ImportError, OSError) as error:
        return _one_line(error)
    try:
        kv: Literal["f16", "int8"] = "int8" if config.kv == "int8" else "f16"
        settings = CudaConfig(context=config.context, sessions=config.sessions, kv=kv)
        model = CudaModel(gguf, settings, adapter)
        engine = model.open()
        warm_up(engine)
        engine.close()
    except GgufError:
        raise
    # Whatever keeps a kernel from being built or run, the CPU can still answer: memory, the driver, a shape
    # that no kernel takes, Triton's compilation and the C compiler's.
    except (RuntimeError, ValueError, OSError, TritonError, subprocess.SubprocessError) as error:
        return _one_line(error)
    return Loaded(model, "cuda", model.unsupported)


def _on_cpu(config: LlmConfig, gguf: GgufFile, adapter: Adapter | None, gpu: Unsupported) -> Loaded:
    settings = CpuConfig(
        context=config.context, sessions=config.sessions, threads=config.threads, kv=config.kv
    )
    model = CpuModel(gguf, settings, cache_dir() / "graphs", adapter)
    return Loaded(model, "cpu", (gpu, *model.unsupported))


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split()) or type(error).__name__
