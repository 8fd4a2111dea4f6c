"""The latency gate on the shipped traces: whoever makes anybody wait longer hears of it here."""

from pathlib import Path
from typing import NoReturn

import pytest

from assistant.commands.trace_runs import run_gate
from assistant.trace.simulate import simulate
from assistant.trace.trace import read_trace

TRACES = Path(__file__).parents[3] / "traces"
RECORDED = sorted(folder for folder in (TRACES / "recorded").iterdir() if folder.is_dir())
CANCELLED = "questions"
"""In one turn of it a reply is asked for that was cancelled in the recording before it had begun."""


def no_models() -> NoReturn:
    raise AssertionError("all was recorded")


@pytest.mark.parametrize(
    "folder", [each for each in RECORDED if each.name != CANCELLED], ids=lambda folder: folder.name
)
def test_a_shipped_trace_has_all_that_its_simulation_asks_for(folder: Path) -> None:
    assert simulate(read_trace(folder), no_models, strict=True).turns


@pytest.mark.models  # for CANCELLED
def test_nobody_waits_longer_than_before(capsys: pytest.CaptureFixture[str]) -> None:
    """If this is meant to be: `assistant trace gate --update`, and say why in the commit."""
    try:
        run_gate([TRACES], TRACES / "baseline.json", update=False, strict=False)
    except SystemExit:
        pytest.fail(capsys.readouterr().out)
