import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.judge import MAX_ERROR, Ran, error, judge

ROOT = Path(__file__).resolve().parents[1]


@pytest.mark.parametrize(
    ("expected", "heard"),
    [
        ("five minus three equals two", "5 - 3 = 2."),
        ('twelve divided by four equals three (or "over")', "Twelve over four equals three."),
        ("three point ten (or one zero) is newer than three point nine", "3.10 is newer than 3.9."),
        ("five euros and fifty (US) dollars", "Five euros and 50 dollars."),
        ("nine (o'clock) to seventeen (hundred)", "Nine o'clock to seventeen hundred."),
        ("C O two", "C02"),
        ("nine one one", "Call 911."),
        ("... and Henry the eighth", "and Henry the eighth."),
        ('something like: Dial 911 or 800 123 456. (not "no speech")', "Dial 911 or 800 123 456."),
    ],
)
def test_a_reading_that_the_expectation_allows_has_no_error(expected: str, heard: str):
    assert error(expected, heard) == 0


@pytest.mark.parametrize(
    ("expected", "heard"),
    [
        ("five minus three equals two", "five to three equals two"),
        ("the answer is no", "The answer is number."),
        ("nine one one", "911 people"),
        ("queen victoria was born in eighteen nineteen", "Queen the zeroth Victoria"),
        ("minus forty dollars", "forty dollars"),
        ("What is the capital of France?", "no speech"),
    ],
)
def test_another_reading_is_an_error(expected: str, heard: str):
    assert error(expected, heard) >= MAX_ERROR - 1e-9
    assert judge("assistant transcribe o.wav", expected, Ran(0, heard, "")) == "failed"


def test_an_expectation_may_leave_out_what_is_written_and_no_other_word():
    written = "She is 5'7\" and he is 6'2\"."
    short = "five foot seven and six foot two"
    assert error(short, "She is 5 foot 7 and he is 6 foot 2.", written) == 0
    assert error(short, "She is 5 foot 7 and the zeroth he is 6 foot 2.", written) > MAX_ERROR


def test_demands_in_words_are_checked():
    refused = "one line that nothing can be spoken, exit 1"
    assert judge("assistant say x", refused, Ran(1, "", "assistant: nothing to say\n")) == "passed"
    assert judge("assistant say x", refused, Ran(0, "o.wav: 2.0 s\n", "")) == "failed"
    both = "both read it (Ogg Opus)"
    assert (
        judge("assistant replay x; assistant transcribe x", both, Ran(0, "heard: Hi.\nHi.\n", "")) == "passed"
    )
    unread = Ran(0, "Hi.\n", "assistant: x: is not a WAV file\n")
    assert judge("assistant replay x; assistant transcribe x", both, unread) == "failed"
    assert (
        judge("assistant chat", "replies that end with a sentence", Ran(0, "It is.\nSo, which\n", ""))
        == "failed"
    )
    assert (
        judge("assistant chat", "replies that end with a sentence", Ran(0, "It is.\nYes!\n", "")) == "passed"
    )


def test_what_only_a_reader_can_judge_is_not_passed():
    assert judge("assistant chat", "something kind", Ran(0, "Hello.", "")) == "look"
    assert (
        judge("assistant chat", "something kind", Ran(0, "Traceback (most recent call last)", "")) == "failed"
    )
    assert judge("assistant chat", "something kind", Ran(None, "", "")) == "failed"


def test_runs_every_case_of_a_folder(tmp_path: Path):
    cases = [
        {
            "file": "a.txt",
            "command": "cat a.txt # transcribe",
            "expected": "it is five",
            "kind": "k",
            "got": "",
            "source": "",
        },
        {
            "file": "a.txt",
            "command": "echo no # transcribe",
            "expected": "it is five",
            "kind": "k",
            "got": "",
            "source": "",
        },
        {
            "file": "a.txt",
            "command": "sleep 30",
            "expected": "a kind word",
            "kind": "slow",
            "got": "",
            "source": "",
        },
    ]
    (tmp_path / "index.json").write_text(json.dumps(cases))
    (tmp_path / "a.txt").write_text("It is 5.\n")
    command = [sys.executable, "-m", "tests.cases", str(tmp_path), "--timeout", "1"]
    ran = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=60)
    lines = ran.stdout.splitlines()
    assert lines[0] == "passed: a.txt (k)"
    assert lines[1:3] == ["  expected: it is five", "  got:      It is 5. [exit 0]"]
    assert lines[-1] == "passed 1 of 3"
    assert ran.returncode == 1
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.txt", "index.json"]
