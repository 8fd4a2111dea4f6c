"""That `python -m tests.mutations` does not rot: two of its edits on a trace that was made by hand."""

import ast
from pathlib import Path

import pytest

from assistant.commands.trace_runs import run_gate
from tests.assistant.hand_trace import write
from tests.edits import HARMLESS, MUTATIONS, Change, Edit, edited
from tests.mutations import ROOT, Ran, gate, is_right


@pytest.mark.parametrize("edit", [*MUTATIONS, *HARMLESS], ids=lambda edit: edit.name)
def test_an_edit_still_finds_its_place(edit: Edit):
    for path, text in edited(edit, ROOT).items():
        ast.parse(text)
        assert text != path.read_text(encoding="utf-8")


def test_an_edit_that_finds_another_number_of_places_is_refused(tmp_path: Path):
    (tmp_path / "a.py").write_text("x = 1\nx = 1\n")
    with pytest.raises(ValueError, match=r"a\.py has 2 times, not 1: x = 1"):
        edited(Edit("e", (Change("a.py", "x = 1", "x = 2"),)), tmp_path)
    (text,) = edited(Edit("e", (Change("a.py", "x = 1", "x = 2", 2),)), tmp_path).values()
    assert text == "x = 2\nx = 2\n"


def test_the_gate_catches_a_slower_voice_and_passes_another_name(tmp_path: Path):
    """30 ms more for the chunk, of which the 20 ms in front of it hide nothing any more; see `hand_trace`."""
    write(tmp_path / "t")
    run_gate([tmp_path], tmp_path / "baseline.json", update=True, strict=True)
    slower, renamed = MUTATIONS[0], HARMLESS[0]
    ran = gate(slower, tmp_path)
    assert (ran.code, ran.first) == (1, "tts.first_chunk in 1 of 1 turns, +30.0 ms")
    assert ran.named == {"ttfa": 1, "tts.first_chunk": 1}
    assert is_right(slower, ran)
    passed = gate(renamed, tmp_path)
    assert is_right(renamed, passed), passed
    assert not is_right(slower, passed) and not is_right(renamed, ran)


def test_another_part_first_is_not_right():
    ran = Ran(1, "worse first: llm.prefill in 9 of 10 turns, +2.0 ms; tts.first_chunk in 1 of 10 turns\n", "")
    assert is_right(Edit("e", (), "llm.prefill"), ran)
    assert not is_right(Edit("e", (), "tts.first_chunk"), ran)
    assert not is_right(Edit("e", (), "llm.prefill"), Ran(2, ran.out, ""))
