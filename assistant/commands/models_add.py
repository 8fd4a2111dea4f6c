"""`assistant models add`: a language model of the user's own, from the hub or from a file."""

import hashlib
import re
from pathlib import Path

import typer

from assistant.models import own
from assistant.models.catalog import HubFile, ModelSpec, ModelStoreError
from assistant.models.hub import PREFIX, UNKNOWN, read_reference
from assistant.models.progress import add_with_bar
from assistant.models.store import ModelStore
from llm.cpu.graph import check_heads
from llm.gguf import GgufError, open_gguf, read_config
from llm.text import ChatTemplate, ChatTemplateError, Tokenizer, TokenizerError

_NAME = re.compile(r"[a-z0-9][a-z0-9._-]*(?<!\.gguf)")


def run_add(store: ModelStore, source: str, name: str | None) -> None:
    """Put the model of `source` into the user's catalogue, once it is here and can be run; say how to use it.

    `name` is by default the file's, in small letters. Raises ModelStoreError, and then nothing has changed.
    """
    found = read_reference(source) if source.startswith(PREFIX) else _own_file(source)
    name = _free_name(store, found, name)
    spec = ModelSpec(name, "llm", UNKNOWN, found, None, None, ".gguf", optional=True)
    added = add_with_bar(store, spec, check_runs) if isinstance(found, HubFile) else _add_file(spec, found)
    typer.echo(_summary(added))
    typer.echo(f'To use it, write into your configuration:\n\n[llm]\nmodel = "{name}"\n')
    typer.echo(f"Whether this machine is fast enough for it: assistant memory {name} --speed")


def check_runs(spec: ModelSpec, path: Path) -> None:
    """Read all that says what the file is; raises ModelStoreError if the engine cannot run it."""
    try:
        gguf = open_gguf(path)
        check_heads(gguf, read_config(gguf))
        ChatTemplate.from_gguf(gguf, Tokenizer.from_gguf(gguf))
    except (GgufError, TokenizerError, ChatTemplateError) as error:
        reason = str(error).replace(f"{path}: ", "")
        raise ModelStoreError(f"model {spec.name}: this engine cannot run it: {reason}") from None


def _own_file(source: str) -> Path:
    path = Path(source).expanduser().absolute()
    if not path.is_file():
        hint = f"a model of the hub is written {PREFIX}OWNER/REPO/FILE.gguf"
        raise ModelStoreError(f"{source}: there is no such file; {hint}")
    return path


def _add_file(spec: ModelSpec, path: Path) -> ModelSpec:
    check_runs(spec, path)
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    spec = ModelSpec(spec.name, spec.role, spec.licence, path, digest, path.stat().st_size, optional=True)
    own.write(spec)
    return spec


def _free_name(store: ModelStore, source: HubFile | Path, wanted: str | None) -> str:
    file = source.file if isinstance(source, HubFile) else str(source)
    derived = re.sub(r"[^a-z0-9._-]", "-", Path(file).stem.lower()).lstrip("._-")
    name = derived if wanted is None else wanted
    if not _NAME.fullmatch(name):
        raise ModelStoreError(
            f"{name!r} cannot be a name: small letters, digits and ._- can, without .gguf; choose with --name"
        )
    if name in store.catalog:
        raise ModelStoreError(f"the name {name!r} is taken; {_way_out(store.catalog[name], source)}")
    return name


def _way_out(holder: ModelSpec, source: HubFile | Path) -> str:
    same = isinstance(holder.source, HubFile) and isinstance(source, HubFile)
    if same and not holder.is_pinned and _place(holder.source) == _place(source):
        return f"it is this file: run `assistant models fetch {holder.name}`"
    removed = f", or run `assistant models remove {holder.name}`" if holder.name in own.load_own() else ""
    return f"choose another with --name{removed}"


def _place(source: object) -> tuple[str, str] | None:
    return (source.repo, source.file) if isinstance(source, HubFile) else None


def _summary(spec: ModelSpec) -> str:
    assert spec.size is not None
    assert spec.sha256 is not None
    origin = f"commit {spec.source.revision[:12]}" if isinstance(spec.source, HubFile) else f"{spec.source}"
    facts = f"{spec.size / 1e6:.1f} MB, licence {spec.licence}, SHA-256 {spec.sha256[:12]}, {origin}"
    return f"added {spec.name}: {facts}"
