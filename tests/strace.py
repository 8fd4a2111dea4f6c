"""The sockets that a program opens and the files that it changes, as strace sees them."""

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

# With a question mark: not on every processor.
_OPENS = "?open,openat,?creat,?mkdir,mkdirat,?symlink,symlinkat"
_RENAMES = "?rename,?renameat,renameat2,?link,linkat,?unlink,unlinkat"
_CALL = re.compile(r"^\d+ +(\w+)\((.*)$", re.MULTILINE)
_PATH = re.compile(r'(?:(?:AT_FDCWD|\d+)<([^>]*)>, )?"([^"]*)"')


@dataclass(frozen=True)
class Traced:
    """How a program ended, and what it did besides computing."""

    code: int
    output: str
    sockets: list[str]
    """System calls that open a socket: the network, and the name service of this machine."""
    changed: set[Path]
    """Files and folders created, opened for writing, renamed or removed, with or without success."""


def unsupported_reason() -> str | None:
    """What keeps programs from being traced here; None if they can be."""
    if not shutil.which("strace"):
        return "no strace"
    tried = subprocess.run(_strace(os.devnull, ["true"]), capture_output=True, text=True, check=False)
    return None if tried.returncode == 0 else f"strace cannot trace here: {tried.stderr.strip()[-200:]}"


def trace(code: str, cwd: Path, log: Path, environment: Mapping[str, str]) -> Traced:
    """Run Python code in a process of its own. Sockets are refused: nothing leaves the machine."""
    command = _strace(log, [sys.executable, "-c", code])
    done = subprocess.run(command, cwd=cwd, env=environment, capture_output=True, text=True, check=False)
    calls = _CALL.findall(log.read_text(errors="replace"))
    return Traced(
        done.returncode,
        done.stdout + done.stderr,
        [f"{name}({rest}" for name, rest in calls if name == "socket"],
        {path for name, rest in calls if name != "socket" for path in _changed(name, rest, cwd)},
    )


def _strace(log: Path | str, command: Sequence[str]) -> list[str]:
    options = ["-f", "-y", "--seccomp-bpf", "-s", "4096", "-e", f"trace=socket,{_OPENS},{_RENAMES}"]
    return ["strace", *options, "-e", "inject=socket:error=EACCES", "-o", str(log), *command]


def _changed(name: str, arguments: str, cwd: Path) -> list[Path]:
    if name in ("open", "openat") and not re.search("O_(WRONLY|RDWR|CREAT)", arguments):
        return []
    return [cwd / folder / path for folder, path in _PATH.findall(arguments)]
