"""GGUF files: what they say of a model, and its weights."""

from llm.gguf.config import LlamaConfig, read_config
from llm.gguf.file import GgufError, GgufFile, open_gguf

__all__ = ["GgufError", "GgufFile", "LlamaConfig", "open_gguf", "read_config"]
