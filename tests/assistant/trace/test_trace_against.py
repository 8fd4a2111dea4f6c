"""`assistant trace compare` as a command: recordings on disk, and a commit of a tiny repository."""

import json
import subprocess
from pathlib import Path

import pytest
from hand_trace import TURN, write
from hand_turns import EXPOSED_MS, TTFA_MS, recording
from typer.testing import CliRunner, Result

import assistant
from assistant.cli import app
from assistant.trace import against, trials
from assistant.trace.errors import TraceError
from assistant.trace.paired import MOST_LATE, QUANTITIES, measured
from assistant.trace.trace import read_trace

WORK = "tts.first_chunk (work)"
FAKE = """
import os, shutil, sys
from pathlib import Path

WHICH = {which!r}

def main():
    if not {records}:
        sys.exit("Error: No such option: --record")
    words = sys.argv[1:]
    assert words[0] == "replay" and Path(words[1]).is_file()
    kept = Path(os.environ["KEPT"])
    with (kept / "order").open("a") as order:
        order.write(WHICH + " ")
    shutil.copytree(kept / WHICH, words[words.index("--record") + 1])
"""


def compared(*words: object) -> Result:
    return CliRunner().invoke(app, ["trace", "compare", *map(str, words)])


def refused(*words: object) -> str:
    result = compared(*words)
    assert isinstance(result.exception, TraceError) and result.exception.exit_code == 2
    assert "\n" not in str(result.exception)
    return str(result.exception)


def git(root: Path, *words: str) -> str:
    who = ("-c", "user.name=n", "-c", "user.email=e@e", "-c", "commit.gpgsign=false")
    done = subprocess.run(["git", "-C", root, *who, *words], capture_output=True, text=True, check=True)
    return done.stdout.strip()


def commit(root: Path, which: str, *, records: bool = True) -> str:
    code = root / "assistant"
    code.mkdir(parents=True, exist_ok=True)
    (code / "__init__.py").touch()
    (code / "cli.py").write_text(FAKE.format(which=which, records=records))
    git(root, "add", ".")
    git(root, "commit", "-q", "-m", which)
    return git(root, "rev-parse", "HEAD")


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A repository whose replays copy recordings: its first commit the fast one, its tree the slow one."""
    kept, root, temporary = tmp_path / "kept", tmp_path / "root", tmp_path / "tmp"
    recording(kept / "fast")
    recording(kept / "slow", voice_ms=30)
    temporary.mkdir()
    root.mkdir()
    git(root, "init", "-q")
    commit(root, "fast")
    commit(root, "slow")
    monkeypatch.setenv("KEPT", str(kept))
    monkeypatch.setattr("tempfile.tempdir", str(temporary))
    monkeypatch.setattr(assistant, "__file__", str(root / "assistant" / "__init__.py"))
    return root


CLIP = Path(__file__).parents[3] / "traces" / "000.flac"


def test_the_times_of_a_recording(tmp_path: Path) -> None:
    turn = measured(read_trace(recording(tmp_path / "r", turns=1))).turns["000.flac"]
    found = dict(zip(QUANTITIES, turn, strict=True))
    assert found["ttfa"] == pytest.approx(TTFA_MS) and found["endpoint.wait"] == pytest.approx(262)
    assert found["asr.final"] == 0 and found["asr.final (work)"] == pytest.approx(100)
    assert found["tts.first_chunk"] == pytest.approx(EXPOSED_MS) and found[WORK] == pytest.approx(30)
    assert found["playback.start"] == pytest.approx(20)


def test_frames_that_come_late(tmp_path: Path) -> None:
    calm = recording(tmp_path / "r", turns=1)
    assert measured(read_trace(calm)).late == 0
    trace = read_trace(calm)
    frames = trace.sessions[0].frames
    frames[:3] = [(recorded + 20_000_000, recorded, count) for _, recorded, count in frames[:3]]
    assert measured(trace).late == pytest.approx(3 / 150) and MOST_LATE < 3 / 150


def test_two_folders(tmp_path: Path) -> None:
    a = recording(tmp_path / "a" / "1").parent
    b = recording(tmp_path / "b" / "1", voice_ms=30).parent
    result = compared(a, b, "--json", tmp_path / "out.json")
    assert result.exit_code == 0, result.output
    assert result.output.splitlines()[-1] == f"slower: ttfa, tts.first_chunk, {WORK}"
    told = json.loads((tmp_path / "out.json").read_text())
    assert told["verdict"] == "slower" and told["rounds"] == [1, 1] and len(told["turns"]) == 8
    assert told["differences"][WORK]["ms"] == pytest.approx(30)
    assert told["differences"]["llm.prefill (work)"]["verdict"] == "same"


def test_the_exit_code(tmp_path: Path) -> None:
    a, b = recording(tmp_path / "a"), recording(tmp_path / "b", voice_ms=30)
    assert compared(a, b, "--fail-if-slower").exit_code == 1
    assert compared(b, a, "--fail-if-slower").exit_code == 0
    assert compared(a, b, "--margin", "40", "--fail-if-slower").exit_code == 0


def test_another_configuration_is_told(tmp_path: Path) -> None:
    a = recording(tmp_path / "a")
    b = recording(tmp_path / "b", config={"turn": {**TURN, "min_silence_ms": 300}})
    assert "turn.min_silence_ms is not the same: 250 in A, 300 in B" in compared(a, b).output


def test_bad_input(tmp_path: Path) -> None:
    a, none = recording(tmp_path / "a"), write(tmp_path / "none")
    assert "wants two recordings" in refused(a)
    assert "wants two recordings" in refused(a, a, "--rounds", 2)
    assert "No such file" in refused(a, tmp_path / "nothing")
    assert f"{none}: no turn was answered" in refused(a, none) and f"{none}: no" in refused(none, a)


def test_a_commit_beside_this_tree(root: Path, tmp_path: Path) -> None:
    result = compared("--against", "HEAD~1", CLIP, "--keep", tmp_path / "keep", "--fail-if-slower")
    assert result.exit_code == 1, result.output
    assert result.output.splitlines()[-1] == f"slower: ttfa, tts.first_chunk, {WORK}"
    assert (tmp_path / "kept" / "order").read_text().split() == ["fast", "slow", "slow", "fast"]
    kept = sorted(
        meta.parent.relative_to(tmp_path / "keep") for meta in (tmp_path / "keep").rglob("meta.json")
    )
    assert [str(folder) for folder in kept] == ["a/01", "a/02", "b/01", "b/02"]
    nothing_left(root)


def nothing_left(root: Path) -> None:
    assert list((root.parent / "tmp").iterdir()) == []
    assert len(git(root, "worktree", "list").splitlines()) == 1


def test_ctrl_c_leaves_nothing(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(*_: object) -> None:
        assert len(git(root, "worktree", "list").splitlines()) == 2
        raise KeyboardInterrupt

    monkeypatch.setattr(against, "_replay", interrupted)
    assert compared("--against", "HEAD~1", CLIP).exit_code == 130
    nothing_left(root)


def test_a_commit_that_cannot_record(root: Path) -> None:
    commit(root, "old", records=False)
    commit(root, "new")
    assert (
        refused("--against", "HEAD~1", CLIP) == "HEAD~1: the replay failed: Error: No such option: --record"
    )
    nothing_left(root)


def test_no_commit(root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert refused("--against", "nobody", CLIP) == f"nobody: is no commit of {root}"
    assert refused("--against=--all", CLIP) == f"--all: is no commit of {root}"
    monkeypatch.setattr(assistant, "__file__", str(tmp_path / "elsewhere" / "assistant" / "__init__.py"))
    assert "is no git repository" in refused("--against", "HEAD", CLIP)
    nothing_left(root)


def test_a_commit_without_the_program(root: Path) -> None:
    git(root, "checkout", "-q", "--orphan", "empty")
    git(root, "rm", "-rqf", ".")
    git(root, "commit", "-q", "--allow-empty", "-m", "empty")
    assert "has no assistant/cli.py" in refused("--against", "HEAD", CLIP)
    nothing_left(root)


def test_kernels_of_the_same_sources_are_used(root: Path, tmp_path: Path) -> None:
    kernels = root / "kernels" / "cpu"
    kernels.mkdir(parents=True)
    (kernels / "k.c").write_text("int k;")
    (root / ".gitignore").write_text("*.so\n")
    digest = commit(root, "slow")
    (kernels / "_k.so").write_text("compiled")
    with against._worktree(root, digest) as tree:
        assert (tree / "kernels" / "cpu" / "_k.so").read_text() == "compiled"
    (kernels / "k.c").write_text("int other;")
    assert "its kernels cannot be built" in refused("--against", digest, CLIP)
    nothing_left(root)


def test_trials(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for number in range(4):
        recording(tmp_path / "same" / str(number))
        recording(tmp_path / "changed" / str(number), voice_ms=30)
    words = [str(tmp_path / "same"), str(tmp_path / "changed"), "--pairs", "3", "--rounds", "2"]
    with pytest.raises(SystemExit) as ended:
        trials.main([*words, "--json", str(tmp_path / "out.json")])
    assert not ended.value.code
    told = capsys.readouterr().out.splitlines()
    assert told[-2:] == ["same: 3 of 3 not called different", "changed: 3 of 3 slower, with the part named"]
    found = json.loads((tmp_path / "out.json").read_text())["trials"]
    assert all(not set(each["a"]) & set(each["b"]) for each in found if each["kind"] == "same")
    with pytest.raises(SystemExit) as ended:
        trials.main([*words, "--part", "asr.final (work)"])
    assert ended.value.code == 1
    with pytest.raises(SystemExit) as ended:
        trials.main([*words, "--rounds", "3"])
    assert ended.value.code == 2
