"""A conversation looks up no name, opens no socket, and writes nothing outside our cache."""

import os
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest
from audited import Audited, audit
from strace import Traced, trace, unsupported_reason

from assistant.models.store import cache_dir

ROOT = Path(__file__).parents[1]
# What moves a user's folders, and what switches telemetry off: ONNX Runtime keeps quiet in CI.
NOT_INHERITED = ("XDG_", "ORT_", "HF_", "OTEL_", "CI", "GITHUB_")
CONVERSATION = f"""
import io, sys, time
from assistant.cli import main
clip = {str(ROOT / "traces" / "000.flac")!r}
for words in (
    ["demo", clip, "-o", "reply.wav"],
    ["replay", clip, "--json", "out.json", "--perfetto", "spans.json"],
    ["chat", "--speak", "typed.wav"],
    ["transcribe", clip],
    ["say", "Hello there.", "-o", "hello.wav"],
):
    sys.argv, sys.stdin = ["assistant", *words], io.StringIO("What is the capital of France?\\n")
    try:
        main()
    except SystemExit as ending:
        assert not ending.code, words
time.sleep(5)  # ONNX Runtime looks its collector up nine seconds after it was imported
"""
WRITTEN = ["hello.wav", "out.json", "reply.wav", "spans.json", "typed.wav"]
SERVE = """
import os, signal, sys, threading
from assistant.cli import main
threading.Timer(15, os.kill, (os.getpid(), signal.SIGTERM)).start()
sys.argv = ["assistant", "serve", "--port", "0"]
try:
    main()
except SystemExit as ending:
    assert not ending.code
"""
LOAD_A_MODEL = """
import asr, onnx, onnxruntime
x, y = (onnx.helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, [1]) for name in "xy")
graph = onnx.helper.make_graph([onnx.helper.make_node("Identity", ["x"], ["y"])], "tiny", [x], [y])
model = onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 17)], ir_version=9)
onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
"""
LOOK_UP = """
import socket
try:
    socket.getaddrinfo("collector.invalid", 443)
except OSError:
    pass
"""

_reason = unsupported_reason()
traced_only = pytest.mark.skipif(_reason is not None, reason=_reason or "")


def environment(tmp_path: Path, **given: str) -> dict[str, str]:
    """Of a user who has the models in our cache, and empty folders `home`, `temporary` and `work`."""
    for folder in ("home", "temporary", "work"):
        (tmp_path / folder).mkdir()
    ours = {"ASSISTANT_CACHE": str(cache_dir()), "PYTHONPATH": str(ROOT), "PYTHONDONTWRITEBYTECODE": "1"}
    folders = {"HOME": str(tmp_path / "home"), "TMPDIR": str(tmp_path / "temporary")}
    inherited = {name: value for name, value in os.environ.items() if not name.startswith(NOT_INHERITED)}
    return inherited | ours | folders | given


def run(code: str, tmp_path: Path, **given: str) -> Traced:
    traced = trace(code, tmp_path / "work", tmp_path / "calls", environment(tmp_path, **given))
    assert traced.code == 0, traced.output
    return traced


def watch(code: str, tmp_path: Path, **given: str) -> Audited:
    audited = audit(code, tmp_path / "work", tmp_path / "audited", environment(tmp_path, **given))
    assert audited.code == 0, audited.output
    return audited


def outside(changed: set[Path], *folders: Path) -> set[Path]:
    """What was changed in none of these folders, nor on the null device."""
    ours = (*folders, Path(os.devnull))
    return {path for path in changed if not any(path.is_relative_to(folder) for folder in ours)}


def assert_only_ours(changed: set[Path], tmp_path: Path) -> None:
    """Nothing outside our cache and what skills keep, and nothing left in the user's folders besides."""
    home, data = tmp_path / "home", tmp_path / "home/.local/share/assistant"
    found = outside(changed, cache_dir(), data, tmp_path / "temporary", tmp_path / "work")
    assert found <= set(data.parents), found
    assert {path.name for path in home.rglob("*") if path.is_file()} <= {"household.db"}
    assert list((tmp_path / "temporary").iterdir()) == []


@pytest.fixture
def collector() -> Iterator[socket.socket]:
    """A server on this machine to which nobody should connect."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.setblocking(False)
        yield server


@traced_only
@pytest.mark.models
def test_a_conversation_stays_off_the_network_and_in_our_cache(tmp_path: Path):
    traced = run(CONVERSATION, tmp_path)
    assert "Paris" in traced.output
    assert traced.sockets == []
    assert_only_ours(traced.changed, tmp_path)
    assert sorted(path.name for path in (tmp_path / "work").iterdir()) == WRITTEN


@pytest.mark.models
def test_a_conversation_asks_for_no_name_and_starts_no_program(tmp_path: Path, collector: socket.socket):
    """Without strace; and with a collector of spans that the environment names, but nobody asked for."""
    endpoint = "http://{}:{}".format(*collector.getsockname())
    audited = watch(CONVERSATION, tmp_path, OTEL_EXPORTER_OTLP_ENDPOINT=endpoint, OTEL_TRACES_EXPORTER="otlp")
    assert "Paris" in audited.output
    assert audited.network == []
    assert audited.started == []
    assert_only_ours(audited.changed, tmp_path)
    assert sorted(path.name for path in (tmp_path / "work").iterdir()) == WRITTEN
    with pytest.raises(BlockingIOError):
        collector.accept()


@pytest.mark.models
def test_a_server_binds_one_address_of_this_machine_and_asks_for_none(tmp_path: Path):
    audited = watch(SERVE, tmp_path)
    assert "listening on ws://127.0.0.1:" in audited.output
    assert "socket.bind(('127.0.0.1', 0),)" in audited.network
    assert [call for call in audited.network if "'127.0.0.1', 0" not in call] == []
    assert audited.started == []
    assert_only_ours(audited.changed, tmp_path)
    assert list((tmp_path / "work").iterdir()) == []


@traced_only
def test_onnx_runtime_keeps_nothing_about_the_user(tmp_path: Path):
    traced = run(LOAD_A_MODEL, tmp_path)
    assert traced.sockets == []
    assert traced.changed == set()


@traced_only
def test_telemetry_that_is_switched_on_again_is_seen(tmp_path: Path):
    """The control of the ones above: what they look for is there where nobody switches it off."""
    traced = run(LOAD_A_MODEL, tmp_path, ORT_DISABLE_TELEMETRY="0")
    assert {path.name for path in traced.changed} >= {"deviceid", "onnxruntime.db"}
    assert outside(traced.changed, tmp_path / "home", tmp_path / "temporary") == set()


@traced_only
def test_a_name_that_is_looked_up_is_seen(tmp_path: Path):
    traced = run(LOOK_UP, tmp_path)
    assert any("AF_INET" in call for call in traced.sockets)
    assert traced.changed == set()


def test_what_python_code_does_is_seen(tmp_path: Path):
    """The control of the audit hook."""
    code = f"import subprocess\nopen('new', 'w').close()\nsubprocess.run(['true'])\n{LOOK_UP}"
    audited = watch(code, tmp_path)
    assert any("collector.invalid" in call for call in audited.network)
    assert audited.changed == {tmp_path / "work" / "new"}
    assert any("true" in call for call in audited.started)


def test_helper_processes_inherit_what_is_switched_off(tmp_path: Path):
    child = "import os; print(os.environ['ORT_DISABLE_TELEMETRY'], os.environ['HF_HUB_DISABLE_TELEMETRY'])"
    code = f"import assistant, subprocess, sys\nsubprocess.run([sys.executable, '-c', {child!r}], check=True)"
    assert watch(code, tmp_path).output == "1 1\n"
