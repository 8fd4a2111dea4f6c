"""`assistant cluster plan`: how many replicas so many callers need."""

import sys
from collections.abc import Iterator
from dataclasses import asdict
from importlib.resources import files
from pathlib import Path
from statistics import fmean
from typing import Any

import typer
from rich.console import Console
from rich.table import Table

from assistant.cluster.plan.costs import Costs, read_costs
from assistant.cluster.plan.errors import PlanError
from assistant.cluster.plan.machine import machine_of
from assistant.cluster.plan.plan import Plan, Row, plan
from assistant.commands.preflight import check_file
from assistant.trace.summary import ReportError, quantiles, write_json

SHIPPED = "two-cores-avx2.json"
_MOST_CALLERS = 5000
_SHORTEST_S, _LONGEST_S = 5.0, 7200.0


def run_plan(
    callers: float,
    machine: str,
    ttfa_p95: float | None,
    call_s: float,
    costs_path: Path | None,
    json: Path | None,
) -> None:
    """Plan and print; raises PlanError."""
    if not 1 <= callers <= _MOST_CALLERS:
        raise PlanError(f"--callers is 1 to {_MOST_CALLERS}, not {callers:g}")
    if not _SHORTEST_S <= call_s <= _LONGEST_S:
        raise PlanError(f"--call-seconds is {_SHORTEST_S:g} to {_LONGEST_S:g}, not {call_s:g}")
    if ttfa_p95 is not None and not 1 <= ttfa_p95 <= 60_000:
        raise PlanError(f"--ttfa-p95 is 1 to 60000 ms, not {ttfa_p95:g}")
    wanted = machine_of(machine)
    check_file(json, ReportError)
    costs = read_costs(costs_path or Path(str(files("assistant.cluster.plan") / SHIPPED)))
    found = plan(callers, wanted, costs, bound_ms=ttfa_p95, call_s=call_s)
    if json:
        write_json(json, _as_json(found, costs))
    console = Console() if sys.stdout.isatty() else Console(width=150)
    console.print(_table(found, costs))
    for line in _lines(found, costs, callers, call_s):
        typer.echo(line)


def _as_json(found: Plan, costs: Costs) -> dict[str, Any]:
    """All that is printed, and the simulated waits of one machine by sessions."""
    room, gpu = found.room, found.machine.gpu
    held = [
        {
            "sessions": each.sessions,
            "ttfa_ms": {"p50": each.wait_ms(50), "p95": each.wait_ms(95)},
            "gaps": each.gaps,
            "cores_busy": each.cores_busy,
        }
        for each in room.held
    ]
    return {
        "measured": {
            "machine": costs.machine,
            "date": costs.date,
            "commit": costs.commit,
            "cpu_ms": dict(costs.cpu_ms),
            "memory": asdict(costs.memory),
            "gpu": asdict(gpu) if gpu else None,
        },
        "simulated": {
            "room": {"sessions": room.sessions, "bound_by": room.bound_by, "p95_bound_ms": room.bound_ms},
            "one_machine": held,
            "replicas": found.replicas,
            "busy_hour": [asdict(row) for row in found.rows],
            "autoscaling": asdict(found.scaled) if found.scaled else None,
        },
    }


def _table(found: Plan, costs: Costs) -> Table:
    table = Table(
        "replicas", "callers each", "TTFA p50 ms", "p95 ms", "refused", "cores busy", "memory GB", ""
    )
    table.box, table.pad_edge = None, False
    waits = quantiles([turn.ttfa_ms for turn in costs.turns])
    alone = f"one session of {costs.machine['cpu']}, {costs.machine['threads']} cores"
    models = costs.memory.models_mb / 1e3
    measured = "-", "1", f"{waits['p50']:.0f}", f"{waits['p95']:.0f}", "", "", f"{models:.1f}"
    table.add_row(*measured, f"measured: {alone}")
    for row in found.rows:
        table.add_row(*_cells(row), "simulated" + ": enough" * (row.replicas == found.replicas))
    return table


def _cells(row: Row) -> list[str]:
    return [
        str(row.replicas),
        f"{row.callers_each:.1f}",
        f"{row.p50_ms:.0f}",
        f"{row.p95_ms:.0f}",
        f"{row.refused:.1%}",
        f"{row.cores_busy:.2f}",
        f"{row.memory_gb:.1f}",
    ]


def _lines(found: Plan, costs: Costs, callers: float, call_s: float) -> Iterator[str]:
    room, machine = found.room, found.machine
    yield f"simulated: {callers:g} callers at once need {found.replicas} replicas of {machine.cores} cores"
    yield (
        f"simulated: one has room for {room.sessions} sessions with p95 within {room.bound_ms:.0f} ms,"
        f" bound by {room.bound_by}"
    )
    if machine.gpu:
        yield f"measured: passes on one {machine.gpu.name}, by itself and never as part of a service"
    speech, reply = fmean(t.speech_s for t in costs.turns), fmean(t.reply_s for t in costs.turns)
    yield (
        f"measured: {len(costs.turns)} turns on {costs.date} at {costs.commit}, {speech:.1f} s of speech"
        f" and {reply:.1f} s of reply each"
    )
    yield f"assumed: calls of {call_s:g} s on average, and a second from a reply to the next turn"
    if found.scaled is None:
        yield "simulated: no autoscaling setting keeps refusals within 1 % over the day; keep the replicas"
        return
    scaled, settings = found.scaled, found.scaled.settings
    keys = {
        "max_ongoing_requests": room.sessions,
        "target_ongoing_requests": round(settings.target_ongoing_requests, 1),
        "min_replicas": settings.min_replicas,
        "max_replicas": settings.max_replicas,
        "upscale_delay_s": settings.upscale_delay_s,
        "downscale_delay_s": settings.downscale_delay_s,
    }
    yield "simulated: Serve's " + ", ".join(f"{key}={value:g}" for key, value in keys.items())
    yield (
        f"simulated: over days of three hours {scaled.refused:.1%} refused, p95 {scaled.p95_ms:.0f} ms,"
        f" {scaled.replica_hours:.0f} replica hours each in place of {scaled.fixed_hours:.0f}"
    )
