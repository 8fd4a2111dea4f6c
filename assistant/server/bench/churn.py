"""`python -m assistant.server.bench.churn CLIP`: sessions that come and go, and what they leave behind."""

import argparse
import asyncio
import itertools
import sys
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from rich.console import Console
from rich.table import Table
from websockets.exceptions import InvalidHandshake

from assistant.runtime import Clock
from assistant.server.bench.client import Refusal, try_connect
from assistant.server.bench.clips import speakable
from assistant.server.bench.errors import run_command
from assistant.server.bench.held import Change, Held, changes, settle
from assistant.server.bench.leaking import LEAKED
from assistant.server.bench.server import ASSISTANT, Watched, served
from assistant.server.bench.visits import MIX, VisitFailed, Visitor
from assistant.trace.summary import write_json

_LEAKING = """
import sys
from pathlib import Path
from assistant.commands import serve
from assistant.server.bench.leaking import leaking
config = serve.read_settings(Path(sys.argv[-1]), None, 0, None, None)
serve.run_serve(config, "text", leaking(serve.loaded))
"""
_VISIT_S = 90
_SETTLE_S = 30
_ROUND = 5 * len(MIX)
_ROUNDS = 10
_GROWN_MB = 4  # in a round of the warm-up: the prefix store alone may take 64 MB before it is full

Outcomes = Counter[tuple[str, str]]


@dataclass(frozen=True)
class Churn:
    """How the sessions ended, by kind, and what changed."""

    seconds: float
    outcomes: Outcomes
    changes: tuple[Change, ...]
    lost_places: int
    """Of the server's places, those that could not be taken at once in the end."""

    @property
    def sessions(self) -> int:
        """Those that were held."""
        return self.outcomes.total()

    @property
    def failures(self) -> list[str]:
        """What is wrong."""
        late = [f"{change.name} did not come back" for change in self.changes if not change.is_back]
        failed = sum(count for (_, outcome), count in self.outcomes.items() if outcome != "done")
        return [
            *late,
            *([f"{self.lost_places} places are lost"] if self.lost_places else []),
            *([f"{failed} sessions failed"] if failed else []),
        ]


async def churn(
    server: Watched, visitor: Visitor, seconds: float, most: int, at_once: int, rounds: int = _ROUNDS
) -> Churn:
    """Warm up, let sessions come and go for so long, and see what the server still holds."""
    before = await _warmed_up(server, visitor, at_once, rounds)
    start_s = time.monotonic()
    kinds = itertools.islice(itertools.cycle(MIX), most)
    outcomes = await _visits(visitor, kinds, at_once, start_s + seconds)
    elapsed_s = time.monotonic() - start_s
    after = await settle(server, _SETTLE_S, lambda found: _is_back(before, found))
    room = int((await server.figures())["assistant_sessions_capacity"])
    return Churn(elapsed_s, outcomes, tuple(changes(before, after)), await _lost(visitor, room))


async def _warmed_up(server: Watched, visitor: Visitor, at_once: int, rounds: int) -> Held:
    """What the server holds once its caches and arenas are as large as these sessions make them."""
    found = await settle(server, _SETTLE_S)
    for _ in range(rounds):
        await _visits(visitor, itertools.islice(itertools.cycle(MIX), _ROUND), at_once, float("inf"))
        last, found = found, await settle(server, _SETTLE_S)
        if found.memory_mb - last.memory_mb < _GROWN_MB:
            break
    return found


def _is_back(before: Held, after: Held) -> bool:
    return all(change.is_back for change in changes(before, after))


async def _visits(visitor: Visitor, kinds: Iterator[str], at_once: int, until_s: float) -> Outcomes:
    outcomes: Outcomes = Counter()

    async def one_after_another() -> None:
        for kind in kinds:
            outcomes[kind, await _outcome(visitor, kind)] += 1
            if time.monotonic() >= until_s:
                return

    async with asyncio.TaskGroup() as group:
        for number in range(at_once):
            group.create_task(one_after_another(), name=f"visitor-{number}")
    return outcomes


async def _outcome(visitor: Visitor, kind: str) -> str:
    try:
        async with asyncio.timeout(_VISIT_S):
            await visitor.visit(kind)
    except TimeoutError:
        return f"not over in {_VISIT_S} s"
    except (InvalidHandshake, OSError, VisitFailed) as error:
        return str(error)
    return "done"


async def _lost(visitor: Visitor, room: int) -> int:
    """How many of `room` places cannot be taken at once."""
    opened = [await try_connect(visitor.url, visitor.clock) for _ in range(room)]
    held = [connection for connection in opened if not isinstance(connection, Refusal)]
    for connection in held:
        await connection.close()
    return room - len(held)


def table(found: Churn) -> Table:
    """What the server held before and after."""
    shown = Table("", "before", "after", "", box=None, pad_edge=False)
    for change in found.changes:
        state = "back" if change.is_back else "NOT BACK"
        shown.add_row(change.name, f"{change.before:.0f}", f"{change.after:.0f}", state)
    return shown


def parse(words: Sequence[str]) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m assistant.server.bench.churn", description=__doc__)
    parser.add_argument("clip", type=Path, help="What is spoken: the first clip there.")
    parser.add_argument("--minutes", type=float, default=10)
    parser.add_argument("--least", type=int, default=500, help="Fewer sessions are a failure.")
    parser.add_argument("--most", type=int, default=5000, help="Sessions after which it ends early.")
    parser.add_argument("--at-once", type=int, default=4)
    parser.add_argument("--control", action="store_true", help="A server that leaks: it must be found out.")
    parser.add_argument("--config", type=Path)
    parser.add_argument("--json", type=Path)
    return parser.parse_args(words)


def run(options: argparse.Namespace, console: Console) -> bool:
    """Churn and print; returns whether it came out as it should. Raises errors.EXPECTED."""
    spoken = speakable([options.clip])[0]
    command = (sys.executable, "-c", _LEAKING) if options.control else (*ASSISTANT, "serve")
    with served(options.config, {"llm": {"sessions": options.at_once}}, command) as server:
        rounds = 1 if options.control else _ROUNDS  # its memory never stops to grow
        visitor = Visitor(server.url, spoken, Clock())
        found = asyncio.run(
            churn(server, visitor, options.minutes * 60, options.most, options.at_once, rounds)
        )
    for (kind, outcome), count in sorted(found.outcomes.items()):
        console.print(f"{count:5} {kind}: {outcome}", markup=False)
    console.print(table(found))
    few = [f"only {found.sessions} sessions"] if found.sessions < options.least else []
    wrong = [*found.failures, *few]
    console.print(f"{found.sessions} sessions in {found.seconds:.0f} s: {'; '.join(wrong) or 'all is back'}")
    if options.json:
        outcomes = [[*key, count] for key, count in sorted(found.outcomes.items())]
        changed = [asdict(change) for change in found.changes]
        write_json(options.json, {"seconds": found.seconds, "outcomes": outcomes, "changes": changed})
    late = {change.name for change in found.changes if not change.is_back}
    return late >= LEAKED if options.control else not wrong


def main() -> None:
    """Run the command line; exit code 1 if something did not come back, or the control was not found out."""
    options = parse(sys.argv[1:])
    run_command("assistant.server.bench.churn", lambda: run(options, Console()))


if __name__ == "__main__":
    main()
