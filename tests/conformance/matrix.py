"""The matrix: what came of each scenario with each client, and how it is printed."""

from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal

SCENARIOS = {
    "spoken": "a spoken turn",
    "typed": "a typed turn",
    "text-only": "text only",
    "second-turn": "a second turn that needs the first",
    "barge-in": "barge-in with truncation",
    "manual-commit": "manual commit",
    "idle-cancel": "cancel with nothing to cancel",
    "malformed": "malformed events",
    "tool": "a tool call and its output",
    "g711": "G.711 in and out",
    "items": "item create, retrieve, delete",
}


@dataclass(frozen=True)
class Outcome:
    """What came of a scenario with a client; `why` says what failed, or why the client cannot do it."""

    client: str
    scenario: str
    result: Literal["ok", "failed", "n/a"]
    why: str = ""
    seconds: float = 0.0


def table(outcomes: Iterable[Outcome]) -> str:
    """A Markdown table of scenarios by clients, and below it the reasons, each once."""
    by_place = {(outcome.scenario, outcome.client): outcome for outcome in outcomes}
    clients = list(dict.fromkeys(client for _, client in by_place))
    notes: dict[str, int] = {}
    rows = [["scenario", *clients], ["---"] * (len(clients) + 1)]
    for scenario in [name for name in SCENARIOS if any(name == place[0] for place in by_place)]:
        cells = [_cell(by_place.get((scenario, client)), notes) for client in clients]
        rows.append([SCENARIOS[scenario], *cells])
    lines = ["| " + " | ".join(row) + " |" for row in rows]
    reasons = [f"{number}. {why}" for why, number in notes.items()]
    return "\n".join([*lines, "", *reasons] if reasons else lines)


def _cell(outcome: Outcome | None, notes: dict[str, int]) -> str:
    if outcome is None:
        return ""
    if not outcome.why:
        return outcome.result
    number = notes.setdefault(outcome.why, len(notes) + 1)
    return f"{outcome.result} ({number})"


def report(outcomes: Sequence[Outcome], versions: dict[str, Sequence[str]]) -> dict[str, Any]:
    """The matrix as JSON: the outcomes, and the packages that were driven."""
    return {"clients": versions, "outcomes": [asdict(outcome) for outcome in outcomes]}
