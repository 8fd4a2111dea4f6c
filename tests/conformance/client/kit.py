"""What each script calls: `main` runs its scenarios and prints what came of them.

Nothing here imports what does not come with each client.
"""

import argparse
import asyncio
import json
import os
import sys
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path

from session import Connect, Heard, NotApplicable, Options, Scenario, Session, Setup

SCENARIO_S = 45.0  # the longest, barge-in, takes about seven


def main(connect: Connect, scenarios: Mapping[str, Scenario], inapplicable: Mapping[str, str]) -> None:
    """Run the scenarios that the command line names, and print what came of each as a line of JSON."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--url", required=True)
    parser.add_argument("--clips", type=Path, required=True)
    parser.add_argument("scenario", nargs="+")
    args = parser.parse_args()
    # What a client prints must not come between.
    with os.fdopen(os.dup(1), "w") as results:
        os.dup2(2, 1)
        for name in args.scenario:
            began = time.monotonic()
            result, why = _outcome(name, Setup(args.url, args.clips), connect, scenarios, inapplicable)
            seconds = round(time.monotonic() - began, 1)
            line = {"scenario": name, "result": result, "why": why, "seconds": seconds}
            print(json.dumps(line), file=results, flush=True)
    sys.stdout.flush()


def _outcome(
    name: str,
    setup: Setup,
    connect: Connect,
    scenarios: Mapping[str, Scenario],
    inapplicable: Mapping[str, str],
) -> tuple[str, str]:
    """How it went, and why."""
    if name in inapplicable:
        return "n/a", inapplicable[name]
    heard: list[Heard] = []

    @asynccontextmanager
    async def watched(setup: Setup, options: Options) -> AsyncIterator[Session]:
        async with connect(setup, options) as session:
            heard.append(session.heard)
            yield session

    try:
        asyncio.run(asyncio.wait_for(scenarios[name](setup, watched), SCENARIO_S))
    except NotApplicable as why:
        return "n/a", str(why)
    except Exception as error:  # noqa: BLE001  # whatever a client raises is a finding
        why = "; ".join([*_causes(error), *(each for one in heard for each in one.complaints)])
        print(f"{name}: {why}; came {[one.seen for one in heard]}", file=sys.stderr, flush=True)
        return "failed", f"{why}; last came {', '.join([each for one in heard for each in one.seen][-4:])}"
    complaints = [each for one in heard for each in one.complaints]
    return ("failed", f"the client complains: {complaints[0]}") if complaints else ("ok", "")


def _causes(error: BaseException) -> list[str]:
    if isinstance(error, BaseExceptionGroup):
        return [cause for inner in error.exceptions for cause in _causes(inner)]
    if isinstance(error, TimeoutError):
        return [f"not done in {SCENARIO_S:.0f} s"]
    return [f"{type(error).__name__}: {error}"]
