"""The clients of the matrix: what each installs, and an environment of its own for each."""

import shutil
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
ENVIRONMENTS = ROOT / ".venv-conformance"


@dataclass(frozen=True)
class Client:
    """A client: its packages with their versions, and the script that drives it."""

    name: str
    script: Path
    packages: tuple[str, ...]

    @property
    def in_node(self) -> bool:
        """Whether it is JavaScript."""
        return self.script.suffix == ".mjs"


# They cannot share the assistant's environment. It needs websockets 17 and soxr 1.1; openai-agents needs
# websockets below 17, and Pipecat soxr 1.0.
CLIENTS = {
    client.name: client
    for client in (
        Client("openai-python", HERE / "client/openai_python.py", ("openai[realtime]==3.51.0",)),
        Client(
            "openai-agents",
            HERE / "client/openai_agents.py",
            ("openai-agents==0.24.0", "openai==3.51.0", "websockets==16.1.1"),
        ),
        Client(
            "pipecat", HERE / "client/pipecat_service.py", ("pipecat-ai[openai]==1.14.0", "openai==3.51.0")
        ),
        Client(
            "livekit",
            HERE / "client/livekit_session.py",
            ("livekit-agents==1.8.9", "livekit-plugins-openai==1.8.9", "openai==3.51.0"),
        ),
        Client("agents-js", HERE / "js/agents.mjs", ("@openai/agents-realtime@0.20.0",)),
    )
}


class NotInstalled(RuntimeError):  # noqa: N818  # a state, and the reason for it
    """A client cannot be installed here; the message says why."""


def command(client: Client, environments: Path = ENVIRONMENTS) -> list[str]:
    """What runs the client's script, in its environment, which is made where it is missing."""
    home = environments / client.name
    packages = "\n".join(client.packages)
    marker = home / ".installed"
    if not (marker.exists() and marker.read_text() == packages):
        print(f"installing {client.name}", file=sys.stderr, flush=True)
        _install_node(client, home) if client.in_node else _install_python(client, home)
        marker.write_text(packages)
    if client.in_node:
        _copy_scripts(client, home)
        return ["node", str(home / client.script.name)]
    return [str(home / "bin/python"), str(client.script)]


def _install_python(client: Client, home: Path) -> None:
    _run([sys.executable, "-m", "venv", "--clear", str(home)])
    _run([str(home / "bin/python"), "-m", "pip", "install", "--quiet", *client.packages])


def _install_node(client: Client, home: Path) -> None:
    if not shutil.which("npm"):
        raise NotInstalled("npm is not here")
    home.mkdir(parents=True, exist_ok=True)
    _run(["npm", "install", "--silent", "--no-audit", "--no-fund", "--prefix", str(home), *client.packages])


def _copy_scripts(client: Client, home: Path) -> None:
    """Put them where the packages are: Node looks beside the script."""
    for script in client.script.parent.glob("*.mjs"):
        shutil.copy(script, home)


def _run(arguments: Sequence[str]) -> None:
    done = subprocess.run(arguments, capture_output=True, text=True, check=False)
    if done.returncode:
        raise NotInstalled((done.stderr or done.stdout).strip().splitlines()[-1])
