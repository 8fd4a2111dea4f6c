"""The server under test: `assistant serve` in a process of its own, with the scripted model behind it."""

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Timer

from tests.conformance.scripted_llm import scripted_model

_MAIN = "from assistant.cli import main; main()"
_READY = re.compile(r"listening on (ws://\S+)")
_START_S = 120.0  # the models are read and compiled for the processor
_STOP_S = 30.0

CONFIG = """
[llm]
system_prompt = "You are a helpful assistant."

[llm.generate]
max_tokens = 400

[llm.remote]
url = "{url}"
model = "scripted"

[skills]
enabled = false  # they would answer in place of the script
"""


@contextmanager
def serve(folder: Path) -> Iterator[str]:
    """Start the server on a free port and give its address; its log is in `folder`."""
    config = folder / "assistant.toml"
    with scripted_model() as model, (folder / "server.log").open("w") as log:
        config.write_text(CONFIG.format(url=model.url))
        command = [sys.executable, "-c", _MAIN, "serve", "--port", "0", "--config", str(config)]
        environment = {**os.environ, "PYTHONUNBUFFERED": "1"}
        process = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=log, text=True, env=environment
        )
        try:
            yield _address(process, folder / "server.log")
        finally:
            process.terminate()
            late = Timer(_STOP_S, process.kill)
            late.start()
            process.communicate()
            late.cancel()


def _address(process: "subprocess.Popen[str]", log: Path) -> str:
    """Read what the server prints until it names its address. Raises RuntimeError if it ends before."""
    late = Timer(_START_S, process.kill)
    late.start()
    assert process.stdout
    try:
        for line in process.stdout:
            if found := _READY.search(line):
                return found[1]
    finally:
        late.cancel()
    raise RuntimeError(f"the server did not come up:\n{log.read_text()[-2000:]}")
