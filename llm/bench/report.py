"""What the bench says: a table for people and a file for everything else."""

import hashlib
import json
import os
import platform
from collections.abc import Sequence
from datetime import datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from statistics import median
from typing import Any

from rich.table import Table

from llm.bench.entry import LLAMA_CPP, Entry
from llm.bench.llama import system_info
from llm.bench.run import Results

_PACKAGES = ("numpy", "onnxruntime", "llama-cpp-python")
_CPUINFO = Path("/proc/cpuinfo")


def report(results: Results, path: Path, threads: int, now: datetime, *, quick: bool) -> dict[str, Any]:
    """Everything that --json writes."""
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    return {
        "date": now.isoformat(timespec="seconds"),
        "machine": machine(),
        "threads": threads,
        "quick": quick,
        "model": {"name": path.name, "sha256": digest},
        "llama_cpp": {
            "missing": results.without,
            "built_for": None if results.without else system_info(),
        },
        "entries": [entry.to_dict() for entry in results.entries],
    }


def table(found: Sequence[Entry]) -> Table:
    """For people: medians, and in brackets the least and the most of the rounds."""
    shown = Table("", "ours", "theirs", "ratio", "goal", "met", box=None, pad_edge=False)
    for entry in found:
        name = f"{entry.name}, {entry.unit}" if entry.unit else entry.name
        beside = "" if entry.against == LLAMA_CPP else f"beside: {entry.against}"
        below = [f"  {line}" for line in (beside, entry.note) if line]
        shown.add_row(
            "\n".join([name, *below]),
            _figure(entry.ours),
            _figure(entry.theirs),
            "-" if entry.ratio is None else f"{entry.ratio:.3g}",
            "\n".join(map(str, entry.goals)),
            {True: "yes", False: "MISSED", None: "-" if entry.goals else ""}[entry.ok],
        )
    return shown


def _figure(rounds: Sequence[float] | None) -> str:
    if not rounds:
        return "-"
    middle = f"{median(rounds):.4g}"
    return middle if len(rounds) == 1 else f"{middle} ({min(rounds):.4g}-{max(rounds):.4g})"


def write_json(path: Path, content: dict[str, Any]) -> None:
    """Write all of it or nothing; raises OSError."""
    temporary = path.with_name(f".{path.name}.part")
    try:
        temporary.write_text(json.dumps(content, indent=1, allow_nan=False) + "\n", encoding="utf-8")
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def machine() -> dict[str, Any]:
    """What the figures depend on, ready for JSON; names no person and no host."""
    return {
        "cpu": _cpu(),
        "logical_cores": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count(),
        "os": f"{platform.system()} {platform.release()} {platform.machine()}",
        "python": platform.python_version(),
        "packages": {name: _version(name) for name in _PACKAGES},
    }


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def _cpu() -> str:
    try:
        lines = _CPUINFO.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:  # not Linux
        lines = []
    named = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(named, platform.processor() or platform.machine())
