"""Standard streams that are closed, full or in an odd encoding: an answer or one line, never a traceback."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from assistant.commands.standard_streams import is_lost

ROOT = Path(__file__).parents[2]
ASSISTANT = f"{sys.executable} -c 'from assistant.cli import main; main()'"
FULL = pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full")
READS = "What is the capital of France?"


def shell(script: str, tmp_path: Path, **environment: str) -> tuple[int, str, str]:
    """Run a line of sh in which `assistant` is the command, in an empty folder."""
    done = subprocess.run(
        ["sh", "-c", script.replace("assistant", ASSISTANT, 1)],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(ROOT), **environment},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        check=False,
    )
    errors = done.stderr.decode()
    assert "Traceback" not in errors
    assert "Exception ignored" not in errors
    return done.returncode, done.stdout.decode(), errors


@pytest.mark.parametrize("words", ["--help", "--version", "graph", "chat --help"])
@FULL
def test_a_full_output_is_one_line(words: str, tmp_path: Path) -> None:
    ended = shell(f"assistant {words} >/dev/full", tmp_path)
    assert ended == (1, "", "assistant: standard output: No space left on device\n")


@pytest.mark.parametrize("closed", ["<&-", ">&-", "2>&-", "<&- >&- 2>&-"])
def test_closed_streams_are_as_empty_ones(closed: str, tmp_path: Path) -> None:
    code, _, errors = shell(f"assistant graph {closed}", tmp_path)
    assert (code, errors) == (0, "")


@FULL
def test_an_error_is_still_an_error_where_nobody_can_be_told(tmp_path: Path) -> None:
    assert shell("assistant transcribe none.wav 2>/dev/full", tmp_path)[:2] == (1, "")


def test_a_reader_that_goes_ends_it_quietly(tmp_path: Path) -> None:
    code, out, errors = shell("{ assistant graph; echo $? >&2; } | true", tmp_path)
    assert (code, out) == (0, "")
    assert errors in ("1\n", "0\n")  # 0: it was faster


def test_only_what_is_no_file_is_a_standard_stream() -> None:
    full = OSError(28, "No space left on device")
    assert is_lost(full)
    assert is_lost(ExceptionGroup("", [full, ExceptionGroup("", [BrokenPipeError(32, "")])]))
    assert not is_lost(OSError(28, "No space left on device", "report.json"))
    assert not is_lost(ExceptionGroup("", [full, ValueError()]))
    assert not is_lost(FileNotFoundError(2, ""))


@pytest.mark.models
@pytest.mark.parametrize(
    ("script", "code", "reply"),
    [
        ("assistant chat <&-", 0, ""),
        ("printf '%s caf\\303\\251\\n' \"$READS\" | PYTHONIOENCODING=ascii assistant chat", 0, "Paris"),
        ("printf '%s \\377\\n' \"$READS\" | LC_ALL=C assistant chat", 0, "Paris"),
        ("printf '%s\\0\\n' \"$READS\" | assistant chat", 0, "Paris"),
        ("printf '\\357\\273\\277%s\\r\\n' \"$READS\" | assistant chat", 0, "Paris"),
        ("printf '%s\\n' \"$READS\" | assistant chat >/dev/full", 1, ""),
        ("printf '%s\\n' \"$READS\" | assistant chat >&-", 0, ""),
    ],
)
def test_a_typed_conversation_over_odd_streams(script: str, code: int, reply: str, tmp_path: Path) -> None:
    ended = shell(script, tmp_path, READS=READS)
    assert ended[0] == code
    assert reply in ended[1]
    assert ended[2] in ("", "assistant: standard output: No space left on device\n")


@pytest.mark.models
def test_a_recording_from_standard_input(tmp_path: Path) -> None:
    assert shell(f"assistant transcribe - <{ROOT}/traces/000.flac", tmp_path) == (0, f"{READS}\n", "")
    code, _, errors = shell("assistant transcribe -", tmp_path)
    assert (code, errors) == (1, "assistant: -: is empty (0 bytes)\n")


def test_a_text_from_standard_input_and_one_that_begins_with_a_dash(tmp_path: Path) -> None:
    assert shell("echo 'Hello there.' | assistant say - -o a.wav", tmp_path)[0] == 0
    assert shell("assistant say '-5 degrees' -o b.wav", tmp_path)[0] == 0
    assert shell("assistant say -o c.wav -- '-5 degrees'", tmp_path)[0] == 0
    assert (tmp_path / "b.wav").read_bytes() == (tmp_path / "c.wav").read_bytes()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.wav", "b.wav", "c.wav"]
