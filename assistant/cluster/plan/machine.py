"""The machine that a plan is for: `cores=16,gpu=h200,memory=64`."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cache
from importlib.resources import files
from typing import Any

from assistant.cluster.plan.costs import Costs, Passes
from assistant.cluster.plan.errors import PlanError

_MOST_CORES, _MOST_GB = 1024, 65536


@dataclass(frozen=True)
class Gpu:
    """What the language model takes on one GPU, measured by itself: never as part of a service."""

    name: str
    passes: Passes
    prompt_ms: float
    """A prompt of 512 tokens: no more than that is left to read at the end of a turn."""
    host_cores: float
    """That a pass keeps busy."""
    sources: Mapping[str, str]


@dataclass(frozen=True)
class Machine:
    """Cores like those that were measured, perhaps a GPU, and memory if it is to count."""

    cores: int
    gpu: Gpu | None = None
    memory_gb: float | None = None


def machine_of(words: str) -> Machine:
    """Read `cores=K[,gpu=NAME][,memory=GB]`; raises PlanError."""
    given: dict[str, str] = {}
    for word in words.split(","):
        key, sign, value = (part.strip() for part in word.partition("="))
        if key not in _KEYS or not sign or not value:
            raise PlanError(f"--machine {words!r:.60}: {word!r:.40} is none of cores=K, gpu=NAME, memory=GB")
        if key in given:
            raise PlanError(f"--machine {words!r:.60}: {key} is there twice")
        given[key] = value
    if "cores" not in given:
        raise PlanError(f"--machine {words!r:.60}: says no cores=K")
    cores = _number(words, "cores", given["cores"], _MOST_CORES)
    if cores != int(cores):
        raise PlanError(f"--machine {words!r:.60}: cores is a whole number")
    memory = _number(words, "memory", given["memory"], _MOST_GB) if "memory" in given else None
    return Machine(int(cores), _gpu(given["gpu"]) if "gpu" in given else None, memory)


_KEYS = ("cores", "gpu", "memory")


def _number(words: str, key: str, value: str, most: float) -> float:
    try:
        number = float(value)
    except ValueError:
        number = 0.0
    if not 1 <= number <= most:  # nor is NaN
        raise PlanError(f"--machine {words!r:.60}: {key} is a number of 1 to {most:.0f}, not {value!r:.20}")
    return number


@cache
def gpus() -> Mapping[str, Gpu]:
    """Those that were measured."""
    found: Any = json.loads((files("assistant.cluster.plan") / "gpus.json").read_text("utf-8"))
    return {
        name: Gpu(name, Passes(**of["passes"]), of["prompt_ms"], of["host_cores"], of["sources"])
        for name, of in found.items()
    }


def _gpu(name: str) -> Gpu:
    known = gpus()
    if name not in known:
        raise PlanError(f"--machine: no GPU {name!r:.40} was measured; there is {', '.join(known)}")
    return known[name]


def costs_on(machine: Machine, costs: Costs) -> Costs:
    """The costs with the language model on the machine's GPU, if it has one.

    What was read of a turn while the user spoke becomes a short prompt behind each partial transcript.
    """
    gpu = machine.gpu
    if gpu is None:
        return costs
    turns = tuple(
        replace(
            turn,
            prompt_ms=min(turn.prompt_ms, gpu.prompt_ms),
            read_ahead_ms=min(turn.read_ahead_ms, gpu.prompt_ms * turn.partials),
        )
        for turn in costs.turns
    )
    return replace(costs, turns=turns, passes=gpu.passes, llm_width=gpu.host_cores)
