"""Opening an adapter, in whichever of the two forms it is."""

from pathlib import Path

from llm.gguf.config import read_config
from llm.gguf.file import GgufFile
from llm.lora.adapter import Adapter, LoraError
from llm.lora.digest import CONFIG, WEIGHTS, adapter_sha256
from llm.lora.gguf_form import read_gguf
from llm.lora.hub_form import read_hub


def open_adapter(path: Path, base: GgufFile) -> Adapter:
    """The adapter at `path` for the model `base`; raises LoraError, and GgufError of a file of that form.

    A file that ends in `.gguf` is in llama.cpp's form; a folder with `adapter_model.safetensors`, or that
    file itself, is in the hub's (PEFT), with `adapter_config.json` beside it.
    """
    config = read_config(base)
    try:
        if path.suffix == ".gguf":
            return Adapter(path, adapter_sha256(path), read_gguf(path, base, config))
        weights = path / WEIGHTS if path.is_dir() else path
        if weights.suffix != ".safetensors":
            raise LoraError(path, None, f"is neither a GGUF file nor a folder with {WEIGHTS} in it")
        return Adapter(path, adapter_sha256(path), read_hub(weights, weights.with_name(CONFIG), config))
    except OSError as error:
        raise LoraError(path, None, f"cannot be read: {error}") from error
