"""What `assistant trace` runs."""

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import typer

from assistant.commands.preflight import check_file
from assistant.models.load import load_models, locate
from assistant.models.pool import Models
from assistant.models.store import ModelStore
from assistant.trace.errors import TraceError
from assistant.trace.gate import as_text, compare, measured, read_baseline, table, with_budgets
from assistant.trace.provenance import model_digests
from assistant.trace.recording import META
from assistant.trace.show import show
from assistant.trace.simulate import Simulation, simulate
from assistant.trace.summary import write_json, write_text
from assistant.trace.told import lines, told
from assistant.trace.trace import Trace, read_trace


def run_simulate(paths: Sequence[Path], json: Path | None, strict: bool) -> None:
    """Simulate the traces at `paths` and print a line a turn; raises TraceError."""
    check_file(json, TraceError)
    traces = _read(paths)
    simulations = []
    for trace in traces:
        simulations.append(simulate(trace, _loader(trace), strict=strict))
        typer.echo("\n".join(lines(simulations[-1])))
    if json:
        write_json(json, {"traces": [told(simulation) for simulation in simulations]})


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
        raise SystemExit(1)
    typer.echo(f"{_count(simulations)}: nobody waits longer")


def run_show(paths: Sequence[Path]) -> None:
    """Draw the turns of the traces at `paths`; raises TraceError."""
    for trace in _read(paths):
        for line in show(trace):
            typer.echo(line)


def _unrecorded(simulations: Sequence[Simulation]) -> Iterator[str]:
    for simulation in simulations:
        for stage, count in simulation.unrecorded.items():
            yield f"{simulation.trace.name}: {stage} was asked {count} times for what was not recorded"


def _count(simulations: Sequence[Simulation]) -> str:
    return f"{sum(len(simulation.turns) for simulation in simulations)} turns of {len(simulations)} traces"


def _read(paths: Sequence[Path]) -> list[Trace]:
    folders = [folder for path in paths for folder in _folders(path)]
    traces = [read_trace(folder) for folder in folders]
    names = [trace.name for trace in traces]
    if twice := [name for name in names if names.count(name) > 1]:
        raise TraceError(f"{twice[0]}: two traces have this name")
    for trace in traces:
        _check_models(trace)
    return traces


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
