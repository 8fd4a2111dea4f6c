"""`assistant trace` on a trace written by hand: what it prints, what it exits with, and what it leaves."""

import json
from pathlib import Path

import pytest
from hand_trace import lines, slower_voice, write

from assistant import cli


def run(monkeypatch: pytest.MonkeyPatch, *arguments: object) -> int:
    """The exit code of a command."""
    monkeypatch.setattr("sys.argv", ["assistant", *map(str, arguments)])
    with pytest.raises(SystemExit) as ended:
        cli.main()
    return int(ended.value.code or 0)


def test_a_trace_is_simulated(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    write(tmp_path / "t")
    assert run(monkeypatch, "trace", "simulate", tmp_path, "--json", tmp_path / "out.json") == 0
    assert "yes.flac                   302.0" in capsys.readouterr().out
    (trace,) = json.loads((tmp_path / "out.json").read_text())["traces"]
    assert trace["turns"]["yes.flac"]["ttfa"] == 302.0
    assert trace["turns"]["yes.flac"]["parts"]["tts.first_chunk"] == [20.0, 10.0]


def test_the_gate_opens_and_shuts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    baseline = tmp_path / "baseline.json"
    same, slow = write(tmp_path / "same" / "t"), write(tmp_path / "slow" / "t", slower_voice(30))
    assert run(monkeypatch, "trace", "gate", same, "--baseline", baseline) == 2
    assert "--update writes it" in capsys.readouterr().err
    assert run(monkeypatch, "trace", "gate", same, "--baseline", baseline, "--update") == 0
    before = baseline.read_bytes()
    assert run(monkeypatch, "trace", "gate", same, "--baseline", baseline) == 0
    assert capsys.readouterr().out.endswith("1 turns of 1 traces: nobody waits longer\n")
    assert run(monkeypatch, "trace", "gate", slow, "--baseline", baseline) == 1
    out = capsys.readouterr().out
    assert "t/yes.flac" in out and "tts.first_chunk" in out and "nobody" not in out
    assert baseline.read_bytes() == before


@pytest.mark.parametrize("command", ["simulate", "gate", "show"])
def test_a_trace_that_is_cut_off_is_one_line_and_exit_code_2(
    command: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    write(tmp_path / "u")
    monkeypatch.chdir(tmp_path)
    if command == "gate":
        assert run(monkeypatch, "trace", "gate", "u", "--baseline", "b.json", "--update") == 0
    write(tmp_path / "t", end=False)
    capsys.readouterr()
    assert (
        run(monkeypatch, "trace", command, "t", *(["--baseline", "b.json"] if command == "gate" else [])) == 2
    )
    told = capsys.readouterr()
    assert told.out == "" and told.err == "assistant: t/events.jsonl.gz: is cut off after 39 lines\n"


def test_other_models_are_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    write(tmp_path / "t", models=[{"name": "silero-vad-v6", "sha256": "0"}])
    assert run(monkeypatch, "trace", "simulate", tmp_path / "t") == 2
    assert capsys.readouterr().err.endswith("was recorded with another model silero-vad-v6\n")


def test_a_folder_without_traces(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(monkeypatch, "trace", "simulate", tmp_path) == 2
    assert capsys.readouterr().err.endswith("holds no trace\n")


def test_lanes_are_drawn(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    reply = {
        "is": "reply", "session": "s", "at": 10**10, "number": 0, "transcript": "Yes?", "reply": "Yes.",
        "heard": "Yes.", "interrupted": False, "reopened": False, "underruns": 0, "voice_end": 960_000_000,
        "decided": 1_222_000_000, "ends": None, "starts": None,
    }  # fmt: skip
    write(tmp_path / "t", [*lines(), reply])
    assert run(monkeypatch, "trace", "show", tmp_path) == 0
    out = capsys.readouterr().out
    assert "yes.flac  nothing was heard  'Yes?'" in out and "\n  tts       " in out


@pytest.mark.parametrize(
    ("option", "value", "code", "message"),
    [
        ("--scale", "tts", 2, "'tts': should be like name=value"),
        ("--scale", "tts=fast", 2, "tts=fast: should be a factor from 0 to 1000"),
        ("--scale", "tts=nan", 2, "tts=nan: should be a factor from 0 to 1000"),
        ("--set", "turn.prepare_ms=soon", 2, "'soon' is not a value of TOML"),
        ("--set", "turn.prepare_ms=3\nturn = 4", 2, "'3\\nturn = 4' is not a value of TOML"),
        ("--set", "turn.prepare_ms.x=3", 2, "unknown key 'turn.prepare_ms.x'"),
        ("--set", "turn.prepare_us=3", 2, "unknown key 'turn.prepare_us'; did you mean 'prepare_ms'?"),
        ("--set", "turn.prepare_ms='3'", 2, "turn.prepare_ms: Input should be a valid integer"),
        ("--set", "turn=3", 2, "unknown key 'turn.'"),
        ("--set", "llm.threads=1", 2, "--set 'llm.threads': is not read; a simulation reads turn, asr.part"),
        ("--set", "server.port=1", 2, "is not read"),
        ("--set", "a.b.c=1", 2, "is not read"),
        ("--cores", "0", 2, "--cores '0': should be a whole number from 1 to 4096"),
        ("--cores", "1" + "0" * 400, 2, "should be a whole number from 1 to 4096"),
        ("--cores", "two\nor three", 2, "should be a whole number from 1 to 4096"),
        ("--sessions", "257", 2, "--sessions '257': should be a whole number from 1 to 256"),
    ],
)
def test_a_what_if_that_makes_no_sense(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    option: str,
    value: str,
    code: int,
    message: str,
) -> None:
    write(tmp_path / "t")
    assert run(monkeypatch, "trace", "simulate", tmp_path, option, value) == code
    told = capsys.readouterr().err
    assert message in told and told.count("\n") == 1


def test_a_key_is_set(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """With 314 ms in place of 250 the turn ends with the window at 1280, in a frame that comes then."""
    write(tmp_path / "t")
    run(monkeypatch, "trace", "simulate", tmp_path, "--set", "turn.min_silence_ms=314")
    assert "yes.flac                   342.0" in capsys.readouterr().out  # 1280 + 2 + 20 - 960
