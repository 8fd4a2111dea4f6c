"""Sweeps over traces written by hand, of which the best settings are known on paper; see `hand_trace`."""

import json
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import NoReturn

import pytest
from hand_trace import (
    ANSWERED_MS,
    PAUSE_IS_COMPLETE,
    PAUSED_END_MS,
    VOICE_END_MS,
    lines,
    paused_lines,
    write,
)

from assistant import cli
from assistant.trace.errors import TraceError
from assistant.trace.pauses import NO_PAUSE, UNLABELLED
from assistant.trace.simulate import WhatIf, simulate
from assistant.trace.trace import RecordedSession, Trace, read_trace
from assistant.trace.tune.curve import curve
from assistant.trace.tune.curve import lines as curve_lines
from assistant.trace.tune.draw import lines as drawn
from assistant.trace.tune.outcome import Outcome
from assistant.trace.tune.settings import Range, points, ranges_of, toml
from assistant.trace.tune.sweep import Sweep, together
from assistant.trace.tune.tune import Plan, Tuned, as_json, tune
from assistant.trace.tune.worth import WITHOUT
from assistant.trace.unrecorded import Unrecorded

WAIT_MS = 2062 + 20 - PAUSED_END_MS
"""The window that ends 256 ms after the voice comes at 2060, is known at 2062, and the sink takes 20 ms."""


AFTER_SILENCE = 'turn.detection="silence",turn.silence_ms=400'


class ModelsWantedError(Exception):
    """The real models were asked for."""


def no_models() -> NoReturn:
    raise ModelsWantedError


def swept(*traces: Trace) -> Sweep:
    return Sweep(traces, lambda trace: Unrecorded(trace.folder, no_models, sessions=1))


def paused(folder: Path, count: int = 1, kind: str | None = "list") -> list[Trace]:
    return [
        read_trace(write(folder / f"p{number}", paused_lines(f"Sentence {number}?", kind)))
        for number in range(count)
    ]


def everywhere(text: str) -> bool:
    return bool(text)


def test_a_turn_is_cut_into_until_the_threshold_is_above_what_the_pause_reads(tmp_path: Path) -> None:
    """A patience of 0.5 (2) is passed by the words, 0.75 (3) with the sound and 320 ms: 2.864 + 0.155.
    0.9 (3.6) and 1 (4) are not passed in the pause.
    """
    sweep = swept(*paused(tmp_path))
    outcomes = [sweep.outcomes({"patience": of}, everywhere) for of in (0.5, 0.75, 0.9, 1)]
    reached: tuple[str, ...] = ("list", NO_PAUSE)
    cut = Outcome("sentence 0", None, cut_in=True, kind="list", reached=reached, pauses=("list",))
    waited = Outcome(
        "sentence 0", pytest.approx(WAIT_MS, abs=0.01), cut_in=False, reached=reached, pauses=("list",)
    )
    assert outcomes == [[cut], [cut], [waited], [waited]]
    assert (sweep.simulations, sweep.spared) == (3, 1)  # the last is the same as the one before
    assert (sweep.failures, sweep.asked) == (0, {})


def test_what_is_spared_is_what_a_whole_simulation_gives(tmp_path: Path) -> None:
    """Settings drawn over all ranges, in both traces: wait and cut-in are those of `simulate`."""
    traces = [*paused(tmp_path), read_trace(write(tmp_path / "yes", lines()))]
    sweep, present = swept(*traces), traces[0].config.turn
    ranges = ranges_of(["turn.patience=0:1", "turn.max_silence_ms=450:900", "turn.min_silence_ms=200:400"])
    for settings in points(ranges, 6, 0, present):
        found = sweep.outcomes(settings, everywhere)
        turn = replace(present, **settings)
        for trace, outcome in zip(traces, found, strict=True):
            config = replace(trace.config, turn=turn)
            (whole,) = simulate(trace, no_models, WhatIf(config=config)).turns
            assert outcome.cut_in == (whole.false_starts > 0)
            if not outcome.cut_in:
                assert outcome.wait_ms == pytest.approx(whole.ttfa_ms, abs=0.01)
    assert sweep.spared > 0
    assert sweep.simulations + sweep.spared == 2 * 7


@pytest.mark.parametrize("kind", ["filler", None])
def test_a_pause_without_a_kind_is_unlabelled(tmp_path: Path, kind: str | None) -> None:
    (outcome,) = swept(*paused(tmp_path, kind=kind)).outcomes({}, everywhere)
    assert outcome.kind == (kind or UNLABELLED)


def test_a_cut_outside_of_pauses(tmp_path: Path) -> None:
    """The label says that the speaker went on where the trace has silence, with no pause."""
    late = [{**line, "speech_end_sample": 1500 * 16} if line["is"] == "clip" else line for line in lines()]
    (outcome,) = swept(read_trace(write(tmp_path / "t", late))).outcomes({}, everywhere)
    assert outcome == Outcome("yes", None, cut_in=True, kind=NO_PAUSE, reached=(NO_PAUSE,))


def tuned(folder: Path, **changes: object) -> tuple[Tuned, Sweep]:
    sweep = swept(*paused(folder, 8))
    plan = replace(Plan(ranges_of(["turn.patience=0.4:1"]), points=6), **changes)  # type: ignore[arg-type]
    return tune(sweep, plan), sweep


def test_the_best_is_chosen_on_one_part_and_judged_on_the_other(tmp_path: Path) -> None:
    found, sweep = tuned(tmp_path)
    for settings, of in zip(found.tried, found.fit, strict=True):
        assert of.cut == (of.turns if 4 * settings["patience"] <= PAUSE_IS_COMPLETE else 0)
    assert found.tried[0] == {"patience": 0.5}
    assert 4 * found.tried[found.chosen]["patience"] > PAUSE_IS_COMPLETE
    fit, judged = found.fit[0].turns, found.present.figures.turns
    assert fit + judged == 8 and fit and judged
    assert found.present.by_kind == {"list": (judged, judged), NO_PAUSE: (0, judged)}
    assert found.after.by_kind == {"list": (0, judged), NO_PAUSE: (0, judged)}
    assert found.gain.value == pytest.approx(WAIT_MS - 3000, abs=0.01)
    assert found.is_better
    text = list(drawn(found, sweep))
    assert text[-2:] == toml(found.tried[found.chosen]).splitlines()
    assert text[-3].startswith("The chosen settings are better: -2710 ms a turn")
    fit_part = next(index for index, line in enumerate(text) if "(not the result)" in line)
    judged_part = next(index for index, line in enumerate(text) if "turns to judge on" in line and index)
    assert fit_part < judged_part
    rows = [line.split() for line in text[fit_part:judged_part] if "patience=" in line]
    assert [row[0] for row in rows] == ["present", "chosen"]
    assert rows[0][1:7] == ["-", "-", "-", str(fit), "of", str(fit)]
    assert rows[1][1:7] == ["290", "290", "290", "0", "of", str(fit)]


def test_one_sentence_is_never_in_both_parts(tmp_path: Path) -> None:
    """Each is said three times, in other spelling: both parts have three turns of each."""
    texts = [spelt for text in ("one", "two", "three") for spelt in (text, text.upper(), f"{text}!")]
    written = [write(tmp_path / f"t{number}", paused_lines(text)) for number, text in enumerate(texts)]
    sweep = swept(*map(read_trace, written))
    found = tune(sweep, Plan(ranges_of(["turn.patience=0.9:1"]), points=1, seed=2))
    fit, judged = found.fit[0].turns, found.present.figures.turns
    assert (fit, judged) == (3, 6)


def test_where_to_be_cut_into_costs_less_than_to_wait_the_present_is_kept(tmp_path: Path) -> None:
    found, sweep = tuned(tmp_path, cut_ms=100.0)
    assert found.chosen == 0 and not found.is_better
    assert "Keep the present settings: none that was tried costs less" in "\n".join(drawn(found, sweep))


def test_the_same_twice(tmp_path: Path) -> None:
    (one, swept_once), (two, swept_again) = (tuned(tmp_path / name, points=2) for name in "ab")
    assert list(drawn(one, swept_once)) == list(drawn(two, swept_again))
    assert json.dumps(as_json(one, swept_once)) == json.dumps(as_json(two, swept_again))


def test_given_settings_are_judged_on_all_turns_by_the_kind_of_pause(tmp_path: Path) -> None:
    """The pause lasts longer than 400 ms, and patience 0.5 takes it for the end: see above."""
    traces = [*paused(tmp_path, 3), read_trace(write(tmp_path / "yes", lines()))]
    sweep, at = swept(*traces), ["turn.patience=0.5", "turn.patience=0.9", AFTER_SILENCE]
    found = curve(sweep, at, 0)
    assert list(found) == at
    assert [found[of]["list"].cut for of in at] == [3, 0, 3]
    assert [found[of][WITHOUT].turns for of in at] == [1, 1, 1]
    assert found["turn.patience=0.9"]["list"].mean_ms == pytest.approx(WAIT_MS, abs=0.01)
    text = list(curve_lines(found, sweep))
    assert text[0] == "4 turns; with 95 % intervals"
    assert text[-3].split()[-6:] == ["3", "of", "3", "(44%", "to", "100%)"]  # Wilson's


def test_points_lie_in_their_ranges_and_are_possible(tmp_path: Path) -> None:
    present = paused(tmp_path)[0].config.turn
    ranges = ranges_of(
        ["turn.min_silence_ms=200:900", "turn.max_silence_ms=400:1000", "turn.patience=0.2:0.7"]
    )
    first, *drawn_points = points(ranges, 30, 0, present)
    assert first == {"min_silence_ms": 250, "max_silence_ms": 1600, "patience": 0.5}
    for point in drawn_points:
        assert 200 <= point["min_silence_ms"] < point["max_silence_ms"] <= 1000
        assert 0.2 <= point["patience"] <= 0.7
        assert isinstance(point["min_silence_ms"], int)
    assert len({tuple(point.values()) for point in drawn_points}) == 30
    never = ranges_of(["turn.min_silence_ms=2000:3000"])
    with pytest.raises(TraceError, match="max_silence_ms is not above min_silence_ms"):
        points(never, 3, 0, present)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("turn.patients=0:1", "'turn.patients': no such number in [turn]; did you mean 'turn.patience'?"),
        ("turn.detection=2:5", "'turn.detection': no such number in [turn]"),
        ("turn.patience=0", "'turn.patience=0': should be like turn.patience=LOW:HIGH"),
        ("turn.patience=0.8:0.2", "should go from a number to a greater one"),
        ("turn.patience=0:inf", "should go from a number to a greater one"),
        ("turn.patience=0.5:2", "'turn.patience=0.5:2': patience must be 0 to 1, not 2"),
        ("turn.patience=-0.5:1", "patience must be 0 to 1, not -0.5"),
        ("turn.min_silence_ms=-5:100", "a time is not negative"),
    ],
)
def test_ranges_that_cannot_be_tried(text: str, message: str) -> None:
    with pytest.raises(TraceError) as error:
        ranges_of([text])
    assert message in str(error.value)


def test_ranges() -> None:
    assert ranges_of(["turn.patience=0:0.5"]) == [Range("patience", 0, 0.5, whole=False)]
    with pytest.raises(TraceError, match=r"turn\.patience: is given twice"):
        ranges_of(["turn.patience=0:0.5", "turn.patience=0.3:0.4"])


def test_sessions_that_overlapped_are_one_group() -> None:
    sessions = [
        RecordedSession(name, at, [(end, end, 320)])
        for name, at, end in (("c", 30, 40), ("a", 0, 10), ("b", 5, 30), ("d", 35, 36))
    ]
    assert [[each.name for each in group] for group in together(sessions)] == [["a", "b"], ["c", "d"]]


def unlabelled(folder: Path) -> Path:
    clip = {"speech_end_sample": None}
    return write(folder, [{**line, **clip} if line["is"] == "clip" else line for line in lines()])


@pytest.mark.parametrize(
    ("made", "words", "message"),
    [
        (unlabelled, [], "no clip in these traces says when its speaker was done"),
        (write, [], "1 turns with 1 sentences leave none to "),
        (write, ["--fit-share", "0"], "leave none to choose on"),
        (write, ["--over", "turn.patiens=0:1"], "did you mean 'turn.patience'?"),
        (unlabelled, ["--at", "turn.patience=0"], "no clip in these traces says when its speaker was done"),
        (write, ["--at", "turn.patience"], "--at 'turn.patience': should be like turn.patience=0.5"),
        (write, ["--at", "turn.patiens=0"], "did you mean 'patience'?"),
        (write, ["--at", "turn.patience=2"], "patience"),
        (write, ["--at", "turn=5"], "--at 'turn=5': only keys of [turn] can be tried"),
        (write, ["--at", "llm.sessions=2"], "only keys of [turn] can be tried"),
    ],
)
def test_bad_input_is_one_line(
    made: Callable[[Path], Path],
    words: list[str],
    message: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    report = tmp_path / "report.json"
    command = ["assistant", "trace", "tune", str(made(tmp_path / "t")), "--json", str(report), *words]
    monkeypatch.setattr(sys, "argv", command)
    with pytest.raises(SystemExit) as caught:
        cli.main()
    said = capsys.readouterr()
    assert caught.value.code == 2 and said.out == "" and not report.exists()
    assert message in said.err and said.err.count("\n") == 1


def test_other_settings_in_one_of_the_traces(tmp_path: Path) -> None:
    (one,) = paused(tmp_path)
    config = replace(one.config, turn=replace(one.config.turn, patience=0.6))
    with pytest.raises(TraceError, match=r"has another \[turn\] than p0"):
        swept(one, replace(one, config=config))
    silent = replace(one.config, turn=replace(one.config.turn, detection="silence"))
    with pytest.raises(TraceError, match="do not end by words and sound"):
        swept(replace(one, config=silent))


assert ANSWERED_MS - VOICE_END_MS > 256, "the shortest wait of the other trace is its silence"
