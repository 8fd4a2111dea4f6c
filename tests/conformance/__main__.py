"""`python -m tests.conformance`: what unmodified clients of OpenAI's Realtime API can do with our server."""

import argparse
import json
import sys
import tempfile
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path

from tests.conformance.clients import CLIENTS, Client, NotInstalled, command
from tests.conformance.clips import write_clips
from tests.conformance.drive import drive
from tests.conformance.matrix import SCENARIOS, Outcome, report, table
from tests.conformance.relay import relay
from tests.conformance.under_test import serve


def main() -> int:
    """Drive the clients and print the matrix; the exit status is 1 if anything failed."""
    args = _arguments()
    clients = [CLIENTS[name] for name in args.client or CLIENTS]
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        logs = args.logs or folder
        logs.mkdir(parents=True, exist_ok=True)
        commands = {client.name: _command(client) for client in clients}
        write_clips(folder)
        url = args.url or stack.enter_context(serve(logs))
        if args.logs:
            url = stack.enter_context(relay(url, logs))
        outcomes = [
            outcome
            for client in clients
            for outcome in _column(client, commands[client.name], args.scenario, url, folder, logs)
        ]
    print(table(outcomes))
    if args.json:
        versions = {client.name: list(client.packages) for client in clients}
        args.json.write_text(json.dumps(report(outcomes, versions), indent=1))
    return int(any(outcome.result == "failed" for outcome in outcomes))


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.conformance", description=__doc__)
    parser.add_argument("--client", action="append", choices=list(CLIENTS), help="only this one; repeatable")
    parser.add_argument("--scenario", action="append", choices=list(SCENARIOS), help="only this; repeatable")
    parser.add_argument("--url", help="a server that runs already: ws://HOST:PORT/v1/realtime")
    parser.add_argument("--json", type=Path, metavar="F", help="write the outcomes here")
    parser.add_argument("--logs", type=Path, metavar="DIR", help="keep the logs, and each event on the wire")
    args = parser.parse_args()
    args.scenario = args.scenario or list(SCENARIOS)
    return args


def _command(client: Client) -> list[str] | str:
    """What runs the client, or why nothing can."""
    try:
        return command(client)
    except NotInstalled as why:
        return str(why)


def _column(
    client: Client, runs: list[str] | str, scenarios: Sequence[str], url: str, clips: Path, logs: Path
) -> list[Outcome]:
    if isinstance(runs, str):
        return [Outcome(client.name, name, "failed", f"not installed: {runs}") for name in scenarios]
    return drive(client.name, runs, scenarios, url, clips, logs / f"{client.name}.log", _tell)


def _tell(outcome: Outcome) -> None:
    cells = (outcome.client, outcome.scenario, outcome.result, outcome.why)
    print("{:14} {:14} {:7} {}".format(*cells).rstrip(), file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
