"""What Python code of a program asks of the network, of files and of other programs, as audit hooks see it.

Unlike strace it works everywhere; it does not see what libraries do in their own code.
"""

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

_WATCH = """
import atexit, json, os, sys
seen = {"network": [], "changed": [], "started": []}
NETWORK = {f"socket.{name}" for name in (
    "connect", "bind", "sendto", "sendmsg", "getaddrinfo", "gethostbyname", "gethostbyaddr", "getnameinfo"
)}
STARTS = {"subprocess.Popen", "os.exec", "os.fork", "os.forkpty", "os.posix_spawn", "os.system"}
CHANGES = {"os.mkdir", "os.rename", "os.remove", "os.rmdir", "os.link", "os.symlink", "os.truncate"}
WRITES = os.O_WRONLY | os.O_RDWR | os.O_CREAT
def hook(event, args):
    if event in NETWORK:
        seen["network"].append(f"{event}{args[event in ('socket.connect', 'socket.bind'):]!r}")
    elif event in STARTS:
        seen["started"].append(f"{event}{args!r}")
    elif event == "open" and not isinstance(args[0], int) and (args[2] or 0) & WRITES:
        seen["changed"].append(os.path.abspath(os.fsdecode(args[0])))
    elif event in CHANGES:
        seen["changed"] += [os.path.abspath(os.fsdecode(path)) for path in args if isinstance(path, str)]
sys.addaudithook(hook)
def tell():
    told = json.dumps(seen)
    with open(os.environ["AUDITED"], "w") as file:
        file.write(told)
atexit.register(tell)
"""


@dataclass(frozen=True)
class Audited:
    """How a program ended, and what it did besides computing."""

    code: int
    output: str
    network: list[str]
    """Names looked up, and addresses connected to, bound or sent to."""
    changed: set[Path]
    """Files and folders created, opened for writing, renamed or removed."""
    started: list[str]
    """Other programs."""


def audit(code: str, cwd: Path, log: Path, environment: Mapping[str, str]) -> Audited:
    """Run Python code in a process of its own, watched from before its first import."""
    command = [sys.executable, "-c", _WATCH + code]
    done = subprocess.run(
        command,
        cwd=cwd,
        env={**environment, "AUDITED": str(log)},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
    seen = json.loads(log.read_text()) if log.exists() else {"network": [], "changed": [], "started": []}
    changed = {Path(os.path.normpath(path)) for path in seen["changed"]}
    return Audited(done.returncode, done.stdout + done.stderr, seen["network"], changed, seen["started"])
