"""`assistant cluster` where Ray is not installed, and what it leaves out of everything else."""

import subprocess
import sys

from pages import ROOT

_WITHOUT_RAY = (
    "import sys; sys.modules['ray'] = None; from assistant.cli import main; sys.argv = {words}; main()"
)


def assistant(*words: str) -> "subprocess.CompletedProcess[str]":
    code = _WITHOUT_RAY.format(words=["assistant", *words])
    return subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False)


def test_without_ray_one_line_says_what_to_install() -> None:
    for words in (("up",), ("status",), ("down",)):
        done = assistant("cluster", *words)
        why = "assistant: a cluster needs Ray, which is not installed: pip install -e '.[cluster]'\n"
        assert (done.returncode, done.stdout, done.stderr) == (1, "", why)


def test_a_manifest_needs_no_ray() -> None:
    done = assistant("cluster", "manifest", "--kind", "serve", "--replicas", "3")
    assert done.returncode == 0, done.stderr
    assert "replicas: 3" in done.stdout


def test_a_single_server_imports_nothing_of_ray() -> None:
    code = (
        "import sys, assistant.cli, assistant.errors, assistant.commands.serve, assistant.cluster.asgi;"
        "print(*[name for name in sys.modules if name.partition('.')[0] in ('ray', 'starlette', 'uvicorn')])"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == []
