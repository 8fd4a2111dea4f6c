"""The latency gate on the shipped traces: whoever makes anybody wait longer hears of it here."""

from pathlib import Path

import pytest

from assistant.commands.trace_runs import run_gate

TRACES = Path(__file__).parents[3] / "traces"


@pytest.mark.models  # in one turn of `questions` a reply is asked for that was cancelled before it had begun
def test_nobody_waits_longer_than_before(capsys: pytest.CaptureFixture[str]) -> None:
    """If this is meant to be: `assistant trace gate --update`, and say why in the commit."""
    try:
        run_gate([TRACES], TRACES / "baseline.json", update=False, strict=False)
    except SystemExit:
        pytest.fail(capsys.readouterr().out)
