"""What is counted of replies that somebody speaks over, on pieces worked out by hand. A sample is 1 ms."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from assistant.audio import ClipError
from assistant.microphone.bench.interruptions import clips_of
from assistant.microphone.bench.over_reply import (
    Outcome,
    is_intact,
    last_audible_ns,
    longest_gap_ms,
    summary,
    table,
)

MS = 1_000_000
STOP = Outcome("a.flac", "stop", "Stop.", 1.5, "Stop.", True, True, False, True, 300.0, None, None, None)
BACK = Outcome("b.flac", "backchannel", "Yeah.", 1.5, "Yeah", True, True, True, False, None, 500.0, True, 0.9)


def piece(start_ms: int, *samples: float) -> tuple[int, np.ndarray]:
    return start_ms * MS, np.array(samples, np.float32)


def test_the_last_audible_sample_is_above_50_db_below_full_scale() -> None:
    assert last_audible_ns([piece(0, 0.5, 0.5), piece(10, 0.5, 0.004, 0.003)], 1000) == 12 * MS
    assert last_audible_ns([piece(0, 0.5, 0.5), piece(10, 0.001)], 1000) == 2 * MS
    assert last_audible_ns([piece(0, 0.001)], 1000) is None


def test_a_gap_is_between_two_pieces() -> None:
    assert longest_gap_ms([piece(5, 1, 1), piece(7, 1), piece(20, 1), piece(24, 1)], 1000) == 12
    assert longest_gap_ms([], 1000) == 0


GIVEN = np.random.default_rng(0).uniform(-1, 1, 1000).astype(np.float32)


@pytest.mark.parametrize(
    ("recorded", "intact"),
    [
        (GIVEN, True),
        (GIVEN * np.linspace(1, 0.125, 1000, dtype=np.float32), True),
        (GIVEN * 0.1, False),
        (GIVEN * 1.01, False),
        (GIVEN[1:], False),
        (np.concatenate([GIVEN[:500], GIVEN[501:], GIVEN[:1]]), False),  # one is lost
        (np.concatenate([GIVEN[:500], GIVEN[499:-1]]), False),  # one is doubled
    ],
)
def test_a_reply_is_intact_if_each_sample_sounds_once_if_quietly(recorded: np.ndarray, intact: bool) -> None:
    assert is_intact(recorded, GIVEN, 0.125) is intact


def test_a_reply_that_is_not_stopped_never_falls_silent() -> None:
    never = replace(STOP, stopped=False, silent_ms=None)
    found = summary([STOP, replace(STOP, silent_ms=400.0), replace(STOP, silent_ms=900.0), never])
    assert found["stop"] == {
        "clips": 4,
        "never": 1,
        "within_350": 0.25,
        "within_700": 0.5,
        "p50": 400.0,
        "p95": pytest.approx(850.0),
        "max": 900.0,
    }
    assert found["takeover"]["within_350"] is None


def test_backchannels_are_counted_by_what_they_did() -> None:
    stopped = replace(BACK, stopped=True, went_on=False, intact=None, held_ms=None)
    ducked = replace(BACK, held=False, went_on=False, held_ms=None)
    found = summary([BACK, stopped, ducked, replace(BACK, intact=False, held_ms=700.0)])
    wanted = {
        "backchannels": 4,
        "backchannels_stopped": 1,
        "backchannels_ducked": 4,
        "backchannels_held": 3,
        "kept": 3,
        "intact": 2,
    }
    assert {key: found[key] for key in wanted} == wanted
    assert found["held_ms"]["p50"] == 600.0


def test_the_table_has_a_row_for_each_kind_and_moment_and_one_for_all() -> None:
    made = table([STOP, replace(STOP, moment_s=0.3), BACK])
    rows = list(zip(*(column.cells for column in made.columns), strict=True))
    assert [row[:3] for row in rows] == [
        ("backchannel", "1.5", "1"),
        ("backchannel", "all", "1"),
        ("stop", "0.3", "1"),
        ("stop", "1.5", "1"),
        ("stop", "all", "2"),
    ]
    assert rows[0][6] == "1 of 1" and rows[-1][7:] == ("300", "300", "100 %", "100 %")


def test_clips_without_a_kind_are_refused(tmp_path: Path) -> None:
    (tmp_path / "index.json").write_text(json.dumps([{"file": "a.flac", "speech_start_sample": 0}]))
    (tmp_path / "a.flac").touch()
    with pytest.raises(ClipError, match="no clip has a kind"):
        clips_of([tmp_path])
