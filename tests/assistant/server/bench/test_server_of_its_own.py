"""Servers that the bench starts: their settings, their address and their end."""

import sys
import tomllib
from pathlib import Path

import psutil
import pytest

from assistant.config import read_config
from assistant.server.bench.errors import BenchError, run_command
from assistant.server.bench.server import served, toml_with

WAITS = (
    "import pathlib, sys, time; "
    "print('listening on', *pathlib.Path(sys.argv[4]).read_text().split(), flush=True); "
    "time.sleep(60)"
)


def test_settings_lie_over_those_of_the_file(tmp_path: Path) -> None:
    mine = tmp_path / "mine.toml"
    mine.write_text(
        '[llm]\nsessions = 2\nmodel = "it\\"s"\n[llm.generate]\nmax_tokens = 7\n[turn]\nstrict = 1.5\n'
    )
    merged = tomllib.loads(toml_with(mine, {"llm": {"sessions": 8}, "server": {"origins": ["http://a"]}}))
    assert merged == {
        "llm": {"sessions": 8, "model": 'it"s', "generate": {"max_tokens": 7}},
        "turn": {"strict": 1.5},
        "server": {"origins": ["http://a"]},
    }
    written = tmp_path / "none.toml"
    written.write_text(toml_with(None, {"llm": {"sessions": 3}}))
    assert read_config(written).llm.sessions == 3


def test_a_server_is_ended_with_the_block() -> None:
    with served(None, {"llm": {"sessions": 3}}, (sys.executable, "-c", WAITS)) as server:
        assert server.url == '["llm"] "sessions" = 3'
        assert server.process is not None and server.process.is_running()
        assert server.cpu_s() is not None
    assert not psutil.pid_exists(server.process.pid)


def test_a_server_that_does_not_start_is_told_with_its_last_line() -> None:
    fails = 'import sys; sys.exit("assistant: the port is taken")'
    with (
        pytest.raises(BenchError, match="did not start: assistant: the port is taken"),
        served(None, {}, (sys.executable, "-c", fails)),
    ):
        pass


def test_an_error_in_a_group_is_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    def fails() -> bool:
        raise ExceptionGroup("", [ExceptionGroup("", [BenchError("no server")])])

    with pytest.raises(SystemExit) as caught:
        run_command("bench", fails)
    assert caught.value.code == 1
    assert capsys.readouterr().err == "bench: no server\n"
    for result, code in ((True, 0), (False, 1)):
        with pytest.raises(SystemExit) as caught:
            run_command("bench", lambda result=result: result)
        assert caught.value.code == code
