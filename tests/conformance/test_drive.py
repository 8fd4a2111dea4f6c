"""The runner, on scripts that stand for clients."""

import sys
from pathlib import Path

from tests.conformance.clips import write_clips
from tests.conformance.drive import drive
from tests.conformance.matrix import Outcome

OK = """
import json, sys
for name in sys.argv[5:]:
    print(json.dumps({"scenario": name, "result": "ok", "why": "", "seconds": 0.5}), flush=True)
"""
# Ends in the middle of whatever is called "bad", after it has told of the ones before.
CRASHES = """
import json, sys
for name in sys.argv[5:]:
    if name == "bad":
        sys.exit("it broke")
    print(json.dumps({"scenario": name, "result": "ok"}), flush=True)
"""


def _drive(tmp_path: Path, script: str, *scenarios: str) -> tuple[list[Outcome], list[Outcome]]:
    told: list[Outcome] = []
    command = [sys.executable, "-c", script]
    came = drive("it", command, scenarios, "ws://h/v1/realtime", tmp_path, tmp_path / "it.log", told.append)
    return came, told


def test_each_outcome_is_told_as_it_comes(tmp_path: Path):
    came, told = _drive(tmp_path, OK, "typed", "spoken")

    assert came == told == [Outcome("it", name, "ok", "", 0.5) for name in ("typed", "spoken")]


def test_a_script_gets_the_address_and_the_clips(tmp_path: Path):
    _drive(tmp_path, "import sys; print(sys.argv[1:], file=sys.stderr)", "typed")

    assert (tmp_path / "it.log").read_text().strip() == str(
        ["--url", "ws://h/v1/realtime", "--clips", str(tmp_path), "typed"]
    )


def test_a_crash_fails_one_scenario_and_the_rest_are_run(tmp_path: Path):
    came, _ = _drive(tmp_path, CRASHES, "typed", "bad", "spoken", "bad", "tool")

    assert [outcome.result for outcome in came] == ["ok", "failed", "ok", "failed", "ok"]
    assert came[1].why == "the client ended with 1; see it.log"
    assert (tmp_path / "it.log").read_text().splitlines() == ["it broke", "it broke"]


def test_the_clips_are_as_long_in_both_formats(tmp_path: Path):
    write_clips(tmp_path)

    seconds = (tmp_path / "question.pcm").stat().st_size / 48000
    assert abs(seconds - (tmp_path / "question.ulaw").stat().st_size / 8000) < 0.001
    assert seconds > 2
