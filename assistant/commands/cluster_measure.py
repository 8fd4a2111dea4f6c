"""`assistant cluster measure`: what conversations cost on this machine, for `assistant cluster plan`."""

import subprocess
from collections.abc import Iterator
from pathlib import Path

import typer

import assistant
from assistant.cluster.plan.costs import Costs, write_costs
from assistant.cluster.plan.measure import measure
from assistant.commands.household import open_skills
from assistant.commands.preflight import check_file, readable_clips
from assistant.config import read_config
from assistant.trace.summary import ReportError, write_json


def run_measure(output: Path, paths: list[Path], repetitions: int, config_path: Path | None) -> None:
    """Measure and write; raises PlanError and the typed errors of what cannot be read or loaded."""
    config, clips = read_config(config_path), readable_clips(paths)
    check_file(output, ReportError)
    with open_skills(config, in_memory=True) as skills:
        costs = measure(clips, config, repetitions, _commit(), skills.open)
    write_json(output, write_costs(costs))
    for line in _cost_lines(costs):
        typer.echo(line)


def _commit() -> str:
    """Of the checkout that this is, if it is one; else the version."""
    where = ["git", "-C", str(Path(__file__).parent), "rev-parse", "--short", "HEAD"]
    try:
        return subprocess.run(where, capture_output=True, text=True, check=True).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return assistant.__version__


def _cost_lines(costs: Costs) -> Iterator[str]:
    yield f"{len(costs.turns)} turns; processor time, ms:"
    yield from (f"  {name}: {ms:.0f}" for name, ms in costs.cpu_ms.items())
    memory = costs.memory
    yield f"memory: {memory.models_mb:.0f} MB, and {memory.session_mb:.0f} MB for each session"
