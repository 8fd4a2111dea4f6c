"""What the doctor looks at: each check names what it found and the line that fixes it.

Those of facts take the facts, so that any machine can be described to them; those of a library ask it.
"""

import os
import shutil
import sys
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from assistant.models.store import ModelState
from llm.decode import Operation, Unsupported, by_kernel

_PYTHON = (3, 11)
_THREADS = 2  # what the delays were tuned on: one for the model at work, one for all the others
_MEMORY = 2_000_000_000  # bytes; the bound on the demo's peak
_DOWNLOAD = 450_000_000  # bytes: all default models, and the largest wheel beside what is unpacked from it
_PORTAUDIO = "sudo apt install libportaudio2 (elsewhere: the system's PortAudio package)"


@dataclass(frozen=True)
class Check:
    """One thing looked at. `remedy` is the line that fixes it, empty where nothing needs fixing."""

    name: str
    state: Literal["ok", "warn", "fail"]
    found: str
    remedy: str = ""


def check_python(version: tuple[int, ...]) -> Check:
    """The interpreter's version."""
    found = ".".join(map(str, version))
    if version >= _PYTHON:
        return Check("Python", "ok", found)
    return Check("Python", "fail", found, "make a virtual environment with Python 3.11 or later")


def check_pip(found: bool, *, fetching: bool) -> Check:
    """The pip of this interpreter, which downloads the models."""
    if found:
        return Check("pip", "ok", "of this Python")
    state: Literal["warn", "fail"] = "fail" if fetching else "warn"
    return Check(
        "pip", state, "missing: models cannot be fetched", f"{sys.executable} -m ensurepip --upgrade"
    )


def check_cpu(model: str, architecture: str, features: Sequence[str] | None) -> Check:
    """The instruction sets that int8 models are fast with."""
    if features is None:
        return Check("CPU", "ok", f"{model}, {architecture}; its features are not known here")
    found = f"{model}, {architecture}: {' '.join(features) or 'none of the features looked for'}"
    if architecture.lower() in ("x86_64", "amd64") and "avx2" not in features:
        return Check("CPU", "warn", found, "use a processor with AVX2: without it replies take seconds")
    return Check("CPU", "ok", found)


def check_threads(usable: int) -> Check:
    """Logical cores that this process may use."""
    if usable >= _THREADS:
        return Check("threads", "ok", f"{usable} usable, {_THREADS} needed")
    remedy = f"give the process {_THREADS} cores (taskset, the container's cpuset): replies will be late"
    return Check("threads", "warn", f"{usable} usable, {_THREADS} needed", remedy)


def check_memory(total: int, available: int) -> Check:
    """Bytes of memory."""
    found = f"{available / 1e9:.1f} of {total / 1e9:.1f} GB available, {_MEMORY / 1e9:.0f} GB needed"
    if total < _MEMORY:
        return Check("memory", "fail", found, "use a machine with more memory")
    if available < _MEMORY:
        return Check("memory", "warn", found, "close other programs")
    return Check("memory", "ok", found)


def check_onnxruntime() -> Check:
    """ONNX Runtime, which runs the models on the CPU, and what it can run them on."""
    name, remedy = "ONNX Runtime", "python -m pip install --force-reinstall onnxruntime"
    try:
        import onnxruntime  # noqa: PLC0415  # whether it can be imported is the question
    except (ImportError, OSError) as error:
        return Check(name, "fail", f"cannot be imported: {_one_line(error)}", remedy)
    providers = onnxruntime.get_available_providers()
    found = f"{onnxruntime.__version__}: {', '.join(providers)}"
    if "CPUExecutionProvider" not in providers:
        return Check(name, "fail", found, remedy)
    return Check(name, "ok", found)


def check_cpu_kernel(*, compiled: bool, instructions: str | None) -> Check:
    """What the language model's passes run on: the compiled kernel, if there is one for `instructions`."""
    if instructions is not None:
        return Check("CPU kernel", "ok", f"compiled, {instructions}")
    if compiled:
        return Check("CPU kernel", "ok", "ONNX Runtime: the compiled one needs AVX2")
    remedy = "install a C compiler, then install the assistant again: replies come about twice as fast then"
    return Check("CPU kernel", "warn", "ONNX Runtime: the compiled one is not there", remedy)


def check_llm(
    device: str, operations: Sequence[Operation], unsupported: Sequence[Unsupported], *, driver: bool
) -> list[Check]:
    """Which kernels the language model's passes just ran on, and why on no others."""
    checks = [Check("LLM kernels", "ok", f"on {device.upper()}: {by_kernel(operations)}")]
    for one in unsupported:
        missed = driver and one.of_gpu  # a GPU is there
        remedy = 'fix that, or say device = "cpu" under [llm] of the configuration' if missed else ""
        found = f"not used: {one.reason}"
        checks.append(Check(one.kernel, "warn" if missed else "ok", found, remedy))
    return checks


def check_torch() -> list[Check]:
    """torch, and the GPU that it sees."""
    try:
        import torch  # noqa: PLC0415  # as above
    except ModuleNotFoundError:
        return [Check("torch", "ok", "not installed; only a GPU and the tests need it")]
    except (ImportError, OSError) as error:
        remedy = "python -m pip install --force-reinstall torch"
        return [Check("torch", "fail", f"cannot be imported: {_one_line(error)}", remedy)]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of a driver that is too old; the outcome says it
        usable = torch.cuda.is_available()
    gpus = [torch.cuda.get_device_name(index) for index in range(torch.cuda.device_count())] if usable else []
    driver = Path("/proc/driver/nvidia/version").exists() or shutil.which("nvidia-smi") is not None
    return [Check("torch", "ok", torch.__version__), check_gpu(gpus, driver=driver)]


def check_gpu(usable: Sequence[str], *, driver: bool) -> Check:
    """CUDA GPUs that torch can use, and whether there is an NVIDIA driver at all. None are needed."""
    if usable:
        return Check("GPU", "ok", ", ".join(usable))
    if driver:
        remedy = "install a torch built for the driver's CUDA: https://pytorch.org/get-started/locally/"
        return Check("GPU", "warn", "an NVIDIA driver, but no GPU that torch can use", remedy)
    return Check("GPU", "ok", "none; the CPU is enough")


def check_audio() -> Check:
    """A microphone and a speaker, which only talking from this machine needs."""
    try:
        import sounddevice  # noqa: PLC0415  # optional
    except ImportError:
        return Check("audio", "warn", "sounddevice is not installed", "pip install -e '.[mic]'")
    except OSError:
        return Check("audio", "warn", "the PortAudio library is missing", _PORTAUDIO)
    found = {}
    for kind in ("input", "output"):
        try:
            found[kind] = sounddevice.query_devices(kind=kind)["name"]
        except (ValueError, sounddevice.PortAudioError):
            remedy = f"connect a {'microphone' if kind == 'input' else 'speaker'}, or let this user use it"
            return Check("audio", "warn", f"no {kind} device", remedy)
    return Check("audio", "ok", f"from {found['input']}, to {found['output']}")


def check_model(model: ModelState) -> Check:
    """A model's file."""
    name = f"model {model.name}"
    match model.state:
        case "ok":
            return Check(name, "ok", "verified")
        case "missing":
            return Check(name, "fail", "missing", f"assistant models fetch {model.name}")
        case "corrupt":
            remedy = f"assistant models fetch --force {model.name}"
            return Check(name, "fail", "cannot be read or has another SHA-256", remedy)


def check_disk(folder: Path, *, fetching: bool) -> Check:
    """Room and permission where the models are kept; they matter most while some have to be fetched."""
    there = next(place for place in (folder, *folder.absolute().parents) if place.exists())
    remedy = "make room there, or set ASSISTANT_CACHE to another folder"
    state: Literal["warn", "fail"] = "fail" if fetching else "warn"
    if not there.is_dir() or not os.access(there, os.W_OK):
        return Check("disk", state, f"cannot write in {there}", "set ASSISTANT_CACHE to another folder")
    free = shutil.disk_usage(there).free
    found = f"{free / 1e6:.0f} MB free for {folder}, fetching needs {_DOWNLOAD / 1e6:.0f} MB"
    return Check("disk", "ok", found) if free >= _DOWNLOAD else Check("disk", state, found, remedy)


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split())
