"""Which models a result was made with: name and digest of each."""

import hashlib
from importlib.resources import files
from pathlib import Path

from assistant.config import Config, LlmConfig
from assistant.models.load import model_names
from assistant.models.own import load_catalogs
from assistant.models.speech import voice_model
from llm.lora import LoraError, adapter_sha256


def model_digests(config: Config) -> list[dict[str, str]]:
    """Name and SHA-256 of every model that `config` uses; those of the store were verified on loading."""
    catalog = load_catalogs()
    stored = [{"name": name, "sha256": catalog[name].sha256 or ""} for name in model_names(config)]
    own = Path(config.llm.model)
    brought = [{"name": own.name, "sha256": _sha256(own)}] if config.llm.is_path else []
    chosen = config.llm.chosen_adapter
    if chosen is not None and chosen not in catalog:
        brought.append({"name": Path(chosen).name, "sha256": _of_adapter(chosen)})
    packaged = Path(str(files("hibari") / "assets" / "hibari.onnx"))
    in_package = voice_model(config.tts) is None
    voice = [{"name": "hibari-heart", "sha256": _sha256(packaged)}] if in_package else []
    return [*stored, *brought, *voice]


def model_version(config: LlmConfig) -> str:
    """The language model's name, without the folders of a file; with an adapter `model:adapter@digest`."""
    if config.is_remote:
        return config.remote.model or "remote"
    model = Path(config.model).stem if config.is_path else config.model
    chosen = config.chosen_adapter
    if chosen is None:
        return model
    adapter = Path(chosen)
    name = adapter.stem if adapter.suffix in (".gguf", ".safetensors") else adapter.name
    return f"{model}:{name}@{_of_adapter(chosen)[:12]}"


def _of_adapter(chosen: str) -> str:
    """SHA-256 of the adapter, as `llm.lora.Adapter` has it; raises LoraError."""
    catalog = load_catalogs()
    if chosen in catalog:
        return catalog[chosen].sha256 or ""
    try:
        return adapter_sha256(path := Path(chosen))
    except OSError as error:
        raise LoraError(path, None, f"cannot be read: {error}") from error


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
