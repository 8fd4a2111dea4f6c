"""Files prepared from a model's file: what took seconds to build is mapped when it is wanted again.

What belongs together is a folder, named by a digest of all that it depends on. It appears whole, by a rename,
and carries the SHA-256 of its files: one that is damaged is built again.
"""

import hashlib
import shutil
import tempfile
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

_DIGEST_FILE = "sha256"

Files = Mapping[str, NDArray[np.uint8]]
"""The bytes of each file, by its name."""


@dataclass(frozen=True)
class PreparedFiles:
    """Prepared files in folders of `root`; None keeps them in memory only."""

    root: Path | None

    def get(self, source: Path, variant: str, build: Callable[[], Files]) -> Files:
        """The files for the model file `source` in one `variant`; built, and kept if the disk lets us.

        A folder that is missing, half-written, damaged or unreadable is a reason to build, not an error.
        """
        if self.root is None:
            return build()
        folder = self.root / _key(source, variant)
        with suppress(OSError, ValueError):
            return _read(folder)
        files = build()
        with suppress(OSError):  # a full disk or a read-only one: the next start builds again
            _write(folder, files)
        return files


def _key(source: Path, variant: str) -> str:
    with source.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256")
    digest.update(f"\n{variant}".encode())
    return digest.hexdigest()[:32]


def _read(folder: Path) -> Files:
    """Raises OSError, or ValueError if the files are not those that were written."""
    expected = (folder / _DIGEST_FILE).read_text()
    files = {path.name: _map(path) for path in folder.iterdir() if path.name != _DIGEST_FILE}
    if _digest(files) != expected:
        raise ValueError(f"{folder} is damaged")
    return files


def _map(path: Path) -> NDArray[np.uint8]:
    if not path.stat().st_size:  # which cannot be mapped
        return np.zeros(0, np.uint8)
    return np.memmap(path, np.uint8, mode="r")


def _write(folder: Path, files: Files) -> None:
    """Write a folder beside `folder` and rename it; nothing is left if that fails."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    new = Path(tempfile.mkdtemp(prefix=f"{folder.name}.", dir=folder.parent))
    try:
        _sweep(folder, new)
        for name, data in files.items():
            (new / name).write_bytes(data.data)
        (new / _DIGEST_FILE).write_text(_digest(files))
        shutil.rmtree(folder, ignore_errors=True)  # a damaged one
        new.replace(folder)  # fails if another process was first, whose folder is as good
    finally:
        shutil.rmtree(new, ignore_errors=True)


def _sweep(folder: Path, new: Path) -> None:
    """Remove what killed processes left of `folder`.

    Each is moved first, so that a process which still writes there loses it whole: it can rename nothing, and
    goes on with what it has built.
    """
    for left in folder.parent.glob(f"{folder.name}.*"):
        if left != new:
            with suppress(OSError):  # it is renamed by now
                shutil.rmtree(left.replace(new / "left"), ignore_errors=True)


def _digest(files: Files) -> str:
    digest = hashlib.sha256()
    for name, data in sorted(files.items()):
        digest.update(name.encode())
        digest.update(hashlib.sha256(data.data).digest())
    return digest.hexdigest()
