"""`assistant cluster plan` as it is typed, on costs that are easy to reckon with."""

import json
from pathlib import Path

import pytest
from ended import Command
from made_costs import costs, turn

from assistant.cluster.plan.costs import Memory, Passes, Shared, write_costs


@pytest.fixture
def costs_file(tmp_path: Path) -> Path:
    """On two cores, sessions that keep 0.2 of one busy."""
    path = tmp_path / "costs.json"
    made = costs(
        turn(partials=10, partial_ms=60.0, read_ahead_ms=40.0),
        listen=Shared(0.02, 0.02),
        loop=Shared(0.01, 0.01),
        llm_width=1.5,
        passes=Passes(10.0, 2.0),
        memory=Memory(600.0, 20.0),
    )
    path.write_text(json.dumps(write_costs(made)))
    return path


def test_a_plan_says_what_is_measured_and_what_is_simulated(
    assistant: Command, costs_file: Path, tmp_path: Path
) -> None:
    report = tmp_path / "plan.json"
    words = ("cluster", "plan", "--callers", "20", "--machine", "cores=2", "--costs", str(costs_file))
    ended = assistant(*words, "--json", str(report))
    assert ended.code == 0, ended.err
    lines = ended.out.splitlines()
    assert lines[0].startswith("replicas")
    marks = ("measured", "simulated", "assumed")
    assert [line for line in lines[1:] if not any(mark in line for mark in marks)] == []
    found = json.loads(report.read_text())
    room, rows = found["simulated"]["room"], found["simulated"]["busy_hour"]
    needed = found["simulated"]["replicas"]
    assert needed * room["sessions"] >= 20
    assert f"20 callers at once need {needed} replicas" in ended.out
    for row in rows:
        enough = row["refused"] <= 0.01 and row["p95_ms"] <= room["p95_bound_ms"]
        assert enough == (row["replicas"] >= needed)
    assert f"max_ongoing_requests={room['sessions']}" in ended.out
    assert assistant(*words).out == ended.out


def test_memory_can_be_what_bounds_a_machine(assistant: Command, costs_file: Path) -> None:
    """0.9 of 1 GB, less 600 MB, is 15 sessions of 20 MB: less than 64 cores would hold."""
    words = (
        "cluster",
        "plan",
        "--callers",
        "30",
        "--machine",
        "cores=64,memory=1",
        "--costs",
        str(costs_file),
    )
    assert "room for 15 sessions" in assistant(*words).out
    assert "bound by memory" in assistant(*words).out


def test_the_event_loop_can_be_what_bounds_a_machine(assistant: Command, tmp_path: Path) -> None:
    """0.8 of a core for sessions of 0.2 each."""
    path = tmp_path / "costs.json"
    path.write_text(json.dumps(write_costs(costs(loop=Shared(0.2, 0.2), listen=Shared(0.2, 0.2)))))
    words = ("cluster", "plan", "--callers", "8", "--machine", "cores=64", "--costs", str(path))
    assert "room for 4 sessions" in assistant(*words).out
    assert "bound by event loop" in assistant(*words).out


@pytest.mark.parametrize(
    "words",
    [
        ("--callers", "0", "--machine", "cores=2"),
        ("--callers", "nan", "--machine", "cores=2"),
        ("--callers", "99999", "--machine", "cores=2"),
        ("--callers", "5", "--machine", "cores=2", "--ttfa-p95", "0"),
        ("--callers", "5", "--machine", "cores=2", "--ttfa-p95", "10"),
        ("--callers", "5", "--machine", "cores=2", "--call-seconds", "0"),
        ("--callers", "5", "--machine", "2"),
        ("--callers", "5", "--machine", "cores=2,memory=1,gpu=tpu"),
        ("--callers", "5", "--machine", "cores=2", "--costs", "missing.json"),
        ("--callers", "5", "--machine", "cores=2", "--json", "missing/plan.json"),
    ],
)
def test_bad_input_is_one_line(assistant: Command, costs_file: Path, words: tuple[str, ...]) -> None:
    given = () if "--costs" in words else ("--costs", str(costs_file))
    ended = assistant("cluster", "plan", *words, *given)
    assert ended.code
    assert ended.out == ""
    assert len(ended.err.splitlines()) == 1


def test_recordings_without_labels_cannot_be_measured(assistant: Command, tmp_path: Path) -> None:
    (tmp_path / "index.json").write_text('[{"file": "a.flac"}]')
    (tmp_path / "a.flac").write_bytes(Path("traces/000.flac").read_bytes())
    ended = assistant("cluster", "measure", str(tmp_path / "costs.json"), str(tmp_path))
    assert ended.code
    assert "labels" in ended.err
    assert len(ended.err.splitlines()) == 1
