"""Which files an adapter is, and their digest."""

import hashlib
from pathlib import Path

WEIGHTS, CONFIG = "adapter_model.safetensors", "adapter_config.json"
"""In the hub's form, in a folder; llama.cpp's form is one file."""


def adapter_sha256(path: Path) -> str:
    """See `Adapter.sha256`; raises OSError."""
    weights = path / WEIGHTS if path.is_dir() else path
    digest = hashlib.sha256()
    for file in [weights] if path.suffix == ".gguf" else [weights, weights.with_name(CONFIG)]:
        with file.open("rb") as opened:
            while piece := opened.read(1 << 20):
                digest.update(piece)
    return digest.hexdigest()
