"""The engines that are measured, on the CPU or a GPU, and what those there are measured by.

Each device's engine is imported when it is opened: neither needs the packages of the other.
"""
# ruff: noqa: PLC0415  # see above

import gc
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING, Literal

from llm.cuda.device import Device, unsupported_reason
from llm.decode.engine import Engine
from llm.decode.served import Unsupported
from llm.eval.predict import EvalError
from llm.gguf.file import GgufError, GgufFile
from llm.serve.sessions import SlotEngine

if TYPE_CHECKING:
    from llm.cpu.model import CpuModel
    from llm.cuda.model import CudaModel

Place = Literal["cpu", "cuda"]
Kv = Literal["f32", "f16", "int8"]

KINDS: Mapping[Place, Sequence[Kv]] = MappingProxyType({"cpu": ("f32", "int8"), "cuda": ("f16", "int8")})
"""The types of keys and values that a device's engine has."""

REFERENCES: Mapping[Place, str] = MappingProxyType(
    {"cpu": "the same file in float32", "cuda": "the weights as the GPU holds them, in float32 on the GPU"}
)

_CONTEXT = 2048  # tokens; the default of both engines
_STORED = 0  # bytes of prefixes, from which a prompt that is to be timed, and judged, would be copied
_GPU = "cuda"  # as torch names it; with "cpu" all of the GPU's engine but its kernels can be measured


@dataclass(frozen=True)
class Subject:
    """An engine to measure, and what it could have run on but does not."""

    engine: SlotEngine
    unsupported: tuple[Unsupported, ...]


def place_of(device: Device) -> Place:
    """Where a model is measured. Raises EvalError where a GPU is asked for and none can be used."""
    reason = None if device == "cpu" else unsupported_reason()
    if device == "cuda" and reason is not None:
        raise EvalError(f"no model can be measured on a GPU here: {reason}")
    return "cpu" if device == "cpu" or reason is not None else "cuda"


def gpu_name() -> str | None:
    """The GPU that models are measured on."""
    import torch

    return torch.cuda.get_device_name(_GPU) if _GPU == "cuda" else None


@contextmanager
def reference(gguf: GgufFile, place: Place) -> Iterator[Engine]:
    """What engines in a place are measured by (REFERENCES), with a cache of float32.

    Raises GgufError, EvalError for a model that cannot be held there, EngineOutOfMemory and CudaBroken.
    """
    if place == "cpu":
        from llm.cpu.model import CpuConfig, CpuModel

        config = CpuConfig(context=_CONTEXT, weights="f32", prefix_bytes=_STORED)
        with CpuModel(gguf, config).open() as engine:
            yield engine
        return
    yield _reference_on_gpu(gguf)


@contextmanager
def subject(gguf: GgufFile, place: Place, kv: Kv) -> Iterator[Subject]:
    """The engine with keys and values of one of the place's KINDS. Raises as `reference`."""
    assert kv in KINDS[place], f"{kv} keys and values on {place}"
    model = _on_cpu(gguf, kv) if place == "cpu" else _on_gpu(gguf, kv)
    with model.open() as engine:
        yield Subject(engine, model.unsupported)


def _on_cpu(gguf: GgufFile, kv: Kv) -> "CpuModel":
    from llm.cpu.model import CpuConfig, CpuModel

    kind: Literal["f32", "int8"] = "int8" if kv == "int8" else "f32"
    return CpuModel(gguf, CpuConfig(context=_CONTEXT, kv=kind, prefix_bytes=_STORED))


def _on_gpu(gguf: GgufFile, kv: Kv) -> "CudaModel":
    from llm.cuda.model import CudaConfig, CudaModel

    gc.collect()  # the model measured before: its parts refer to each other, and hold GPU memory
    kind: Literal["f16", "int8"] = "int8" if kv == "int8" else "f16"
    with _refusing():
        return CudaModel(gguf, CudaConfig(context=_CONTEXT, kv=kind, prefix_bytes=_STORED, device=_GPU))


def _reference_on_gpu(gguf: GgufFile) -> Engine:
    import torch

    from llm.cuda.reference import ReferenceEngine

    with _refusing():
        return ReferenceEngine(gguf, _CONTEXT, torch.device(_GPU))


@contextmanager
def _refusing() -> Iterator[None]:
    """A model that no kernel takes is an EvalError."""
    try:
        yield
    except GgufError:
        raise
    except ValueError as error:
        raise EvalError(str(error)) from error
