"""`assistant serve --resume`, by the optional package redis (extra `cluster`)."""

from pathlib import Path
from typing import TYPE_CHECKING

from assistant.config import ServerConfig
from assistant.server.errors import ServerError

if TYPE_CHECKING:
    from assistant.server.redis_store import RedisStore

MISSING = "the client of Redis is not installed: pip install -e '.[cluster]'"


def open_store(config: ServerConfig, record: Path | None) -> "RedisStore | None":
    """Where conversations are kept, if they are; raises ServerError."""
    if config.resume is None:
        return None
    if record is not None:
        why = "a trace begins with its conversation, and one that is resumed has begun elsewhere"
        raise ServerError(f"{why}: --record or --resume")
    try:
        from assistant.server.redis_store import RedisStore  # noqa: PLC0415  # optional
    except ImportError as error:
        raise ServerError(MISSING) from error
    return RedisStore(config.resume, config.token, config.resume_s, config.resume_bytes)
