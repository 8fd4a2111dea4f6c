"""A Ray of one's own on this machine: started apart, found again by a file, and ended."""

import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass
from math import ceil
from pathlib import Path

import psutil
import ray
from filelock import FileLock

import assistant
from assistant.cluster.environment import ENVIRONMENT
from assistant.cluster.errors import ClusterError
from assistant.cluster.replica import RESUME, TOKEN
from assistant.cluster.state import state_file
from assistant.config import Config

HOST = "127.0.0.1"
_FILE = "cluster.json"
_STORE_BYTES = 128 * 2**20  # replies on their way; Ray's default is a third of memory
_START = (
    *(sys.executable, "-m", "ray.scripts.scripts", "start", "--head", "--block", "--disable-usage-stats"),
    *("--include-dashboard", "false", "--dashboard-host", HOST, "--node-ip-address", HOST),
    *("--object-store-memory", str(_STORE_BYTES)),
)
_PORTS = (  # those that would be the same for every Ray on the machine
    "--ray-client-server-port",
    "--dashboard-agent-listen-port",
    "--dashboard-agent-grpc-port",
    "--runtime-env-agent-port",
    "--metrics-export-port",
)
_START_S = 120.0
_STOP_S = 20.0
_STARTED = "Ray runtime started"


@dataclass(frozen=True)
class Local:
    """A Ray that runs here."""

    pid: int
    """Of the process that ends all others when it ends."""
    created: float
    """When that was started: another may have its number by now."""
    address: str
    """Of Ray's control service."""
    port: int
    """Of Serve's proxy."""

    @property
    def url(self) -> str:
        """Where clients connect."""
        return f"ws://{HOST}:{self.port}/v1/realtime"

    def process(self) -> psutil.Process | None:
        """The process, if it still runs."""
        try:
            process = psutil.Process(self.pid)
            return process if process.create_time() == self.created else None
        except psutil.NoSuchProcess:
            return None


def running() -> Local | None:
    """The cluster that was started last, if it runs."""
    try:
        local = Local(**json.loads(_file().read_text(encoding="utf-8")))
    except (FileNotFoundError, ValueError, TypeError):
        return None
    return local if local.process() else None


def _start(config: Config) -> Local:
    """Start Ray with CPUs for all replicas of `config`; `connected` waits for it."""
    cluster = config.cluster
    cpus = ceil(max(cluster.replicas, cluster.max_replicas) * cluster.cpus)
    control, *others = _free_ports(1 + len(_PORTS))
    command = [*_START, "--port", str(control), "--num-cpus", str(cpus)]
    for name, other in zip(_PORTS, others, strict=True):
        command += [name, str(other)]
    with log_file().open("w", encoding="utf-8") as output:
        process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            env=_environment(),
            start_new_session=True,
        )
    local = Local(process.pid, psutil.Process(process.pid).create_time(), f"{HOST}:{control}", cluster.port)
    _file().write_text(json.dumps(asdict(local)), encoding="utf-8")
    return local


def running_or_started(config: Config) -> tuple[Local, bool]:
    """The cluster that runs, or one for `config`, and whether it was started. One process at a time."""
    with FileLock(_file().with_suffix(".lock")):
        found = running()
        return (found, False) if found else (_start(config), True)


@contextmanager
def connected(local: Local) -> Iterator[None]:
    """Be a driver of `local` for a while, once it answers; raises ClusterError."""
    _await_start(local)
    try:
        ray.init(address=local.address, namespace="serve", log_to_driver=False, logging_level="error")
    except (ConnectionError, RuntimeError) as error:
        raise ClusterError(
            f"Ray at {local.address} does not answer; its words are in {log_file()}"
        ) from error
    try:
        yield
    finally:
        ray.shutdown()


def log_file() -> Path:
    """What Ray says when it starts."""
    return _file().with_suffix(".log")


def _await_start(local: Local) -> None:
    """Wait until Ray has said that it runs; raises ClusterError."""
    end = time.monotonic() + _START_S
    while _STARTED not in log_file().read_text(encoding="utf-8", errors="replace"):
        if local.process() is None or time.monotonic() > end:
            raise ClusterError(f"Ray did not start; its words are in {log_file()}")
        time.sleep(0.1)


def stop(local: Local) -> None:
    """End Ray and all its processes."""
    process = local.process()
    if process is not None:
        left = process.children(recursive=True)
        process.terminate()
        _, alive = psutil.wait_procs([process, *left], timeout=_STOP_S)
        for late in alive:
            late.kill()
    _file().unlink(missing_ok=True)


def _environment() -> dict[str, str]:
    """Workers find this package where this process did; secrets are told with each configuration only."""
    root = str(Path(assistant.__file__).parents[1])
    path = os.pathsep.join(part for part in (root, os.environ.get("PYTHONPATH")) if part)
    plain = {name: value for name, value in os.environ.items() if name not in (TOKEN, RESUME)}
    return {**plain, **ENVIRONMENT, "PYTHONPATH": path}


def _free_ports(count: int) -> list[int]:
    with ExitStack() as stack:
        taken = [stack.enter_context(socket.create_server((HOST, 0))) for _ in range(count)]
        return [one.getsockname()[1] for one in taken]


def _file() -> Path:
    return state_file(_FILE)
