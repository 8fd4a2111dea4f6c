"""`assistant trace record` with a replay that writes by hand: what it puts where, and what it leaves."""

from collections.abc import Callable
from pathlib import Path

import pytest
from ended import Command
from hand_trace import lines, write

from assistant.commands import trace_record
from assistant.trace.trace import read_trace

Replay = Callable[[Path], object]


def held(monkeypatch: pytest.MonkeyPatch, replay: Replay) -> None:
    """Let `replay` write the new trace in place of the models."""
    monkeypatch.setattr(trace_record, "play", lambda *_, record, **__: replay(record))


def other(folder: Path) -> Path:
    """A trace that another machine recorded."""
    return write(folder, cores=3)


def content(folder: Path) -> dict[str, bytes]:
    """All files below a folder, hidden ones too."""
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_a_new_trace_takes_the_place_of_the_old_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, assistant: Command
) -> None:
    held(monkeypatch, other)
    write(tmp_path / "t")
    ended = assistant("trace", "record", tmp_path)
    assert (ended.code, ended.err, ended.out) == (0, "", f"t:\nThe trace is in {tmp_path / 't'}.\n")
    assert content(tmp_path) == {f"t/{name}": of for name, of in content(other(tmp_path / "as")).items()}


def test_a_trace_of_an_earlier_format_is_recorded_anew(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, assistant: Command
) -> None:
    held(monkeypatch, other)
    write(tmp_path / "t", format=1)
    assert assistant("trace", "record", tmp_path).code == 0
    assert read_trace(tmp_path / "t").format == 2


@pytest.mark.parametrize("called", [".", "../link"])
def test_however_its_folder_is_called(
    called: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, assistant: Command
) -> None:
    held(monkeypatch, other)
    (tmp_path / "link").symlink_to(write(tmp_path / "t"))
    monkeypatch.chdir(tmp_path / "t")
    assert assistant("trace", "record", called).code == 0
    assert read_trace(tmp_path / "t").cores == 3
    assert (tmp_path / "link").is_symlink() and read_trace(tmp_path / "link").cores == 3
    assert sorted(path.name for path in tmp_path.iterdir()) == ["link", "t"]


def cut_off(folder: Path) -> None:
    write(folder, end=False)


def interrupted(folder: Path) -> None:
    other(folder)  # with Ctrl-C, what was held so far is a whole trace, too
    raise KeyboardInterrupt


@pytest.mark.parametrize(("replay", "code"), [(cut_off, 2), (interrupted, 130)])
@pytest.mark.parametrize("into", [False, True])
def test_a_recording_that_ends_early_changes_nothing(
    replay: Replay,
    code: int,
    into: bool,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    assistant: Command,
) -> None:
    held(monkeypatch, replay)
    write(tmp_path / "t")
    before = content(tmp_path)
    place = tmp_path / "new" / "t" if into else tmp_path / "t"
    ended = assistant("trace", "record", tmp_path / "t", *(["--into", tmp_path / "new"] if into else []))
    assert ended.code == code and "The trace is in" not in ended.out
    if code == 2:
        assert ended.err == f"assistant: {place}: is not written: the recording ended early\n"
    assert content(tmp_path) == before


def test_two_at_once_in_one_place(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, assistant: Command
) -> None:
    """The second begins and ends while the first is held; each puts a whole trace there."""
    write(tmp_path / "t")

    def first(folder: Path) -> None:
        held(monkeypatch, other)
        trace_record.run_record([tmp_path / "t"], None)
        assert read_trace(tmp_path / "t").cores == 3
        write(folder, cores=5)

    held(monkeypatch, first)
    assert assistant("trace", "record", tmp_path / "t").code == 0
    assert read_trace(tmp_path / "t").cores == 5
    assert [path.name for path in tmp_path.iterdir()] == ["t"]


def test_a_move_that_fails_puts_the_old_trace_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, assistant: Command
) -> None:
    held(monkeypatch, other)
    write(tmp_path / "t")
    before, rename = content(tmp_path), Path.rename

    def refused(path: Path, to: Path) -> Path:
        if path.name == "new":
            raise OSError(28, "No space left on device")
        return rename(path, to)

    monkeypatch.setattr(Path, "rename", refused)
    ended = assistant("trace", "record", tmp_path)
    assert (ended.code, ended.err.count("\n")) == (2, 1) and "No space left on device" in ended.err
    assert content(tmp_path) == before


def test_what_cannot_be_put_anywhere_is_refused_before_anything_is_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, assistant: Command
) -> None:
    held(monkeypatch, other)
    new, twice = tmp_path / "new", (write(tmp_path / "a" / "t"), write(tmp_path / "b" / "t"))
    ended = assistant("trace", "record", *twice, "--into", new)
    assert ended == (2, "", f"assistant: {new / 't'}: two traces would be recorded there\n")
    (new / "t").mkdir(parents=True)
    ended = assistant("trace", "record", write(tmp_path / "s"), twice[0], "--into", new)
    assert ended == (2, "", f"assistant: {new / 't'}: is there already\n")
    ended = assistant("trace", "record", twice[0], "--into", twice[0] / "meta.json")
    assert (ended.code, ended.err.count("\n")) == (2, 1)
    assert list(content(new)) == []


@pytest.mark.parametrize(("file", "code"), [("", 0), ("..", 0), ("x" * 300, 2)])
def test_a_clip_whose_name_is_no_file_name(
    file: str, code: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, assistant: Command
) -> None:
    held(monkeypatch, other)
    of = [{**line, "file": file} if line["is"] == "clip" else line for line in lines()]
    ended = assistant("trace", "record", write(tmp_path / "t", of))
    assert (ended.code, ended.err.count("\n")) == (code, code // 2)
    assert "its clips cannot be written" in ended.err or not code


def test_what_a_killed_recording_left_is_not_taken_for_a_trace(tmp_path: Path, assistant: Command) -> None:
    write(tmp_path / "t")
    write(tmp_path / ".t.x1y2" / "new", end=False)
    write(tmp_path / ".t.part", end=False)
    ended = assistant("trace", "simulate", tmp_path)
    assert (ended.code, ended.err) == (0, "") and ended.out.startswith("t\n")


def test_a_folder_that_is_itself_hidden(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, assistant: Command
) -> None:
    write(tmp_path / ".hidden" / "t")
    assert assistant("trace", "simulate", tmp_path / ".hidden").code == 0
    monkeypatch.chdir(tmp_path / ".hidden" / "t")
    assert assistant("trace", "simulate", ".").out.startswith("t\n")
