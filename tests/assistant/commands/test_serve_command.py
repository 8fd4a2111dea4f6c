"""`assistant serve` up to where the models would be loaded: what it is given, and what it refuses."""

import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from ended import Command

from assistant.commands.serve import read_settings
from assistant.config import ConfigError, ServerConfig
from assistant.server.errors import ServerError


@pytest.fixture(autouse=True)
def no_models(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """None is here and none can be had, so that a server which gets as far as wanting one ends."""
    for name in [name for name in os.environ if name.startswith("PIP_") or name.lower().endswith("_proxy")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("ASSISTANT_CACHE", str(tmp_path / "cache"))
    monkeypatch.delenv("ASSISTANT_TOKEN", raising=False)
    monkeypatch.delenv("ASSISTANT_RESUME", raising=False)


@pytest.fixture(autouse=True)
def logs_as_before(monkeypatch: pytest.MonkeyPatch) -> None:
    """The command sets up logs for its whole process, which here is that of other tests."""
    monkeypatch.setattr("assistant.commands.serve.configure_logs", lambda *_, **__: None)


@pytest.fixture
def taken_port() -> Iterator[int]:
    with socket.create_server(("127.0.0.1", 0)) as sock:
        yield sock.getsockname()[1]


def refusal(ended: tuple[int, str, str]) -> str:
    code, out, err = ended
    assert (code, out) == (1, "")
    assert err.startswith("assistant: ") and err.count("\n") == 1, err
    return err


@pytest.mark.parametrize("words", [["--host", "0.0.0.0"], ["--host", "::"], ["--host", "192.0.2.1"]])
def test_another_address_needs_a_token(words: list[str], assistant: Command) -> None:
    assert "ASSISTANT_TOKEN" in refusal(assistant("serve", "--port", "0", *words))


def test_a_port_in_use_is_refused_before_a_model_is_loaded(taken_port: int, assistant: Command) -> None:
    err = refusal(assistant("serve", "--port", taken_port))
    assert str(taken_port) in err and "in use" in err


@pytest.mark.parametrize(
    ("words", "fact"),
    [
        (["--token", "two words"], "token"),
        (["--port", "70000"], "port"),
        (["--tls", "none.pem", "none.key"], "none.pem: No such file"),
        (["--tls", __file__, "none.key"], ": none.key: No such file"),
        (["--tls", __file__, __file__], "not a certificate"),
        (["--wyoming", "127.0.0.1:10300"], "tcp://127.0.0.1:10300"),
        (["--wyoming", "tcp://127.0.0.1"], "tcp://127.0.0.1:10300"),
        (["--wyoming", "tcp://127.0.0.1:70000"], "tcp://127.0.0.1:10300"),
        (["--wyoming", "tcp://user@127.0.0.1:0"], "tcp://127.0.0.1:10300"),
        (["--wyoming", "tcp://127.0.0.1:0/path"], "tcp://127.0.0.1:10300"),
        (["--wyoming", "tcp://0.0.0.0:0"], "wyoming_clients"),
        (["--wyoming", "tcp://127.0.0.1:0", "--record", "trace"], "--record"),
        (["--resume", "127.0.0.1:6379"], "redis://127.0.0.1:6379/0"),
        (["--resume", "http://127.0.0.1"], "redis://127.0.0.1:6379/0"),
        (["--resume", "redis://"], "redis://127.0.0.1:6379/0"),
        (["--resume", "redis://127.0.0.1:70000"], "redis://127.0.0.1:6379/0"),
        (["--resume", "redis://127.0.0.1/zero"], "redis://127.0.0.1:6379/0"),
        (["--resume", "redis://127.0.0.1/0?db=1"], "redis://127.0.0.1:6379/0"),
        (["--resume", "redis://127.0.0.1", "--record", "trace"], "--record or --resume"),
        (["--host", "no-such-host.invalid", "--token", "t"], "no-such-host.invalid"),
    ],
)
def test_what_cannot_be_used_is_one_line(words: list[str], fact: str, assistant: Command) -> None:
    assert fact in refusal(assistant("serve", "--port", "0", *words))


def test_with_a_token_it_gets_as_far_as_its_models(
    assistant: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ASSISTANT_TOKEN", "s3cret")
    code, out, err = assistant("serve", "--port", "0")
    last = err.splitlines()[-1]
    assert (code, out) == (1, "")
    assert last.startswith("assistant: model ") and "s3cret" not in err


def test_without_its_package_wyoming_is_one_line() -> None:
    """In a process of its own, which has not imported it."""
    code = "import sys; sys.modules['wyoming'] = None; from assistant.cli import main; main()"
    words = [sys.executable, "-c", code, "serve", "--port", "0", "--wyoming", "tcp://127.0.0.1:0"]
    root = Path(__file__).parents[3]
    done = subprocess.run(words, cwd=root, capture_output=True, text=True, check=False)
    assert "pip install -e '.[wyoming]'" in refusal((done.returncode, done.stdout, done.stderr))


def test_without_its_package_resume_is_one_line() -> None:
    code = "import sys; sys.modules['redis'] = None; from assistant.cli import main; main()"
    words = [sys.executable, "-c", code, "serve", "--port", "0", "--resume", "redis://127.0.0.1"]
    root = Path(__file__).parents[3]
    done = subprocess.run(words, cwd=root, capture_output=True, text=True, check=False)
    assert "pip install -e '.[cluster]'" in refusal((done.returncode, done.stdout, done.stderr))


def test_where_conversations_are_kept_comes_from_the_line_before_the_file(tmp_path: Path) -> None:
    path = tmp_path / "assistant.toml"
    path.write_text('[server]\nresume = "rediss://:s3cret@far:6380/1"\nresume_s = 60\nresume_bytes = 1000\n')
    assert read_settings(None, None, None, None, None).server.resume is None
    server = read_settings(path, None, None, None, None).server
    assert (server.resume, server.resume_s, server.resume_bytes) == ("rediss://:s3cret@far:6380/1", 60, 1000)
    assert "s3cret" not in repr(server)
    given = read_settings(path, None, None, None, None, resume="redis://near").server
    assert given.resume == "redis://near"
    path.write_text("[server]\nresume_bytes = 0\n")
    with pytest.raises(ConfigError, match="resume_bytes"):
        read_settings(path, None, None, None, None)


def test_wyoming_is_off_unless_it_is_asked_for(tmp_path: Path) -> None:
    path = tmp_path / "assistant.toml"
    path.write_text('[server]\nwyoming = "tcp://127.0.0.1:10300"\nwyoming_clients = ["10.0.0.0/8"]\n')
    assert read_settings(None, None, None, None, None).server.wyoming is None
    assert read_settings(path, None, None, None, None).server.wyoming == "tcp://127.0.0.1:10300"
    given = read_settings(path, None, None, None, None, "tcp://127.0.0.1:0").server
    assert (given.wyoming, given.wyoming_clients) == ("tcp://127.0.0.1:0", ("10.0.0.0/8",))
    path.write_text('[server]\nwyoming_clients = ["10.0.0.1/8"]\n')
    with pytest.raises(ConfigError, match="host bits"):
        read_settings(path, None, None, None, None)


def test_the_command_line_overrides_the_file(tmp_path: Path) -> None:
    path = tmp_path / "assistant.toml"
    path.write_text('[server]\nhost = "::1"\nport = 1\ntoken = "file"\nidle_s = 5\n')
    assert read_settings(path, None, None, None, None).server == ServerConfig("::1", 1, "file", idle_s=5)
    given = read_settings(path, "127.0.0.2", 0, "line", (Path("a.pem"), Path("b.pem")))
    expected = ServerConfig("127.0.0.2", 0, "line", tls_cert="a.pem", tls_key="b.pem", idle_s=5)
    assert given.server == expected


def test_an_empty_token_is_none() -> None:
    """As a variable that is set to nothing: no server is open because of that."""
    assert read_settings(None, None, None, "", None).server.token is None
    with pytest.raises(ServerError, match="host"):
        read_settings(None, "", None, None, None)
