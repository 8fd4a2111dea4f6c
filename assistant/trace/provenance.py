"""Which models a result was made with: name and digest of each."""

import hashlib
from importlib.resources import files
from pathlib import Path

from assistant.config import Config
from assistant.models.load import model_names
from assistant.models.own import load_catalogs
from assistant.models.speech import voice_model


def model_digests(config: Config) -> list[dict[str, str]]:
    """Name and SHA-256 of every model that `config` uses; those of the store were verified on loading."""
    catalog = load_catalogs()
    stored = [{"name": name, "sha256": catalog[name].sha256 or ""} for name in model_names(config)]
    own = Path(config.llm.model)
    brought = [{"name": own.name, "sha256": _sha256(own)}] if config.llm.is_path else []
    packaged = Path(str(files("hibari") / "assets" / "hibari.onnx"))
    in_package = voice_model(config.tts) is None
    voice = [{"name": "hibari-heart", "sha256": _sha256(packaged)}] if in_package else []
    return [*stored, *brought, *voice]


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
