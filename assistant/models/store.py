"""The model store: fetches each model of the catalogue once, and hands out a file only with the right digest.

A file is downloaded and unpacked in a temporary folder inside the store and renamed into place once its
SHA-256 is right, so a failure, Ctrl-C or a second process at the same time never leaves half a file. With
every model in place nothing but those files is opened: no socket, no child process.
"""

import hashlib
import os
import shutil
import tempfile
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

import platformdirs

from assistant.models import hub, own
from assistant.models.catalog import ModelSpec, ModelStoreError, load_catalog
from assistant.models.hub import SourceError
from assistant.models.sources import Progress, by_download, download, unpack
from assistant.spelling import nearest

__all__ = [
    "ModelSpec",
    "ModelState",
    "ModelStore",
    "ModelStoreError",
    "Progress",
    "cache_dir",
    "load_catalog",
]

_TEMPORARY = ".fetch-"
_ABANDONED_S = 24 * 3600

Settle = Callable[[ModelSpec, Path], None]
"""Called with a model and its verified file; raises what keeps it from getting into place."""


@dataclass(frozen=True)
class ModelState:
    """How a model's file is; `problem` is None if it is ok, else one line with the command that mends it."""

    name: str
    state: Literal["ok", "missing", "corrupt"]
    path: Path
    problem: str | None


def cache_dir() -> Path:
    """Return the assistant's per-user cache folder: $ASSISTANT_CACHE, or the platform's place for caches."""
    override = os.environ.get("ASSISTANT_CACHE")
    if override:
        return Path(override).expanduser()
    return platformdirs.user_cache_path("assistant", appauthor=False)


class ModelStore:
    """The models of a catalogue in a folder, by default of the shipped one and the user's own.

    Methods raise ModelStoreError; `offline` forbids downloading.
    """

    def __init__(
        self,
        root: Path | None = None,
        catalog: Mapping[str, ModelSpec] | None = None,
        offline: bool = False,
    ) -> None:
        self.root = root or cache_dir() / "models"
        self.catalog = own.load_catalogs() if catalog is None else catalog
        self.offline = offline

    def path(self, name: str) -> Path:
        """Return the model's file, fetched if it is missing, with its SHA-256 checked in this call."""
        if not self._file(self._spec(name)).is_file():
            self.fetch([name])
        state = self.status(name)
        if state.problem:
            raise ModelStoreError(state.problem)
        return state.path

    def default_names(self) -> list[str]:
        """Return the models that the assistant needs: those of the catalogue that are not optional."""
        return [spec.name for spec in self.catalog.values() if not spec.optional]

    def status(self, name: str) -> ModelState:
        """Read the model's file, if it is there, and say how it is. Fetches nothing."""
        spec = self._spec(name)
        path = self._file(spec)
        try:
            with path.open("rb") as file:
                found = hashlib.file_digest(file, "sha256").hexdigest()
        except (FileNotFoundError, NotADirectoryError):
            problem = f"model {name}: {path} does not exist; {self._remedy(spec)}"
            return ModelState(name, "missing", path, problem)
        except OSError as error:
            problem = f"model {name}: {path}: {error.strerror}; {self._remedy(spec, force=True)}"
            return ModelState(name, "corrupt", path, problem)
        if spec.sha256 in (None, found):
            return ModelState(name, "ok", path, None)
        problem = f"model {name}: {path}: SHA-256 mismatch (expected {spec.sha256}, found {found}); "
        return ModelState(name, "corrupt", path, problem + self._remedy(spec, force=True))

    def verify(self, names: Iterable[str]) -> list[ModelState]:
        """Return the status of each model."""
        return [self.status(name) for name in names]

    def fetch(self, names: Iterable[str], *, force: bool = False, progress: Progress | None = None) -> None:
        """Put these models in place, verified; only with `force` download again what is there already.

        A file that is there and corrupt is refused, not replaced, without `force`.
        An interruption leaves nothing half-written and no temporary folder.
        """
        wanted = []
        for name in dict.fromkeys(names):
            spec = self._spec(name)
            state = self.status(name)
            downloaded = not isinstance(spec.source, Path)
            if downloaded and (force or state.state == "missing"):
                wanted.append(spec)
            elif state.problem:
                raise ModelStoreError(state.problem)
        if wanted and self.offline:
            missing = f"model {wanted[0].name}: it may not be downloaded in offline mode"
            raise ModelStoreError(f"{missing}; {self._remedy(wanted[0])} with a network")
        for spec in wanted:
            if not spec.is_pinned:
                self.add(spec, progress=progress)
        for group in by_download(spec for spec in wanted if spec.is_pinned):
            self._fetch_together(group, progress or _silent)

    def add(
        self, spec: ModelSpec, check: Settle | None = None, progress: Progress | None = None
    ) -> ModelSpec:
        """Put a file of the hub in place as it is there now, and write it, pinned, into the user's catalogue.

        Whatever `check` raises for the file, which has its digest by then, leaves neither.
        """

        def settle(pinned: ModelSpec, file: Path) -> None:
            if check:
                check(pinned, file)
            own.write(pinned)
            self.catalog = {**self.catalog, pinned.name: pinned}

        self._fetch_together([spec], progress or _silent, settle)
        return self.catalog[spec.name]

    def remove(self, name: str) -> ModelSpec:
        """Take a model out of the user's catalogue, and its file away if it was fetched; what it was."""
        spec = own.remove(name)
        self.catalog = {key: value for key, value in self.catalog.items() if key != name}
        if not isinstance(spec.source, Path):
            self._file(spec).unlink(missing_ok=True)
        return spec

    def _spec(self, name: str) -> ModelSpec:
        if name not in self.catalog:
            raise ModelStoreError(
                f"unknown model {name!r}{nearest(name, self.catalog)}; `assistant models list` shows all"
            )
        return self.catalog[name]

    def _file(self, spec: ModelSpec) -> Path:
        if isinstance(spec.source, Path):
            return spec.source
        # The digest in the name keeps two releases with different files of one name apart.
        return self.root / f"{spec.name}-{(spec.sha256 or '')[:8]}{spec.suffix}"

    def _remedy(self, spec: ModelSpec, force: bool = False) -> str:
        if isinstance(spec.source, Path):
            again = f"`assistant models remove {spec.name}`, then `assistant models add` it"
            return f"put the right file there or correct its path in the catalogue: {again}"
        if spec.name not in self.catalog:  # it is being added
            return "run the same command"
        return f"run `assistant models fetch {'--force ' if force else ''}{spec.name}`"

    def _fetch_together(
        self, specs: Sequence[ModelSpec], progress: Progress, settle: Settle | None = None
    ) -> None:
        """Fetch models that come out of the same download; `settle` has the last word on each."""
        spec = specs[0]
        try:
            self.root.mkdir(parents=True, exist_ok=True)
            self._sweep()
            specs = [spec if spec.is_pinned else hub.pinned(spec) for spec in specs]
            with tempfile.TemporaryDirectory(prefix=_TEMPORARY, dir=self.root) as folder:
                downloaded = download(specs[0], Path(folder) / "download", progress)
                for spec in specs:
                    target = Path(folder) / spec.name
                    found = replace(spec, sha256=unpack(spec, downloaded, target))
                    if settle:
                        settle(found, target)
                    target.replace(self._file(found))
        except SourceError as error:
            again = (
                f"; then {self._remedy(spec)}" if error.is_final else f"; {self._remedy(spec)} to try again"
            )
            raise ModelStoreError(f"model {spec.name}: {error}{again}") from error
        except OSError as error:
            where = f"model {spec.name}: cannot write in {self.root}: {error.strerror}"
            fix = "make room there or set ASSISTANT_CACHE to another folder"
            raise ModelStoreError(f"{where}; {fix}, then {self._remedy(spec)}") from error

    def _sweep(self) -> None:
        """Remove temporary folders of processes that were killed; a day is longer than any fetch."""
        for folder in self.root.glob(f"{_TEMPORARY}*"):
            try:
                abandoned = time.time() - folder.stat().st_mtime > _ABANDONED_S
            except FileNotFoundError:
                continue  # another process has just finished
            if abandoned:
                shutil.rmtree(folder, ignore_errors=True)


def _silent(_label: str, _done: int, _total: int) -> None:
    pass
