"""One column of the matrix on the real server: a client that installs in seconds."""

import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

from tests.conformance.clients import CLIENTS
from tests.conformance.clips import write_clips
from tests.conformance.drive import drive
from tests.conformance.matrix import SCENARIOS
from tests.conformance.under_test import serve


@pytest.mark.models
@pytest.mark.skipif(
    find_spec("openai") is None, reason="openai is not installed: pip install -e '.[conformance]'"
)
def test_openai_python_can_do_everything(tmp_path: Path):
    write_clips(tmp_path)
    script = str(CLIENTS["openai-python"].script)
    with serve(tmp_path) as url:
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
