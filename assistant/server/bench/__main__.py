"""`python -m assistant.server.bench CLIPS...`: clients that speak, N at a time, and what they hear."""

import argparse
import asyncio
import itertools
import sys
from collections.abc import Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from rich.console import Console

from assistant.config import read_config
from assistant.runtime import Clock
from assistant.runtime.machine import machine
from assistant.server.bench.beside import Beside, beside_replay
from assistant.server.bench.clips import SpokenClip, speakable
from assistant.server.bench.errors import run_command
from assistant.server.bench.figures import as_json, doubled_at, load_figures, ratio, refusal_figures
from assistant.server.bench.load import Load, run_load
from assistant.server.bench.server import Watched, served
from assistant.server.bench.table import interval, load_table, number, refusal_line
from assistant.trace.summary import write_json


def parse(words: Sequence[str]) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m assistant.server.bench", description=__doc__)
    parser.add_argument("clips", nargs="+", type=Path, help="Sound files, or folders with an index.json.")
    parser.add_argument("--sessions", nargs="+", type=int, default=[1, 2, 4, 8], help="How many at once.")
    parser.add_argument("--every", type=int, default=1, help="Take every so-many-th clip.")
    parser.add_argument("--turns", type=int, default=0, help="Repeat the clips to so many turns at least.")
    parser.add_argument("--offered", type=int, help="So many times the clients that the server has room for.")
    parser.add_argument("--replay", action="store_true", help="The same clips through assistant replay.")
    parser.add_argument("--url", help="A server that runs; by default one is started.")
    parser.add_argument("--config", type=Path, help="For the server that is started, and the replay.")
    parser.add_argument("--json", type=Path, help="Write all results.")
    found = parser.parse_args(words)
    if min([*found.sessions, found.every, found.offered or 1]) < 1:
        parser.error("--sessions, --every and --offered are at least 1")
    if found.url and (found.config or found.replay):
        parser.error("--config and --replay go with a server that is started here")
    return found


def bench(options: argparse.Namespace, console: Console) -> dict[str, Any]:
    """Measure what is asked for and print it; returns everything for a file. Raises errors.EXPECTED."""
    clips = repeated(speakable(options.clips, options.every), options.turns)
    clock = Clock()
    found: dict[str, Any] = {}
    if options.offered:
        loads = asyncio.run(_offered(options, clips, clock))
        found = _tell_offered(loads, console)
    elif options.replay:
        beside = asyncio.run(beside_replay(clips, options.config, clock))
        found = _tell_beside(beside, console)
    else:
        loads = asyncio.run(_at_once(options, clips, clock))
        found = _tell_loads(loads, console)
    return {"date": datetime.now(UTC).isoformat(timespec="seconds"), "machine": machine(), **found}


def repeated(clips: Sequence[SpokenClip], turns: int) -> list[SpokenClip]:
    """The clips, from the beginning again until there are so many."""
    return list(itertools.islice(itertools.cycle(clips), max(turns, len(clips))))


async def _at_once(options: argparse.Namespace, clips: Sequence[SpokenClip], clock: Clock) -> list[Load]:
    counts = sorted(set(options.sessions))
    if options.url:
        return await _each(Watched(options.url), clips, counts, clock)
    room = max(counts[-1], read_config(options.config).llm.sessions)
    with served(options.config, {"llm": {"sessions": room}}) as server:
        return await _each(server, clips, counts, clock)


async def _each(
    server: Watched, clips: Sequence[SpokenClip], counts: Sequence[int], clock: Clock
) -> list[Load]:
    """A load for each number of clients, behind a turn that is not measured: the first of all is slow."""
    await run_load(server, clips[:1], 1, clock)
    return [await run_load(server, clips, count, clock) for count in counts]


async def _offered(options: argparse.Namespace, clips: Sequence[SpokenClip], clock: Clock) -> list[Load]:
    if options.url:
        return await _both(Watched(options.url), clips, options.offered, clock)
    with served(options.config, {}) as server:
        return await _both(server, clips, options.offered, clock)


async def _both(server: Watched, clips: Sequence[SpokenClip], times: int, clock: Clock) -> list[Load]:
    room = int((await server.figures())["assistant_sessions_capacity"])
    return await _each(server, clips, [room, room * times], clock)


def _tell_loads(loads: Sequence[Load], console: Console) -> dict[str, Any]:
    figures = [load_figures(load) for load in loads]
    console.print(load_table(figures))
    double = doubled_at(figures)
    console.print(f"p95 has doubled at {double} at once" if double else "p95 has not doubled")
    return {"loads": [as_json(load) for load in loads]}


def _tell_offered(loads: Sequence[Load], console: Console) -> dict[str, Any]:
    alone, crowded = (load_figures(load) for load in loads)
    console.print(load_table([alone, crowded]))
    times = ratio(crowded.ttfa_p95_ms, alone.ttfa_p95_ms)
    refused = refusal_figures(loads[1].refusals)
    console.print(f"p95 is {number(times)} times that without the others (goal 1.2)")
    console.print(f"{refusal_line(refused)} (goal 50 ms)")
    return {"loads": [as_json(load) for load in loads], "refusals": asdict(refused)}


def _tell_beside(beside: Beside, console: Console) -> dict[str, Any]:
    console.print(f"{len(beside.served_ms)} turns; TTFA over the socket minus that of the replay, ms:")
    console.print(f"difference of the medians {interval(beside.difference)} (goal 15)")
    console.print(f"median of the differences {interval(beside.median_difference)}")
    return {"beside_replay": asdict(beside)}


def run(options: argparse.Namespace, console: Console) -> bool:
    """Measure, print and write; returns true."""
    found = bench(options, console)
    if options.json:
        write_json(options.json, found)
    return True


def main() -> None:
    """Run the command line; an error of the user's making is one line and exit code 1."""
    options = parse(sys.argv[1:])
    console = Console() if sys.stdout.isatty() else Console(width=170)
    run_command("assistant.server.bench", lambda: run(options, console))


if __name__ == "__main__":
    main()
