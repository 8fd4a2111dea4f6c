"""What `assistant trace` runs."""

import json as json_module
import tomllib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import typer

from assistant.commands.preflight import check_file
from assistant.config import Config, config_of
from assistant.models.load import load_models, locate
from assistant.models.pool import Models
from assistant.models.store import ModelStore
from assistant.trace.errors import TraceError
from assistant.trace.gate import as_text, compare, measured, read_baseline, table, with_budgets, worse_first
from assistant.trace.provenance import model_digests
from assistant.trace.recording import META
from assistant.trace.simulate import Simulation, WhatIf, simulate
from assistant.trace.summary import write_json, write_text
from assistant.trace.told import lines, told
from assistant.trace.trace import Trace, read_trace


def run_simulate(
    paths: Sequence[Path],
    json: Path | None,
    strict: bool,
    scale: Sequence[str] = (),
    changes: Sequence[str] = (),
    cores: int | None = None,
) -> None:
    """Simulate the traces at `paths` and print a line a turn; raises TraceError and ConfigError.

    `scale` and `changes` are like tts=0.5 and turn.min_silence_ms=200.
    """
    factors = {name: _factor(name, value) for name, value in map(_pair, scale)}
    check_file(json, TraceError)
    traces = _read(paths)
    simulations = []
    for trace in traces:
        what_if = WhatIf(cores, factors, _changed(trace, changes))
        simulations.append(simulate(trace, _loader(trace), what_if, strict=strict))
        typer.echo("\n".join(lines(simulations[-1])))
    if json:
        write_json(json, {"traces": [told(simulation) for simulation in simulations]})


def _pair(text: str) -> tuple[str, str]:
    name, equals, value = text.partition("=")
    if not (name and equals and value):
        raise TraceError(f"{text!r:.60}: should be like name=value")
    return name, value


def _factor(name: str, value: str) -> float:
    try:
        factor = float(value)
    except ValueError:
        factor = -1.0
    if not 0 <= factor <= 1000:
        raise TraceError(f"{name}={value}: should be a factor from 0 to 1000")
    return factor


def _changed(trace: Trace, changes: Sequence[str]) -> Config:
    """The trace's configuration with `section.key=value` changed, the value as TOML has it."""
    table: dict[str, Any] = json_module.loads(json_module.dumps(asdict(trace.config)))
    for change in changes:
        name, value = _pair(change)
        *sections, key = name.split(".")
        place = table
        for section in sections:
            inner = place.setdefault(section, {})
            if not isinstance(inner, dict):
                raise TraceError(f"{change}: {section} is a key, not a section")
            place = inner
        try:
            place[key] = tomllib.loads(f"value = {value}")["value"]
        except tomllib.TOMLDecodeError as error:
            raise TraceError(f"{change}: {value} is not a value of TOML; texts want quotes") from error
    return config_of(table, Path("--set")) if changes else trace.config


def run_gate(paths: Sequence[Path], baseline: Path, update: bool, strict: bool) -> None:
    """Hold traces at `paths` against `baseline`: exit code 1 if a turn waits longer. Raises TraceError."""
    before = None if update and not baseline.exists() else read_baseline(baseline)
    if update:
        check_file(baseline, TraceError)
    simulations = [simulate(trace, _loader(trace), strict=strict) for trace in _read(paths)]
    now = measured(simulations)
    if update:
        write_text(baseline, as_text(with_budgets(now, before)))
        typer.echo(f"{baseline}: {_count(simulations)}")
        return
    assert before is not None, "it was read"
    moved = compare(now, before, baseline)
    for line in (*table(moved), *_unrecorded(simulations)):
        typer.echo(line)
    if any(each.fails for each in moved):
        if worse := worse_first(now, before, moved):
            typer.echo(worse)
        raise SystemExit(1)
    typer.echo(f"{_count(simulations)}: nobody waits longer")


def _unrecorded(simulations: Sequence[Simulation]) -> Iterator[str]:
    for simulation in simulations:
        for stage, count in simulation.unrecorded.items():
            yield f"{simulation.trace.name}: {stage} was asked {count} times for what was not recorded"


def _count(simulations: Sequence[Simulation]) -> str:
    return f"{sum(len(simulation.turns) for simulation in simulations)} turns of {len(simulations)} traces"


def _read(paths: Sequence[Path]) -> list[Trace]:
    traces = read_traces(paths)
    names = [trace.name for trace in traces]
    if twice := [name for name in names if names.count(name) > 1]:
        raise TraceError(f"{twice[0]}: two traces have this name")
    for trace in traces:
        _check_models(trace)
    return traces


def read_traces(paths: Sequence[Path]) -> list[Trace]:
    """The traces at `paths` and in folders there, whatever they were recorded with; raises TraceError."""
    return [read_trace(folder) for path in paths for folder in _folders(path)]


def _folders(path: Path) -> list[Path]:
    if (path / META).exists() or not path.is_dir():
        return [path]
    found = sorted(meta.parent for meta in path.rglob(META))
    if not found:
        raise TraceError(f"{path}: holds no trace")
    return found


def _check_models(trace: Trace) -> None:
    """Raise TraceError if `trace` was recorded with other models than there are now."""
    if trace.config.llm.is_path:
        return  # a file of the user's own, of which only the name is known
    now = {model["name"]: model["sha256"] for model in model_digests(trace.config)}
    for model in trace.models:
        if now.get(model["name"]) != model["sha256"]:
            raise TraceError(f"{trace.folder}: was recorded with another model {model['name']}")


def _loader(trace: Trace) -> Callable[[], Models]:
    def load() -> Models:
        typer.echo(f"{trace.name}: not all was recorded; loading the models ...", err=True)
        return load_models(trace.config, locate(trace.config, ModelStore()))

    return load
