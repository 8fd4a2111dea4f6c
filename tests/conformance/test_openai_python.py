"""One column of the matrix on the real server: a client that installs in seconds."""

import subprocess
import sys
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

import pytest
from pages import ROOT, blocks, read

from tests.conformance.clients import CLIENTS
from tests.conformance.clips import write_clips
from tests.conformance.drive import drive
from tests.conformance.matrix import SCENARIOS
from tests.conformance.under_test import serve

pytestmark = [
    pytest.mark.models,
    pytest.mark.skipif(
        find_spec("openai") is None, reason="openai is not installed: pip install -e '.[conformance]'"
    ),
]


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with serve(tmp_path_factory.mktemp("server")) as url:
        yield url


def test_openai_python_can_do_everything(url: str, tmp_path: Path):
    write_clips(tmp_path)
    script = str(CLIENTS["openai-python"].script)
    outcomes = drive(
        "openai-python",
        [sys.executable, script],
        list(SCENARIOS),
        url,
        tmp_path,
        tmp_path / "client.log",
        print,
    )

    assert {outcome.scenario: outcome.why or outcome.result for outcome in outcomes} == dict.fromkeys(
        SCENARIOS, "ok"
    )


def test_the_example_in_the_documentation_runs(url: str):
    (example,) = blocks(read(ROOT / "docs/server.md"), "python")
    address = url.replace("ws", "http", 1).removesuffix("/realtime")
    program = example.replace("http://127.0.0.1:8765/v1", address)
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=120)
    assert (done.stdout.strip(), done.stderr) == ("You said: What is the capital of France?", "")
