"""The report of a replay, worked out by hand from turns made up for it."""

import json
from dataclasses import replace
from pathlib import Path

import pytest

from assistant.session.parts import PARTS, Part
from assistant.trace.pauses import NO_PAUSE
from assistant.trace.replay import Replay
from assistant.trace.summary import (
    ReportError,
    quantiles,
    report,
    summary,
    turn_taking,
    turn_taking_lines,
    write_json,
)
from assistant.trace.turns import FalseStart, ReplayedTurn


def turn(
    waits: dict[str, float] | None, reference: str | None = "stop", transcript: str = "Stop."
) -> ReplayedTurn:
    parts = () if waits is None else tuple(Part(name, waits.get(name, 0.0), 0.0) for name in PARTS)
    return ReplayedTurn(
        file="000.flac",
        reference=reference,
        transcript=transcript,
        reply="" if waits is None else "Fine.",
        ttfa_ms=sum(part.ms for part in parts) if parts else None,
        parts=parts,
        interrupted=False,
        heard="",
        underruns=0,
    )


def test_quantiles_by_hand() -> None:
    assert quantiles([]) == {"p50": None, "p95": None}
    assert quantiles([7]) == {"p50": 7, "p95": 7}
    # Of 21 values the 95th percentile is the 20th, of 2 it lies 95 % of the way between them.
    assert quantiles(list(range(21))) == {"p50": 10, "p95": 19}
    assert quantiles([100, 200]) == {"p50": 150, "p95": pytest.approx(195)}


def test_times_are_those_of_the_turns_that_were_answered() -> None:
    turns = (
        turn({"endpoint.wait": 300, "asr.final": 100}),
        turn({"endpoint.wait": 500, "tts.first_chunk": 20}),
        turn(None, transcript=""),
        turn({"endpoint.wait": 400}),
    )
    numbers = summary(Replay(turns, (), 0))
    assert (numbers["turns"], numbers["replies"]) == (4, 3)
    assert numbers["ttfa_ms"] == {"p50": 400, "p95": pytest.approx(508)}  # of 400, 520 and 400
    assert numbers["endpoint.wait"] == {"p50": 400, "p95": pytest.approx(490)}
    assert numbers["asr.final"] == {"p50": 0, "p95": pytest.approx(90)}
    assert numbers["playback.start"] == {"p50": 0, "p95": 0}


def test_a_part_that_is_negative_counts_as_it_is() -> None:
    numbers = summary(Replay((turn({"endpoint.wait": -40, "asr.final": 100}),), (), 0))
    assert numbers["ttfa_ms"]["p50"] == 60
    assert numbers["endpoint.wait"]["p50"] == -40


def test_word_errors_are_weighted_by_length_and_unlabelled_turns_left_out() -> None:
    turns = (
        turn({}, "set a timer for ten minutes", "Set a toy for ten minutes."),  # 1 of 6
        turn(None, "stop", ""),  # 1 of 1
        turn({}, None, "whatever this is"),
    )
    assert summary(Replay(turns, (), 0))["wer"] == pytest.approx(2 / 7)
    assert summary(Replay(turns[2:], (), 0))["wer"] is None


def test_rates_and_counts() -> None:
    plain = turn({})
    turns = (replace(plain, underruns=2), plain, replace(plain, underruns=1), plain)
    numbers = summary(Replay(turns, (0.0, 1.0, 14.0), 5, failures=2, sessions=8, cpu=1.5))
    assert numbers["underruns"] == 3
    assert numbers["dropped_frames"] == 5
    assert (numbers["failures"], numbers["sessions"], numbers["cpu_cores"]) == (2, 8, 1.5)
    assert numbers["event_loop_lag_ms"] == {"p50": 1, "p95": pytest.approx(12.7), "max": 14}


def test_turns_are_counted_by_the_pauses_with_their_false_starts() -> None:
    unheard, heard = FalseStart(-900.0, "list", heard=False), FalseStart(-400.0, "list", heard=True)
    elsewhere = FalseStart(-100.0, NO_PAUSE, heard=True)
    plain = turn({"endpoint.wait": 300})
    turns = (
        replace(plain, ready_ms=100.0, pause_kinds=("list", "list"), early=(unheard, heard, heard)),
        replace(plain, ready_ms=-20.0, pause_kinds=("list", "filler"), early=(unheard,), intent="Stop"),
        replace(turn({"endpoint.wait": 400}), ready_ms=200.0, early=(elsewhere,), prepared=3, discarded=2),
        replace(turn(None), prepared=1),
    )
    numbers = turn_taking(turns)
    assert (numbers["turns_with_false_start"], numbers["turns_with_heard_false_start"]) == (3, 2)
    assert numbers["ready_ms"] == {"p50": 100, "p95": pytest.approx(190)}  # of -20, 100 and 200
    assert numbers["without_pause"] == {
        "turns": 2,
        "ttfa_ms": {"p50": 400, "p95": 400},
        "ready_ms": {"p50": 200, "p95": 200},
        "turns_with_false_start": 1,
        "turns_with_heard_false_start": 1,
    }
    assert {kind: tuple(of.values()) for kind, of in numbers["by_pause"].items()} == {
        "filler": (1, 0, 0),
        "list": (2, 2, 1),
        NO_PAUSE: (4, 1, 1),
    }
    assert numbers["speculation"] == {"prepared": 4, "discarded": 2, "discarded_share": 0.5}
    assert list(turn_taking_lines(numbers)) == [
        "reply ready: p50 100 ms, p95 190 ms",
        "answered by skills: 1 turns, time to first audio p50 300 ms, p95 300 ms",
        "false starts in 3 turns, heard in 2: list 1 of 2, no pause 1 of 4",
        "4 replies prepared, 2 of them discarded (50%)",
    ]


def test_nothing_replayed_has_no_numbers() -> None:
    numbers = summary(Replay((), (), 0))
    assert numbers["turns"] == 0
    assert numbers["speculation"]["discarded_share"] is None
    assert list(turn_taking_lines(numbers)) == ["false starts in 0 turns, heard in 0"]
    assert numbers["wer"] is None
    assert numbers["event_loop_lag_ms"]["max"] is None


def test_the_file_has_what_the_issue_asks_for(tmp_path: Path) -> None:
    waits = {"endpoint.wait": 300.25, "llm.prefill": 70.5}
    early = (FalseStart(-512.5, "list", heard=True), FalseStart(-80.0, NO_PAUSE, heard=False))
    replay = Replay((replace(turn(waits), ready_ms=190.5, early=early), turn(None, transcript="")), (1.0,), 0)
    models = [{"name": "smart-turn-v3.2", "sha256": "2bb0"}]
    path = tmp_path / "out.json"
    write_json(path, report(replay, models))
    content = json.loads(path.read_text())
    assert set(content) == {"machine", "models", "turns", "summary"}
    assert content["models"] == models
    answered, silent = content["turns"]
    keys = {"file", "reference", "transcript", "reply", "ttfa_ms", "parts", "interrupted"}
    assert keys <= set(answered)
    numbers = ("false_starts", "heard_false_starts", "ready_ms")
    assert [[told[name] for name in numbers] for told in (answered, silent)] == [[2, 1, 190.5], [0, 0, None]]
    assert answered["early"][0] == {"ms": -512.5, "pause": "list", "heard": True}
    assert [part["name"] for part in answered["parts"]] == list(PARTS)
    assert answered["parts"][0] == {"name": "endpoint.wait", "ms": 300.25, "hidden_ms": 0}
    assert sum(part["ms"] for part in answered["parts"]) == answered["ttfa_ms"] == 370.75
    assert (silent["ttfa_ms"], silent["parts"]) == (None, [])
    gained = {"ready_ms", "turns_with_heard_false_start", "without_pause", "by_pause", "speculation"}
    assert {"turns", "ttfa_ms", "wer", *gained, *PARTS} <= set(content["summary"])


@pytest.mark.parametrize("name", ["none/out.json", "file/out.json", "folder"])
def test_a_file_that_cannot_be_written_is_one_line_and_leaves_nothing(name: str, tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    (tmp_path / "file").write_text("mine")
    with pytest.raises(ReportError) as caught:
        write_json(tmp_path / name, {})
    assert str(caught.value).startswith(f"{tmp_path / name}: cannot be written (")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["file", "folder"]
    assert list((tmp_path / "folder").iterdir()) == []
    assert (tmp_path / "file").read_text() == "mine"


def test_a_report_replaces_the_one_before_it(tmp_path: Path) -> None:
    path = tmp_path / "out.json"
    write_json(path, {"old": "x" * 1000})
    write_json(path, {"new": 1})
    assert json.loads(path.read_text()) == {"new": 1}
    assert list(tmp_path.iterdir()) == [path]
