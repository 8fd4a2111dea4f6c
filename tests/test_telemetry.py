"""A conversation looks up no name, opens no socket, and writes nothing outside our cache."""

import os
from pathlib import Path

import pytest
from strace import Traced, trace, unsupported_reason

from assistant.models.store import cache_dir

ROOT = Path(__file__).parents[1]
# What moves a user's folders, and what switches telemetry off: ONNX Runtime keeps quiet in CI.
NOT_INHERITED = ("XDG_", "ORT_", "HF_", "CI", "GITHUB_")
CONVERSATION = f"""
import sys, time
from assistant.cli import main
sys.argv = ["assistant", "demo", {str(ROOT / "traces")!r}, "-o", "reply.wav"]
try:
    main()
finally:
    time.sleep(5)  # ONNX Runtime looks its collector up nine seconds after it was imported
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
pytestmark = pytest.mark.skipif(_reason is not None, reason=_reason or "")


def run(code: str, tmp_path: Path, **given: str) -> Traced:
    """Run it for a user who has the models in our cache, and empty folders `home`, `temporary` and `work`."""
    for folder in ("home", "temporary", "work"):
        (tmp_path / folder).mkdir()
    ours = {"ASSISTANT_CACHE": str(cache_dir()), "PYTHONPATH": str(ROOT), "PYTHONDONTWRITEBYTECODE": "1"}
    folders = {"HOME": str(tmp_path / "home"), "TMPDIR": str(tmp_path / "temporary")}
    inherited = {name: value for name, value in os.environ.items() if not name.startswith(NOT_INHERITED)}
    traced = trace(code, tmp_path / "work", tmp_path / "calls", inherited | ours | folders | given)
    assert traced.code == 0, traced.output
    return traced


def outside(traced: Traced, *folders: Path) -> set[Path]:
    """What was changed in none of these folders."""
    return {path for path in traced.changed if not any(path.is_relative_to(folder) for folder in folders)}


@pytest.mark.models
def test_a_conversation_stays_off_the_network_and_in_our_cache(tmp_path: Path):
    traced = run(CONVERSATION, tmp_path)
    assert "Paris" in traced.output
    assert traced.sockets == []
    assert outside(traced, cache_dir(), tmp_path / "temporary", tmp_path / "work") == set()
    assert list((tmp_path / "temporary").iterdir()) == []
    assert [path.name for path in (tmp_path / "work").iterdir()] == ["reply.wav"]


def test_onnx_runtime_keeps_nothing_about_the_user(tmp_path: Path):
    traced = run(LOAD_A_MODEL, tmp_path)
    assert traced.sockets == []
    assert traced.changed == set()


def test_telemetry_that_is_switched_on_again_is_seen(tmp_path: Path):
    """The control of the two above: what they look for is there where nobody switches it off."""
    traced = run(LOAD_A_MODEL, tmp_path, ORT_DISABLE_TELEMETRY="0")
    assert {path.name for path in traced.changed} >= {"deviceid", "onnxruntime.db"}
    assert outside(traced, tmp_path / "home", tmp_path / "temporary") == set()


def test_a_name_that_is_looked_up_is_seen(tmp_path: Path):
    traced = run(LOOK_UP, tmp_path)
    assert any("AF_INET" in call for call in traced.sockets)
    assert traced.changed == set()
