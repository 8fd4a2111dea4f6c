"""Runs a client's script, which prints a JSON object for each scenario that it has come through."""

import json
import subprocess
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from threading import Timer
from typing import Any

from tests.conformance.matrix import Outcome

SCENARIO_S = 60.0  # a script gives up after 45 s itself


def drive(
    client: str,
    command: Sequence[str],
    scenarios: Sequence[str],
    url: str,
    clips: Path,
    log: Path,
    tell: Callable[[Outcome], None],
) -> list[Outcome]:
    """The outcomes of the scenarios, each told as it comes; the script's own output goes to `log`.

    A script that ends or hangs fails the scenario in which it did; it is started again for the rest.
    """
    outcomes: list[Outcome] = []
    while len(outcomes) < len(scenarios):
        rest = scenarios[len(outcomes) :]
        for outcome in _run(client, [*command, "--url", url, "--clips", str(clips), *rest], rest, log):
            outcomes.append(outcome)
            tell(outcome)
    return outcomes


def _run(client: str, command: Sequence[str], scenarios: Sequence[str], log: Path) -> Iterator[Outcome]:
    """One run of the script, as its outcomes come: at least one."""
    with log.open("a") as errors:
        process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=errors)
    patience = Timer(SCENARIO_S * len(scenarios), process.kill)
    patience.start()
    try:
        assert process.stdout
        came = 0
        for came, line in enumerate(process.stdout, start=1):  # noqa: B007  # counted
            yield _outcome(client, json.loads(line))
        code = process.wait()
    finally:
        patience.cancel()
        process.kill()
        process.wait()
        assert process.stdout
        process.stdout.close()
    if came < len(scenarios):
        yield Outcome(client, scenarios[came], "failed", f"the client ended with {code}; see {log.name}")


def _outcome(client: str, line: dict[str, Any]) -> Outcome:
    return Outcome(client, line["scenario"], line["result"], line.get("why", ""), line.get("seconds", 0.0))
