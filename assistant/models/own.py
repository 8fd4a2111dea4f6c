"""The user's own catalogue: models that were added, and what shipped ones without a digest were pinned to."""

import json
import tempfile
from dataclasses import replace
from pathlib import Path

import platformdirs

from assistant.models.catalog import HubFile, ModelSpec, ModelStoreError, load_catalog
from assistant.spelling import nearest

_HEADER = (
    "# Models of your own: `assistant models add` and `remove` write this file, comments in it are lost.\n"
)


def own_catalog_path() -> Path:
    """Where the user's catalogue is, or would be."""
    return platformdirs.user_config_path("assistant", appauthor=False) / "models.toml"


def load_own() -> dict[str, ModelSpec]:
    """The models of the user's catalogue, all of them optional; raises ModelStoreError."""
    path = own_catalog_path()
    try:
        there = path.is_file()
    except PermissionError:  # a service may not look into the home folder, and has no models of its own
        there = False
    models = load_catalog(path) if there else {}
    return {name: replace(spec, optional=True) for name, spec in models.items()}


def load_catalogs() -> dict[str, ModelSpec]:
    """The shipped catalogue and the user's; raises ModelStoreError for a name that means two things."""
    shipped, own = load_catalog(), load_own()
    for name, spec in own.items():
        if name in shipped and not _pins(spec, shipped[name]):
            taken = f"{own_catalog_path()}: model {name!r} is another one in the catalogue that was installed"
            raise ModelStoreError(f"{taken}; rename it, or run `assistant models remove {name}`")
    return shipped | own


def write(spec: ModelSpec) -> None:
    """Put a model into the user's catalogue, in place of one of its name; raises ModelStoreError."""
    _write({**load_own(), spec.name: spec})


def remove(name: str) -> ModelSpec:
    """Take a model out of the user's catalogue; raises ModelStoreError if it is not there."""
    models = load_own()
    if name not in models:
        raise ModelStoreError(_not_there(name, models))
    _write({key: spec for key, spec in models.items() if key != name})
    return models[name]


def _not_there(name: str, models: dict[str, ModelSpec]) -> str:
    if name in load_catalog():
        return f"model {name} comes with the assistant; only what was added can be removed"
    return f"no model {name!r} was added{nearest(name, models)}; `assistant models list` shows all"


def _pins(own: ModelSpec, shipped: ModelSpec) -> bool:
    """Whether it is the same file of the hub, of which the shipped catalogue names no digest."""
    if shipped.is_pinned or not (isinstance(own.source, HubFile) and isinstance(shipped.source, HubFile)):
        return False
    return (own.source.repo, own.source.file) == (shipped.source.repo, shipped.source.file)


def _write(models: dict[str, ModelSpec]) -> None:
    """Replace the file at once, so that none is ever half there; without models there is none."""
    path = own_catalog_path()
    try:
        if not models:
            path.unlink()
            return
        path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=".models-", dir=path.parent) as folder:
            whole = Path(folder) / path.name
            # UnicodeEncodeError is a ValueError: a path with bytes that are no text.
            whole.write_text(_HEADER + "".join(map(_table, models.values())), encoding="utf-8")
            whole.replace(path)
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else error
        raise ModelStoreError(f"{path}: cannot be written: {reason}; XDG_CONFIG_HOME moves it") from error


def _table(spec: ModelSpec) -> str:
    values: dict[str, str | int | bool | None] = {
        "name": spec.name,
        "role": spec.role,
        "licence": spec.licence,
        "sha256": spec.sha256,
        "size": spec.size,
        "suffix": spec.suffix or None,
    }
    source = spec.source
    if isinstance(source, HubFile):
        hub = {"repo": source.repo, "file": source.file, "revision": source.revision}
        return f"\n[[model]]\n{_lines(values)}[model.hub]\n{_lines(hub)}"
    return f"\n[[model]]\n{_lines({**values, 'path': str(source)})}"


def _lines(values: dict[str, str | int | bool | None] | dict[str, str]) -> str:
    return "".join(f"{key} = {_toml(value)}\n" for key, value in values.items() if value is not None)


def _toml(value: str | int | bool) -> str:
    """JSON is TOML here, but for U+007F, which TOML wants escaped."""
    return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")
