"""The gate: it names the turn and the part that moved, and takes nothing that it does not know."""

import json
from pathlib import Path
from typing import Any

import pytest
from hand_trace import slower_voice, write
from test_trace_simulate import simulated

from assistant.session.parts import PARTS
from assistant.trace.causes import grown_ms
from assistant.trace.errors import TraceError
from assistant.trace.gate import compare, measured, read_baseline, table, with_budgets, worse_first


@pytest.fixture
def now(tmp_path: Path) -> dict[str, Any]:
    return measured([simulated(write(tmp_path / "t"))])


def slower_by_30(folder: Path) -> dict[str, Any]:
    """With 30 ms more for the first chunk of speech."""
    return measured([simulated(write(folder / "slow" / "t", slower_voice(30)))])


def test_what_did_not_change_passes(now: dict[str, Any]) -> None:
    assert compare(now, with_budgets(now, None), Path("b")) == []
    assert list(table([])) == []


def test_a_slower_part_is_named_with_its_turn(now: dict[str, Any], tmp_path: Path) -> None:
    baseline = with_budgets(now, None)
    moved = compare(slower_by_30(tmp_path), baseline, Path("b"))
    # 302 ms were waited before, so the budget is the next ten, 310; 332 ms are beyond it
    assert [(each.turn, each.part, each.before, each.after) for each in moved] == [
        ("t/yes.flac", "ttfa", "302.0", "332.0"),
        ("t/yes.flac", "tts.first_chunk", "20.0", "50.0"),
        ("all turns, p50", "ttfa", "budget 310", "332.0"),
        ("all turns, p95", "ttfa", "budget 310", "332.0"),
    ]
    assert all(each.fails for each in moved)


def test_a_faster_part_is_told_and_passes(now: dict[str, Any], tmp_path: Path) -> None:
    moved = compare(now, with_budgets(slower_by_30(tmp_path), None), Path("b"))
    assert [(each.part, each.fails) for each in moved] == [("ttfa", False), ("tts.first_chunk", False)]


def test_hidden_work_that_grows_fails(now: dict[str, Any]) -> None:
    before = json.loads(json.dumps(with_budgets(now, None)))
    before["traces"]["t"]["yes.flac"]["parts"]["asr.final"] = [0.0, 80.0]
    (moved,) = compare(now, before, Path("b"))
    assert (moved.part, moved.before, moved.after, moved.fails) == (
        "asr.final (hidden)",
        "80.0",
        "100.0",
        True,
    )


def test_other_words_fail(now: dict[str, Any]) -> None:
    before = json.loads(json.dumps(with_budgets(now, None)))
    before["traces"]["t"]["yes.flac"]["heard"] = "No."
    (moved,) = compare(now, before, Path("b"))
    assert (moved.part, moved.before, moved.after, moved.fails) == ("heard", "No.", "Yes.", True)


def worse(now: dict[str, Any], before: dict[str, Any]) -> str:
    return worse_first(now, before, compare(now, before, Path("b")))


def test_the_own_time_of_each_part(now: dict[str, Any]) -> None:
    """As worked out by hand: the final pass begins at 1042 ms, 82 after the voice; see `hand_trace`."""
    nothing = {"ttfa": 0.0, "parts": {part: [0.0, 0.0] for part in PARTS}}
    grown = [(part, ms) for part, ms in grown_ms(nothing, now["traces"]["t"]["yes.flac"]) if ms > 0.01]
    assert grown == [
        ("asr.final (begins)", pytest.approx(82, abs=0.01)),
        ("asr.final", pytest.approx(100, abs=0.01)),
        ("llm.prefill", pytest.approx(50, abs=0.01)),
        ("llm.first_token", pytest.approx(20, abs=0.01)),
        ("tts.first_chunk", pytest.approx(30, abs=0.01)),
        ("endpoint.wait", pytest.approx(262, abs=0.01)),
        ("playback.start", pytest.approx(20, abs=0.01)),
    ]


def test_what_got_worse_first_is_told_last(now: dict[str, Any], tmp_path: Path) -> None:
    baseline = with_budgets(now, None)
    slower = slower_by_30(tmp_path)
    assert worse(slower, baseline) == "worse first: tts.first_chunk in 1 of 1 turns, +30.0 ms"
    assert worse(now, with_budgets(slower, None)) == ""
    # Before, the transcript took 40 ms less, so that the speech was there 20 ms before the release.
    before = json.loads(json.dumps(baseline))
    parts = before["traces"]["t"]["yes.flac"]["parts"]
    parts["asr.final"] = [0.0, 60.0]
    parts["tts.first_chunk"] = [0.0, 30.0]
    before["traces"]["t"]["yes.flac"]["ttfa"] = 282.0
    parts["playback.start"] = [20.0, 20.0]
    moved = [each.part for each in compare(now, before, Path("b")) if each.fails]
    assert moved == ["ttfa", "asr.final (hidden)", "tts.first_chunk"]
    assert worse(now, before) == "worse first: asr.final in 1 of 1 turns, +40.0 ms"


def test_words_and_losses_are_told_where_no_part_grew(now: dict[str, Any]) -> None:
    before = json.loads(json.dumps(with_budgets(now, None)))
    before["traces"]["t"]["yes.flac"]["heard"] = "No."
    assert worse(now, before) == "worse first: heard in 1 of 1 turns"
    lossy = {**now, "lost": {"t": {"dropped_frames": 4, "failures": 0}}}
    (lost,) = compare(lossy, with_budgets(now, None), Path("b"))
    assert (lost.turn, lost.part, lost.before, lost.after, lost.fails) == (
        "t",
        "dropped_frames",
        "0",
        "4",
        True,
    )
    assert worse(lossy, with_budgets(now, None)) == "worse first: dropped_frames in t"


def test_an_update_keeps_the_budgets(now: dict[str, Any]) -> None:
    before = {**with_budgets(now, None), "budgets": {"llm.queue": {"p95": 5}}}
    assert with_budgets(now, before)["budgets"] == {"llm.queue": {"p95": 5}}


def test_a_baseline_for_other_traces_is_refused(now: dict[str, Any]) -> None:
    other = {**with_budgets(now, None), "traces": {"u": {}}}
    with pytest.raises(TraceError, match=r"b: is for other traces: it has no turn t/yes\.flac"):
        compare(now, other, Path("b"))
    with pytest.raises(TraceError, match=r"no trace has its turn t/yes\.flac"):
        compare({**now, "traces": {}}, with_budgets(now, None), Path("b"))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"format": 2}, "is of format 2"),
        ({"budgets": {"tts.frist_chunk": {"p50": 3}}}, "'tts.frist_chunk', which is no part"),
        ({"budgets": {"ttfa": {"p99": 3}}}, "p50 and p95"),
        ({"budgets": {"ttfa": {"p50": "3"}}}, "p50 and p95"),
        ({"traces": {"t": {"yes.flac": {}}}}, "t/yes.flac is no turn"),
        ({"traces": []}, "is no baseline"),
    ],
)
def test_a_baseline_that_cannot_be_used(
    now: dict[str, Any], tmp_path: Path, change: dict[str, Any], message: str
) -> None:
    path = tmp_path / "baseline.json"
    path.write_text(json.dumps({**with_budgets(now, None), **change}))
    with pytest.raises(TraceError) as error:
        read_baseline(path)
    assert message in str(error.value) and str(path) in str(error.value) and "\n" not in str(error.value)


def test_an_update_takes_the_budgets_of_an_earlier_version(now: dict[str, Any], tmp_path: Path) -> None:
    path = tmp_path / "baseline.json"
    earlier = {**now, "traces": {"t": {"yes.flac": {}}}, "budgets": {"llm.queue": {"p95": 5}}}
    path.write_text(json.dumps(earlier))
    before = read_baseline(path, budgets_only=True)
    assert with_budgets(now, before) == {**now, "budgets": {"llm.queue": {"p95": 5}}}


def test_no_baseline(tmp_path: Path) -> None:
    with pytest.raises(TraceError, match="No such file"):
        read_baseline(tmp_path / "none.json")
    (tmp_path / "half.json").write_text('{"format": 1, "bud')
    with pytest.raises(TraceError, match="is no baseline"):
        read_baseline(tmp_path / "half.json")
