"""The old place of RemoteError, until its importers take it from `llm.remote`."""

from llm.remote.config import RemoteError

__all__ = ["RemoteError"]
