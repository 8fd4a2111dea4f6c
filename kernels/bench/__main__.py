"""`python -m kernels.bench`: local attention beside torch's own; no ratio and exit code 1 on a red check."""

import argparse
import itertools
import json
import os
import platform
import sys
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch

from kernels.bench.attention import Row, Shape, measure
from kernels.bench.checks import check
from kernels.bench.report import table
from kernels.bench.timing import bandwidth

WINDOWS = ((64, 4), (128, 8))
"""Two of the windows that were tried for the streaming encoder, in frames of 24 ms."""

FRAMES = (64, 128, 256, 512, 1024, 2048, 4096, 8192)
CPU_FRAMES = (64, 256, 1024, 4096)

TRAINING = (40, 500)
"""A batch of clips of 12 s, with which the encoder is trained."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Check, measure, print tables in Markdown; `--json` is written after each row: a cut leaves the rest."""
    given = _arguments(arguments)
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    if device.type == "cpu":
        print("No CUDA GPU: no Triton kernel and no FlexAttention here, only what runs in their place.")
    speed = bandwidth(device)
    results: dict[str, Any] = {"machine": _machine(device), "copy_gb_s": round(speed / 1e9, 1)}
    checks = list(check(device)) if device.type == "cuda" else []
    results["checks"] = [asdict(one) for one in checks]
    red = [f"{one.name}: error {one.error:.2g}, limit {one.limit:.2g}" for one in checks if not one.passed]
    print(f"{results['machine']}, copies {speed / 1e9:.0f} GB/s")
    print("\n".join([f"{len(checks) - len(red)} of {len(checks)} checks of the kernel passed", *red]))
    for part in ("forward", "training"):
        rows: list[Row] = []
        for shape in _shapes(given, device, part):
            rows.append(measure(shape, device, training=part == "training"))
            results[part] = [_as_json(row) for row in rows]
            if given.json:
                given.json.write_text(json.dumps(results, indent=1), encoding="utf-8")
            print(".", end="", file=sys.stderr, flush=True)
        red += [f"{row.shape}: error {row.errors}" for row in rows if not row.ours_is_right]
        print(f"\n{part}, microseconds\n\n{table(rows, speed, ratios=not red)}" if rows else "")
    print("\n".join(["A check is red, so no ratio is given:", *red]) if red else "All checks are green.")
    return 1 if red else 0


def _arguments(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser("python -m kernels.bench", description=__doc__)
    parser.add_argument("--json", type=Path, help="write everything to this file")
    parser.add_argument("--frames", type=int, nargs="+", help="lengths, instead of the usual ones")
    parser.add_argument("--batch", type=int, nargs="+", help="batch sizes; by default 1, on a GPU 16 too")
    parser.add_argument("--no-training", action="store_true", help="leave out the gradients")
    return parser.parse_args(arguments)


def _shapes(given: argparse.Namespace, device: torch.device, part: str) -> Iterator[Shape]:
    gpu = device.type == "cuda"
    dtypes = (torch.float16, torch.float32) if gpu else (torch.float32,)
    if part == "training":
        if gpu and not given.no_training:
            yield from (Shape(*TRAINING, *WINDOWS[0], dtype) for dtype in dtypes)
        return
    batches = given.batch or ((1, 16) if gpu else (1,))
    frames = given.frames or (FRAMES if gpu else CPU_FRAMES)
    for window, batch, dtype, t in itertools.product(WINDOWS, batches, dtypes, frames):
        yield Shape(batch, t, *window, dtype)


def _machine(device: torch.device) -> str:
    if device.type == "cuda":
        return f"{torch.cuda.get_device_name(device)}, torch {torch.__version__}"
    return f"{platform.machine()} with {os.cpu_count()} cores, torch {torch.__version__}"


def _as_json(row: Row) -> dict[str, Any]:
    shape = asdict(row.shape) | {"dtype": str(row.shape.dtype).removeprefix("torch.")}
    return {"shape": shape, "us": row.us, "errors": row.errors, "failed": row.failed, "bytes": row.bytes}


if __name__ == "__main__":
    sys.exit(main())
