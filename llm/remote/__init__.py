"""A language model on another machine. `RemoteModel` is in `client`, since loading httpx2 takes time."""

from llm.remote.config import RemoteConfig, RemoteError

__all__ = ["RemoteConfig", "RemoteError"]
