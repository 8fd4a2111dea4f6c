"""The machine a report was made on: hardware and versions, and nothing that names a person or a host."""

import importlib.metadata
import os
import platform
import sys
import time
from pathlib import Path
from typing import Any

import psutil

# What the int8 and bf16 kernels of ONNX Runtime and torch are chosen by, in the words of /proc/cpuinfo.
_FEATURES = (
    "fma",
    "f16c",
    "avx2",
    "avx_vnni",
    "avx512f",
    "avx512bw",
    "avx512_vnni",
    "avx512_bf16",
    "avx512_fp16",
    "amx_int8",
    "amx_bf16",
    "asimddp",
    "i8mm",
    "bf16",
    "sve",
    "sve2",
)
_PACKAGES = ("torch", "onnxruntime", "onnxruntime-gpu", "numpy", "hibari-tts")
_CPUINFO = Path("/proc/cpuinfo")


def machine() -> dict[str, Any]:
    """What a measurement depends on, ready for JSON; null where the system does not tell."""
    return {
        "cpu": cpu_model(),
        "cpu_features": cpu_features(),
        "cores": physical_cores(),
        "threads": usable_threads(),
        "memory_gb": round(psutil.virtual_memory().total / 1e9, 1),
        "os": f"{platform.system()} {platform.release()} {platform.machine()}",
        "python": platform.python_version(),
        "packages": {name: installed(name) for name in _PACKAGES},
    }


def seconds_since_start() -> float:
    """Time since this process was started, interpreter and imports included."""
    return time.time() - psutil.Process().create_time()


def peak_memory_mb() -> float:
    """The most memory that this process ever held, in MB."""
    import resource  # noqa: PLC0415  # Windows has none, and everything else here works there

    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / (1e6 if sys.platform == "darwin" else 1e3)  # bytes there, kB elsewhere


def cpu_model() -> str:
    """The processor's name, as far as the system tells."""
    named = [block["model name"] for block in _cpuinfo() if "model name" in block]
    return named[0] if named else platform.processor() or platform.machine()


def cpu_features() -> list[str] | None:
    """Which of the instruction sets that matter here the processor has; None where that is not told."""
    for block in _cpuinfo():
        flags = block.get("flags", block.get("Features"))  # x86 and Arm
        if flags is not None:
            return [feature for feature in _FEATURES if feature in flags.split()]
    return None


def has_slow_int8() -> bool:
    """Whether this is an x86 processor known to have no VNNI: float32 products are faster than int8 ones."""
    features = cpu_features() or []
    return "avx2" in features and not any("vnni" in feature for feature in features)


def usable_threads() -> int:
    """Logical cores that this process may run on."""
    return len(_affinity()) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def physical_cores() -> int | None:
    """Physical cores that this process may run on; without /proc/cpuinfo, those of the machine."""
    cores = {
        (block["physical id"], block["core id"])
        for block in _cpuinfo()
        if int(block.get("processor", -1)) in _affinity() and {"physical id", "core id"} <= block.keys()
    }
    return len(cores) or psutil.cpu_count(logical=False)


def installed(package: str) -> str | None:
    """The version of an installed distribution, without importing it."""
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return None


def _affinity() -> set[int]:
    return os.sched_getaffinity(0)


def _cpuinfo() -> list[dict[str, str]]:
    """One table a logical core; none outside Linux."""
    try:
        text = _CPUINFO.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return []
    blocks = []
    for block in text.split("\n\n"):
        pairs = (line.split(":", 1) for line in block.splitlines() if ":" in line)
        blocks.append({key.strip(): value.strip() for key, value in pairs})
    return blocks
