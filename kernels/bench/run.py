"""Runs the bench's sections one after the other, so that none takes the others down with it."""

import importlib
import json
import math
import os
import sys
import threading
import time
import traceback
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch

from kernels.bench.report import line, table
from kernels.bench.results import Bench, Figure, Result

SECTIONS = {
    "bandwidth": ("machine", "bandwidth_section"),
    "launch": ("machine", "launch_section"),
    "products": ("products", "section"),
    "attention": ("attention", "decode_section"),
    "prompt_attention": ("attention", "prompt_section"),
    "step": ("steps", "decode_section"),
    "prefill": ("steps", "prompt_section"),
    "local": ("local", "section"),
}
"""Module and function of each; a module is imported when its turn comes, and may fail to be."""


GRACE_S = 90
"""Between a section's limit, after which no other case begins, and the end of one whose case hangs."""


@dataclass
class Log:
    """What was found, written to the file after each result: a cut leaves the rest."""

    file: Path | None
    data: dict[str, Any] = field(default_factory=lambda: {"sections": {}})

    @classmethod
    def read(cls, file: Path | None) -> "Log":
        """What an earlier process wrote to it."""
        if file is None or not file.exists():
            return cls(file)
        return cls(file, json.loads(file.read_text(encoding="utf-8")))

    @property
    def wrong(self) -> list[str]:
        """A line for each section that failed and each result that is red."""
        lines = []
        for name, section in self.data["sections"].items():
            lines += [f"{name}: {section['failed'].strip().splitlines()[-1]}"] if "failed" in section else []
            for one in (one for one in section.get("results", []) if one["red"]):
                errors = {key: f"{error}" for key, error in (one["errors"] | one["failed"]).items()}
                lines.append(f"{name} {one['case']}: {errors}")
        return lines

    @property
    def cut(self) -> list[str]:
        """A line for each section that its time was too short for."""
        return [f"{name}: {one['cut']}" for name, one in self.data["sections"].items() if "cut" in one]

    def write(self, name: str, found: Mapping[str, Any]) -> None:
        """Put what a section has into the file, all of it at once."""
        self.data["sections"][name] = dict(found)
        if self.file is not None:
            part = self.file.with_name(self.file.name + ".part")
            part.write_text(json.dumps(self.data, indent=1), encoding="utf-8")
            part.replace(self.file)


def run(
    names: Sequence[str],
    bench: Bench,
    log: Log,
    limit_s: float,
    again: Sequence[str],
    until: float = math.inf,
) -> list[str]:
    """Run the sections, print their results as they come, then a table; gives what went wrong, by lines.

    No case begins when its section has taken `limit_s`, or later than `until` (of `time.time`). If a section
    breaks the GPU for this process, or takes GRACE_S longer than that, the rest runs in a new process in the
    place of this one: `again` is its command line, and the names of the sections that are left.
    """
    for i, name in enumerate(names):
        left = names[i + 1 :]
        seconds = min(limit_s, until - time.time())
        if seconds <= 0:
            log.write(name, {"cut": "not begun"})
            continue
        hard = seconds + GRACE_S
        watch = threading.Timer(hard, _give_up, (name, hard, log, again, left))
        watch.daemon = True
        if bench.device.type == "cuda":
            watch.start()
        try:
            _section(name, bench, log, seconds)
        except Exception:  # noqa: BLE001  (whatever one section dies of, the others run)
            why = traceback.format_exc()
            print(f"{name} failed:\n{why}", flush=True)
            log.write(name, log.data["sections"].get(name, {}) | {"failed": why})
            if bench.device.type == "cuda" and not _gpu_lives():
                _start_again(again, left)
        finally:
            watch.cancel()
            if watch.is_alive():
                watch.join()  # it takes a moment to end
    return log.wrong


def _section(name: str, bench: Bench, log: Log, limit_s: float) -> None:
    module = importlib.import_module(f"kernels.bench.{SECTIONS[name][0]}")
    work: Callable[[Bench], Iterator[Result | Figure]] = getattr(module, SECTIONS[name][1])
    print(f"\n## {name}", flush=True)
    log.write(name, {})
    figures: list[Figure] = []
    results: dict[str, Result] = {}
    start = time.monotonic()
    for one in work(bench):
        if isinstance(one, Figure):
            figures.append(one)
        else:
            results[str(one.case)] = one  # the same case comes again when it has more contenders
        print(line(one, bench.speed), file=sys.stderr, flush=True)
        found = {"figures": [asdict(figure) for figure in figures]}
        found["results"] = [result.as_json() for result in results.values()]
        took = time.monotonic() - start
        cut = {"cut": f"stopped after {took:.0f} s"} if took > limit_s else {}
        log.write(name, found | {"seconds": round(took, 1)} | cut)
        if cut:
            break
    _print(figures, list(results.values()), bench)


def _print(figures: Sequence[Figure], results: Sequence[Result], bench: Bench) -> None:
    red = any(one.red for one in results)
    for figure in figures:
        print(f"- {line(figure, bench.speed)}")
    if results:
        print(f"\nMicroseconds.\n\n{table(results, bench.speed, ratios=not red)}")
    sys.stdout.flush()


def _give_up(name: str, limit_s: float, log: Log, again: Sequence[str], left: Sequence[str]) -> None:
    why = f"took longer than {limit_s:.0f} s"
    print(f"{name} {why}", flush=True)
    log.write(name, log.data["sections"].get(name, {}) | {"failed": why})
    _start_again(again, left)


def _start_again(again: Sequence[str], left: Sequence[str]) -> None:
    sys.stdout.flush()
    if not left:
        os._exit(1)  # not sys.exit: this may be a thread, and the main one waits for the GPU forever
    os.execv(again[0], [*again, ",".join(left)])


def _gpu_lives() -> bool:
    try:
        torch.cuda.synchronize()
    except RuntimeError:  # torch.AcceleratorError is one: every later call raises it again
        return False
    return True
