"""Two replicas of one CPU each, by the commands: the real models, but a scripted language model."""

import os
import re
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.conformance.scripted_llm import scripted_model
from tests.conformance.under_test import CONFIG

_ASSISTANT = (sys.executable, "-c", "from assistant.cli import main; main()")
_REPLICA = re.compile(r"replica (\S+): running, (\d+) conversations, process (\d+)")
_UP_S, _BACK_S = 240.0, 60.0


@dataclass
class Cluster:
    """The folder keeps what the commands remember."""

    folder: Path
    port: int
    model_url: str

    @property
    def url(self) -> str:
        return f"ws://127.0.0.1:{self.port}/v1/realtime"

    def start_up(self, prompt: str) -> "subprocess.Popen[str]":
        """Begin `assistant cluster up` with this system prompt."""
        config = self.folder / "cluster.toml"
        text = CONFIG.format(url=self.model_url).replace("You are a helpful assistant.", prompt)
        config.write_text(f"{text}\n[cluster]\ncpus = 1.0\nreplicas = 2\n")
        return self.start("up", "--config", str(config), "--port", str(self.port))

    def start(self, *words: str) -> "subprocess.Popen[str]":
        environment = {**os.environ, "XDG_STATE_HOME": str(self.folder), "PYTHONUNBUFFERED": "1"}
        command = [*_ASSISTANT, "cluster", *words]
        return subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment
        )

    def say(self, *words: str) -> str:
        """What a command prints; it has to succeed."""
        return said(self.start(*words))

    def replicas(self) -> dict[int, int]:
        """How many conversations each replica has, by its process."""
        return {int(pid): int(count) for _, count, pid in _REPLICA.findall(self.say("status"))}

    def replicas_again(self, count: int) -> dict[int, int]:
        """The replicas, once there are so many."""
        end = time.monotonic() + _BACK_S
        while len(found := self.replicas()) != count:
            assert time.monotonic() < end, f"{len(found)} replicas after {_BACK_S} s"
        return found


def said(process: "subprocess.Popen[str]") -> str:
    out, err = process.communicate(timeout=_UP_S)
    assert process.returncode == 0, err
    return out


@contextmanager
def cluster_of_two(folder: Path) -> Iterator[Cluster]:
    """Start it, and end it."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    with scripted_model() as model:
        cluster = Cluster(folder, port, model.url)
        try:
            said(cluster.start_up("You are a helpful assistant."))
            yield cluster
        finally:
            cluster.start("down").communicate(timeout=_UP_S)
