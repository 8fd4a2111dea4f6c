"""`python -m kernels.bench`: the machine, kernels, whole passes; no ratio and exit code 1 on a red check."""

import argparse
import math
import os
import platform
import sys
import tempfile
import time
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import torch

from kernels.bench.machine import bandwidth
from kernels.bench.models import MODELS
from kernels.bench.results import Bench
from kernels.bench.run import GRACE_S, SECTIONS, Log, run

GPU = {
    "models": ("135m",),
    "contexts": (128, 4096),
    "rows": (1, 64),
    "prompts": (512,),
    "frames": (1024, 4096),
    "caches": ("int8", "f16"),  # with the smaller, rivals have more room beside it
}
FULL = {  # what matters most comes first, as time may be up before the end
    "models": ("135m", "1.7b", "8b"),
    "contexts": (128, 1024, 4096, 8192),
    "rows": (1, 64, 8, 16, 32, 4, 2),
    "prompts": (512, 64, 128, 256),
    "frames": (64, 128, 256, 512, 1024, 2048, 4096, 8192),
    "caches": ("int8", "f16"),
}
CPU = GPU | {"models": ("tiny",), "contexts": (40,), "rows": (1, 3), "prompts": (50,), "frames": (64, 1024)}


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the sections, print tables in Markdown; `--json` is written after each result."""
    given = _arguments(arguments)
    given.until = time.time() + given.total_s if given.until is None else given.until
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    if device.type == "cpu":
        print("No CUDA GPU: no Triton kernel and no FlexAttention here, only what runs in their place.")
    if given.json is None:  # for the sections that a new process runs, to know of those before
        given.json = Path(tempfile.mkdtemp()) / "bench.json"
    log = Log.read(given.json) if given.go_on else Log(given.json)
    log.data |= {"machine": _machine(device), "date": f"{datetime.now(UTC):%Y-%m-%d %H:%M} UTC"}
    speed = bandwidth(device)
    print(f"{log.data['machine']}, memory {speed / 1e9:.0f} GB/s", flush=True)
    bench = Bench(device, speed, **_asked(given, device), full=given.full, compiled=given.compile)
    wrong = run(given.only, bench, log, given.limit_s, _again(given), given.until)
    if log.cut:
        print("\n".join(["Cut short by the limits of time:", *log.cut]))
    print("\n".join(["No ratio is given in a section that is red:", *wrong]) if wrong else "All is green.")
    return 1 if wrong else 0


def _arguments(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser("python -m kernels.bench", description=__doc__)
    add = parser.add_argument
    add("--json", type=Path, help="write everything to this file, as it comes")
    add("--only", type=_names, default=list(SECTIONS), help=f"some of: {','.join(SECTIONS)}")
    add("--full", action="store_true", help="all sizes that are not given, and odder ones too")
    add(
        "--compile",
        action=argparse.BooleanOptionalAction,
        default=True,
        help="rivals that take a compiler: torch.compile for the first step and prompt, FlexAttention",
    )
    add("--models", nargs="+", choices=list(MODELS))
    add("--contexts", type=int, nargs="+", help="tokens in the cache when a step is measured")
    add("--rows", type=int, nargs="+", help="sequences that decode together")
    add("--prompts", type=int, nargs="+", help="tokens of a prompt")
    add("--caches", nargs="+", choices=["f16", "int8"])
    add("--frames", type=int, nargs="+", help="lengths for local attention")
    add("--limit-s", type=float, default=300, help="for one section; no case of it begins later")
    add("--total-s", type=float, default=math.inf, help=f"for all; what hangs is ended {GRACE_S} s later")
    add("--until", type=float, help=argparse.SUPPRESS)  # the end of that, for a new process
    add("--go-on", action="store_true", help="keep what the file of --json holds already")
    return parser.parse_args(arguments)


def _names(text: str) -> list[str]:
    names = text.split(",")
    if unknown := [name for name in names if name not in SECTIONS]:
        raise argparse.ArgumentTypeError(f"no section {unknown[0]!r}: there are {', '.join(SECTIONS)}")
    return names


def _asked(given: argparse.Namespace, device: torch.device) -> dict[str, Any]:
    usual = CPU if device.type == "cpu" else FULL if given.full else GPU
    return {name: tuple(getattr(given, name) or default) for name, default in usual.items()}


def _again(given: argparse.Namespace) -> list[str]:
    """The same command line for the sections that are left, which come behind it."""
    command = [sys.executable, "-m", "kernels.bench", "--go-on", "--json", str(given.json)]
    command += ["--limit-s", str(given.limit_s), "--until", str(given.until)]
    command += ["--full"] if given.full else []
    command += [] if given.compile else ["--no-compile"]
    for name in GPU:
        values = getattr(given, name)
        command += [f"--{name}", *map(str, values)] if values else []
    return [*command, "--only"]


def _machine(device: torch.device) -> str:
    versions = f"torch {torch.__version__}, Python {platform.python_version()}"
    if device.type == "cuda":
        return f"{torch.cuda.get_device_name(device)}, {versions}"
    return f"{platform.machine()} with {os.cpu_count()} cores, {versions}"


if __name__ == "__main__":
    sys.exit(main())
