"""Verdicts on turns made by hand, and how often they are right of simulated noise."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from noisy_turns import recordings

from assistant.trace.compare import Comparison, Difference, compare, differences
from assistant.trace.compare_table import as_json, summed_up, table
from assistant.trace.errors import TraceError
from assistant.trace.paired import QUANTITIES, Measured

WORK = "tts.first_chunk (work)"
USUAL = dict.fromkeys(QUANTITIES, 0.0) | {name: 40.0 for name in QUANTITIES if name.endswith("(work)")}


def side(name: str, turns: Sequence[Mapping[str, float]], late: float = 0.0) -> Measured:
    """A recording with these turns, each what differs from USUAL."""
    keys = [f"{number:03}.flac" for number in range(len(turns))]
    told = {key: tuple((USUAL | dict(turn)).values()) for key, turn in zip(keys, turns, strict=True)}
    return Measured(
        name, told, dict.fromkeys(keys, ("Yes?",)), dict.fromkeys(keys, ("Yes?", "Yes.")), late, {}
    )


def shifted(values: Sequence[float], quantity: str = WORK) -> list[dict[str, float]]:
    return [{quantity: USUAL[quantity] + value} for value in values]


def of(found: Comparison, quantity: str = WORK) -> Difference:
    return next(each for each in found.differences if each.quantity == quantity)


def against_nothing(values: Sequence[float], **more: Any) -> Comparison:  # noqa: ANN401
    return compare([side("a", [{}] * len(values))], [side("b", shifted(values))], **more)


def test_thirty_more_in_a_hidden_part_names_it_and_not_the_wait() -> None:
    found = against_nothing([30, 31, 29, 30, 32, 28, 30, 30])
    assert found.verdict == "slower" and found.named("slower") == [WORK]
    assert of(found).ms == pytest.approx(30) and of(found).a_ms == 40 and of(found).b_ms == 70
    assert of(found, "ttfa").verdict == "same"
    assert summed_up(found) == f"slower: {WORK}"


def test_thirty_less_is_faster() -> None:
    assert against_nothing([-30, -31, -29, -30, -32, -28, -30, -30]).named("faster") == [WORK]


def test_differences_within_the_margin_are_the_same() -> None:
    values = [3.0, 2.8, 3.2, 3.0, 3.1, 2.9, 3.0, 3.0]
    assert against_nothing(values).verdict == "same"
    assert against_nothing(values, margin_ms=1.0).named("slower") == [WORK]


def test_two_turns_that_were_decided_at_another_window_do_not_count() -> None:
    decided = [0.0, 0.2, -0.2, 0.1, 300.0, -0.1, 0.0, 96.0, 0.1, -0.1]
    found = compare([side("a", [{}] * 10)], [side("b", shifted(decided, "endpoint.wait"))])
    assert of(found, "endpoint.wait").verdict == "same"


def test_a_wide_interval_is_undecided_and_says_how_many_turns_would_do() -> None:
    found = of(against_nothing([-40, 60, -20, 80, 10, -30, 50, 30]))
    assert found.verdict == "undecided" and found.low_ms < 0 < found.high_ms
    half = (found.high_ms - found.low_ms) / 2
    assert found.more_turns == int(np.ceil(8 * (half / found.ms) ** 2)) - 8


def test_five_turns_decide_nothing() -> None:
    found = against_nothing([30.0] * 5)
    assert found.verdict == "undecided" and found.reason == "5 paired turns, and 6 are the least"
    assert "undecided: 5 paired turns" in list(table(found))[-1]


def test_one_turn_has_no_interval() -> None:
    found = against_nothing([30.0])
    assert found.reason == "1 paired turn, and 6 are the least"
    told = as_json(found)["differences"][WORK]
    assert told["low_ms"] is None and told["ms"] == 30
    assert any(line.startswith(WORK) and " - " in line for line in table(found))


def test_a_busy_machine_decides_nothing() -> None:
    values = [30.0] * 8
    found = compare([side("a", [{}] * 8)], [side("b", shifted(values), late=0.05)])
    assert found.verdict == "undecided" and found.reason is not None
    assert found.reason == "a busy machine: b: 5.0% of its frames came a frame late, and 1% is the most"


def test_a_busy_recording_is_left_out_where_there_is_another() -> None:
    noisy = side("noisy", shifted([500.0] * 8), late=0.05)
    found = compare([side("a", [{}] * 8)], [noisy, side("b", shifted([30.0] * 8))])
    assert found.rounds == (1, 1) and of(found).ms == pytest.approx(30)
    assert found.notes[0].startswith("left out: noisy: 5.0%")


def test_rounds_are_averaged_turn_by_turn() -> None:
    first, second = side("b1", shifted([20.0] * 8)), side("b2", shifted([40.0] * 8))
    found = of(compare([side("a", [{}] * 8)], [first, second]))
    assert found.ms == pytest.approx(30) and found.repeat_ms == pytest.approx(20)
    assert found.verdict == "slower"


def test_what_the_same_code_differs_by_is_no_verdict() -> None:
    first, second = side("b1", shifted([0.0] * 8)), side("b2", shifted([60.0] * 8))
    found = of(compare([side("a", [{}] * 8)], [first, second]))
    assert (found.ms, found.repeat_ms, found.verdict) == (pytest.approx(30), pytest.approx(60), "undecided")


def test_a_machine_that_slows_all_parts_by_one_factor_is_no_verdict() -> None:
    slow = [{name: 60.0 for name in QUANTITIES if name.endswith("(work)")}] * 8
    found = compare([side("a", [{}] * 8)], [side("b", slow)])
    assert found.verdict == "undecided" and of(found).ms == pytest.approx(20)
    assert of(found).high_ms - of(found).ms >= 20, "half of 40 ms is what the machine explains"
    assert found.notes == ("the work of all parts is +50%: the machine, or all of the code",)
    again = compare([side("a", [{}] * 8)] * 2, [side("b", slow)] * 2)
    assert again.verdict == "slower", "and repeated runs tell the machine from the code"


def test_a_turn_that_one_round_did_not_answer_is_told_of_the_others() -> None:
    part = side("b1", shifted([30.0] * 8))
    part = replace(part, turns=dict(list(part.turns.items())[1:]))
    found = compare([side("a", [{}] * 8)], [part, side("b2", shifted([30.0] * 8))])
    assert len(found.turns) == 8 and of(found).ms == pytest.approx(30)


def test_a_turn_that_one_side_did_not_answer_is_not_compared() -> None:
    a = side("a", [{}] * 8)
    found = compare([a], [replace(a, name="b", turns=dict(list(a.turns.items())[1:]))])
    assert len(found.turns) == 7
    assert "not answered by both, so not compared: 000.flac of A" in found.notes


def test_other_words_and_settings_are_told() -> None:
    a = side("a", [{}] * 8)
    b = replace(
        a, name="b", words=a.words | {"003.flac": ("Guess?", "Yes.")}, settings={"turn.prepare_ms": 96}
    )
    found = compare([replace(a, settings={"turn.prepare_ms": 64})], [b])
    assert "other words understood or replied in 1 of 8 turns: 003.flac" in found.notes
    assert "turn.prepare_ms is not the same: 64 in A, 96 in B" in found.notes


def test_recordings_of_other_clips_are_refused() -> None:
    a = side("a", [{}] * 8)
    renamed = replace(a, name="b", turns={f"x{key}": turn for key, turn in a.turns.items()}, clips={})
    with pytest.raises(TraceError, match=r"^b: no turn in common with a: x000\.flac, not 000\.flac$"):
        compare([a], [renamed])
    with pytest.raises(TraceError, match=r"^b: 002\.flac is another clip than in a$"):
        compare([a], [replace(a, name="b", clips=dict(a.clips) | {"002.flac": ("No?",)})])


def test_the_same_code_is_hardly_ever_called_different() -> None:
    rng = np.random.default_rng(1)
    wrong = 0
    for _ in range(20):
        found = differences(recordings(rng, 20, 1), recordings(rng, 20, 1), 5.0)
        wrong += any(each.verdict in ("slower", "faster") for each in found)
    assert wrong <= 1


def test_thirty_more_in_a_part_is_found_in_twenty_turns() -> None:
    rng = np.random.default_rng(2)
    right = 0
    for _ in range(20):
        slow = recordings(rng, 20, 1, slower_ms={"tts.first_chunk": 30.0})
        found = {each.quantity: each.verdict for each in differences(recordings(rng, 20, 1), slow, 5.0)}
        right += found[WORK] == "slower"
    assert right >= 19
