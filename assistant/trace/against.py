"""Recordings of this tree and of another commit of it, made by turns."""

import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

from assistant.trace.errors import TraceError

_ASSISTANT = ("-P", "-c", "from assistant.cli import main; main()")  # -P: not the tree that we are in
_BUILD = ("-c", "from setuptools import setup; setup()", "build_ext", "--inplace")
_KERNELS = Path("kernels", "cpu")


def record_against(
    root: Path, commit: str, clips: Sequence[Path], rounds: int, into: Path, said: Callable[[str], None]
) -> tuple[list[Path], list[Path]]:
    """Replay `clips` with the code of `commit` and with that of `root`, `rounds` times, by turns.

    The recordings go to `into`/a and `into`/b; their folders are given back. Every second round begins with
    `root`, so that a machine that gets steadily slower does so for both. The commit's tree is a temporary
    one. Raises TraceError: no git repository or commit, kernels that cannot be built, a replay that fails.
    """
    made: tuple[list[Path], list[Path]] = ([], [])
    with _worktree(root, commit) as tree:
        sides = [("a", commit, tree, made[0]), ("b", "this tree", root, made[1])]
        for number in range(rounds):
            for side, name, code, folders in sides[:: -1 if number % 2 else 1]:
                said(f"round {number + 1} of {rounds}: {name} ...")
                folders.append(into / side / f"{number + 1:02}")
                folders[-1].parent.mkdir(parents=True, exist_ok=True)
                _replay(name, code, clips, folders[-1])
    return made


@contextmanager
def _worktree(root: Path, commit: str) -> Iterator[Path]:
    """A temporary tree of `commit`, ready to run; raises TraceError."""
    top = _git(root, "rev-parse", "--show-toplevel")
    if top is None or Path(top).resolve() != root.resolve():
        raise TraceError(f"{root}: is no git repository, so there is no {commit:.40} to compare with")
    digest = _git(root, "rev-parse", "--verify", "--quiet", "--end-of-options", f"{commit}^{{commit}}")
    if digest is None:
        raise TraceError(f"{commit:.40}: is no commit of {root}")
    with TemporaryDirectory(prefix="assistant-compare-") as name:
        tree = Path(name) / "tree"
        try:
            if _git(root, "worktree", "add", "--quiet", "--detach", str(tree), digest) is None:
                raise TraceError(f"{commit:.40}: git cannot make a worktree of it at {tree}")
            if not (tree / "assistant" / "cli.py").exists():
                raise TraceError(f"{commit:.40}: has no assistant/cli.py to replay with")
            _give_kernels(root, tree, digest, commit)
            yield tree
        finally:
            _git(root, "worktree", "remove", "--force", str(tree))
            _git(root, "worktree", "prune")


def _git(root: Path, *words: str) -> str | None:
    """What git says, None if it fails; raises TraceError if there is none."""
    try:
        done = subprocess.run(("git", "-C", str(root), *words), capture_output=True, text=True, check=False)
    except FileNotFoundError as error:
        raise TraceError("git: not found; --against needs it") from error
    return None if done.returncode else done.stdout.strip()


def _give_kernels(root: Path, tree: Path, digest: str, commit: str) -> None:
    """Give `tree` compiled kernels, which no commit holds: `root`'s if from the same sources, else built."""
    built = sorted((root / _KERNELS).glob("*.so"))
    sources = [f":(glob){_KERNELS.as_posix()}/*.{ending}" for ending in "ch"]
    if not built or not list((tree / _KERNELS).glob("*.c")):
        return
    if _git(root, "diff", "--quiet", digest, "--", *sources) is not None:
        for library in built:
            shutil.copy2(library, tree / _KERNELS)
        return
    done = subprocess.run((sys.executable, *_BUILD), cwd=tree, capture_output=True, text=True, check=False)
    if done.returncode or not list((tree / _KERNELS).glob("*.so")):
        raise TraceError(f"{commit:.40}: its kernels cannot be built: {_last_line(done.stderr)}")


def _replay(name: str, code: Path, clips: Sequence[Path], folder: Path) -> None:
    words = [sys.executable, *_ASSISTANT, "replay", *map(str, clips), "--record", str(folder)]
    path = {"PYTHONPATH": str(code)}
    done = subprocess.run(words, capture_output=True, text=True, check=False, env={**os.environ, **path})
    if done.returncode:
        raise TraceError(f"{name:.40}: the replay failed: {_last_line(done.stderr)}")


def _last_line(text: str) -> str:
    return next((line for line in reversed(text.splitlines()) if line.strip()), "it said nothing")
