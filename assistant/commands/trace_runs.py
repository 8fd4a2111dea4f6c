"""What `assistant trace` runs."""

import math
import tomllib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict
from pathlib import Path

import typer

from assistant.commands.preflight import check_file
from assistant.config import Config, ConfigError, config_of
from assistant.models.load import load_models, locate
from assistant.models.pool import Models
from assistant.models.store import ModelStore
from assistant.trace.copies import STAGGER_MS
from assistant.trace.errors import TraceError
from assistant.trace.gate import as_text, compare, measured, read_baseline, table, with_budgets, worse_first
from assistant.trace.provenance import model_digests
from assistant.trace.recording import FORMAT, META
from assistant.trace.simulate import Simulation, WhatIf, simulate
from assistant.trace.summary import turn_taking_lines, write_json, write_text
from assistant.trace.told import lines, told, told_turn_taking
from assistant.trace.trace import Trace, read_trace

_MOST_CORES, _MOST_SESSIONS, _LONGEST_STAGGER_MS = 4096, 256, 60_000.0
_READ = ("asr.partial_ms", "asr.pre_roll_ms", "asr.max_turn_s", "llm.system_prompt")
"""What a session reads beside `[turn]`. All else makes models, which here answer as they did."""


def run_simulate(
    traces: Sequence[Path],
    json: Path | None,
    strict: bool,
    scale: Sequence[str] = (),
    changes: Sequence[str] = (),
    cores: str | None = None,
    sessions: str | None = None,
    stagger: str | None = None,
    *,
    paths: bool = False,
) -> None:
    """Simulate the traces at `traces` and print a line a turn; raises TraceError.

    `scale` and `changes` are like tts=0.5 and turn.min_silence_ms=200; `cores`, `sessions` and `stagger` (ms)
    are numbers.
    `paths` prints what each wait consists of, too.
    """
    factors = {name: _factor(name, value) for name, value in map(_pair, scale)}
    most_at_once = None if cores is None else _whole("--cores", cores, _MOST_CORES)
    copies = 1 if sessions is None else _whole("--sessions", sessions, _MOST_SESSIONS)
    stagger_ms = STAGGER_MS if stagger is None else _number("--stagger", stagger, 0, _LONGEST_STAGGER_MS)
    check_file(json, TraceError)
    simulations, loading = [], Loading()
    for trace in usable_traces(traces):
        what_if = WhatIf(most_at_once, factors, _changed(trace, changes), copies, stagger_ms)
        simulations.append(simulate(trace, loading.of(trace), what_if, strict=strict))
        typer.echo("\n".join(lines(simulations[-1], paths=paths)))
    numbers = told_turn_taking(simulations)
    typer.echo("\n".join(turn_taking_lines(numbers)))
    if json:
        write_json(json, {"traces": [told(simulation) for simulation in simulations], "turn_taking": numbers})


def _pair(text: str) -> tuple[str, str]:
    name, equals, value = text.partition("=")
    if not (name and equals and value):
        raise TraceError(f"{text!r:.60}: should be like name=value")
    return name, value


def _whole(name: str, value: str, most: int) -> int:
    return round(_number(name, value, 1, most, whole=True))


def _number(name: str, value: str, least: float, most: float, *, whole: bool = False) -> float:
    try:
        number = float(value)
    except ValueError:
        number = math.nan
    if not least <= number <= most or (whole and number != int(number)):
        kind = "a whole number" if whole else "a number"
        raise TraceError(f"{name} {value!r:.40}: should be {kind} from {least:g} to {most:g}")
    return number


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
    table = asdict(trace.config)
    for change in changes:
        name, value = _pair(change)
        section, _, key = name.partition(".")
        if section != "turn" and name not in _READ:
            raise TraceError(f"--set {name!r:.60}: is not read; a simulation reads turn, {', '.join(_READ)}")
        table[section][key] = _toml(change, value)
    try:
        return config_of(table, Path("--set")) if changes else trace.config
    except ConfigError as error:
        raise TraceError(str(error)) from error


def _toml(change: str, value: str) -> object:
    try:
        (found,) = tomllib.loads(f"value = {value}").values()
    except ValueError as error:  # not TOML, or more lines of it
        raise TraceError(
            f"{change!r:.60}: {value!r:.40} is not a value of TOML; texts want quotes"
        ) from error
    return found


def run_gate(paths: Sequence[Path], baseline: Path, update: bool, strict: bool) -> None:
    """Hold traces at `paths` against `baseline`: exit code 1 if a turn waits longer. Raises TraceError."""
    before = None if update and not baseline.exists() else read_baseline(baseline, budgets_only=update)
    if update:
        check_file(baseline, TraceError)
    loading = Loading()
    simulations = [simulate(trace, loading.of(trace), strict=strict) for trace in usable_traces(paths)]
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


def usable_traces(paths: Sequence[Path]) -> list[Trace]:
    """The traces at `paths`, each with its own name, and such as can be simulated; raises TraceError."""
    traces = read_traces(paths)
    names = [trace.name for trace in traces]
    if twice := [name for name in names if names.count(name) > 1]:
        raise TraceError(f"{twice[0]}: two traces have this name")
    for trace in traces:
        _check_format(trace)
        _check_models(trace)
    return traces


def read_traces(paths: Sequence[Path]) -> list[Trace]:
    """The traces at `paths` and in folders there, whatever they were recorded with; raises TraceError."""
    return [read_trace(folder) for path in paths for folder in folders(path)]


def folders(path: Path) -> list[Path]:
    """The traces at `path`, or below it but for hidden folders; raises TraceError if there is none."""
    if (path / META).exists() or not path.is_dir():
        return [path]
    found = sorted(meta.parent for meta in path.rglob(META) if not _is_hidden(meta.relative_to(path)))
    if not found:
        raise TraceError(f"{path}: holds no trace")
    return found


def _is_hidden(path: Path) -> bool:
    """Whether it is in a hidden folder, as what a recording leaves that was killed."""
    return any(part.startswith(".") for part in path.parts)


def _check_format(trace: Trace) -> None:
    """Raise TraceError if `trace` does not tell what ends a turn now."""
    if trace.format != FORMAT:
        raise TraceError(
            f"{trace.folder}: is of format {trace.format}, and {FORMAT} can be simulated;"
            f" `assistant trace record {trace.folder}` makes one of it"
        )


def _check_models(trace: Trace) -> None:
    """Raise TraceError if `trace` was recorded with other models than there are now."""
    if trace.config.llm.is_path or trace.config.llm.adapter_is_path:
        return  # a file of the user's own, of which only the name is known
    now = {model["name"]: model["sha256"] for model in model_digests(trace.config)}
    for model in trace.models:
        if now.get(model["name"]) != model["sha256"]:
            raise TraceError(f"{trace.folder}: was recorded with another model {model['name']}")


class Loading:
    """Loads the models of traces, of each configuration once, and says so."""

    def __init__(self) -> None:
        self._models: dict[str, Models] = {}

    def of(self, trace: Trace) -> Callable[[], Models]:
        """What loads the models of `trace`."""

        def load() -> Models:
            key = repr(trace.config)
            if key not in self._models:
                typer.echo(f"{trace.name}: not all was recorded; loading the models ...", err=True)
                self._models[key] = load_models(trace.config, locate(trace.config, ModelStore()))
            return self._models[key]

        return load
