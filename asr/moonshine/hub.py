"""Moonshine checkpoints in the hub's form: a folder, or a repository's id."""

import re
from dataclasses import dataclass
from pathlib import Path

from huggingface_hub import snapshot_download
from huggingface_hub.errors import HFValidationError

from asr.moonshine.config import MoonshineConfig
from asr.moonshine.hub_config import read_config
from asr.moonshine.hub_weights import StateDict, read_weights
from asr.moonshine.vocabulary import read_tokenizer, read_vocabulary
from asr.onnx import ModelFileError

_FILES = ["config.json", "*.safetensors", "model.safetensors.index.json", "tokenizer.json", "tokenizer.bin"]
_REPOSITORY = re.compile(r"[\w-][\w.-]*/[\w-][\w.-]*")


@dataclass(frozen=True)
class HubCheckpoint:
    """The shapes and weights of a checkpoint, named as below `model.encoder` and `model.decoder`."""

    encoder: MoonshineConfig
    decoder: MoonshineConfig
    encoder_state: StateDict
    decoder_state: StateDict
    vocabulary: list[bytes]


def load_hub(path_or_repo: str) -> HubCheckpoint:
    """Read the checkpoint in a folder, or fetch one (`UsefulSensors/moonshine-tiny`) into the hub's cache.

    Raises ModelFileError, which names the file and the tensor, for what is no such checkpoint.
    """
    folder = _folder(path_or_repo)
    encoder, decoder = read_config(folder / "config.json")
    weights = read_weights(folder, encoder, decoder)
    return HubCheckpoint(encoder, decoder, *weights, _vocabulary(folder, decoder.vocabulary))


def _folder(path_or_repo: str) -> Path:
    folder = Path(path_or_repo).expanduser()
    if folder.is_dir():
        return folder
    if not _REPOSITORY.fullmatch(path_or_repo) or folder.exists():
        raise ModelFileError(f"{path_or_repo}: neither a folder nor a hub repository (owner/name)")
    try:
        return Path(snapshot_download(path_or_repo, allow_patterns=_FILES))
    except (OSError, HFValidationError) as error:  # what the hub raises over its network are OSErrors
        reason = " ".join(str(error).split())
        raise ModelFileError(f"{path_or_repo}: no such folder, and not from the hub: {reason}") from error


def _vocabulary(folder: Path, size: int) -> list[bytes]:
    for name, read in (("tokenizer.json", read_tokenizer), ("tokenizer.bin", read_vocabulary)):
        if (path := folder / name).is_file():
            tokens = read(path)
            if len(tokens) > size:
                raise ModelFileError(f"{path}: {len(tokens)} tokens for a model of {size}")
            # Embeddings are often padded to a round number; the rows that pad spell nothing.
            return tokens + [b""] * (size - len(tokens))
    raise ModelFileError(f"{folder}: neither tokenizer.json nor tokenizer.bin in it")
