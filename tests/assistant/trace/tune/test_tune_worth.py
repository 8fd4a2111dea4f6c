"""What settings are worth by the kind of pause, on turns whose figures are known on paper."""

import pytest

from assistant.trace.tune.outcome import Outcome
from assistant.trace.tune.plot import plot
from assistant.trace.tune.worth import ALL, WITH_PAUSES, WITHOUT, by_pauses, lines

TURNS = [
    Outcome("a", 200.0, cut_in=False),
    Outcome("b", 400.0, cut_in=False, pauses=("list",)),
    Outcome("c", None, cut_in=True, kind="list", pauses=("list", "filler")),
    Outcome("d", None, cut_in=False, pauses=("filler", "filler")),
]


def test_a_turn_counts_once_with_each_kind_of_its_pauses() -> None:
    found = by_pauses(TURNS, 0)
    assert list(found) == [ALL, WITH_PAUSES, WITHOUT, "filler", "list"]
    assert [(of.cut, of.turns) for of in found.values()] == [(1, 4), (1, 3), (0, 1), (1, 2), (1, 2)]
    assert [of.mean_ms for of in found.values()] == [300, 400, 200, None, 400]
    assert found[ALL].p95_ms is not None and found[ALL].p95_ms.value == pytest.approx(390)
    assert found["filler"].p50_ms is None, "one is cut into, and one is never answered"


def test_without_pauses_there_are_no_groups_of_them() -> None:
    assert list(by_pauses(TURNS[:1], 0)) == [ALL, WITHOUT]


def test_the_table_has_a_row_for_each_setting_in_each_group() -> None:
    found = by_pauses(TURNS, 0)
    text = list(lines({"one": found, "another": found}))
    assert text[:2] == ["  0: one", "  1: another"]
    assert sum(line.startswith("  another ") for line in text) == len(found)
    of_all = next(line for line in text if line.startswith("  one "))
    assert " ".join(of_all.split()[1:]) == "300 (200 to 400) 390 (200 to 400) 1 of 4 (5% to 70%)"  # Wilson's


def test_a_plot_has_its_marks_where_they_belong() -> None:
    """Short waits are left, few cuts are low."""
    rows = list(plot([("a", 100, 0.5), ("b", 300, 0.0), ("c", 200, 0.25)], "note"))
    at = {mark: (y, row.index(mark)) for y, row in enumerate(rows[:16]) for mark in "abc" if mark in row}
    assert at["a"] == (0, 8) and at["b"] == (15, 8 + 63)
    assert at["c"][0] in (7, 8) and at["c"][1] in (8 + 31, 8 + 32)
    assert rows[0].startswith("   50% |") and rows[-1].endswith("note")
