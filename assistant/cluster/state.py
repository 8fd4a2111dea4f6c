"""What the commands keep on this machine, and what Ray finds by it. Imports no Ray."""

import os
import secrets
from pathlib import Path

from filelock import FileLock
from platformdirs import user_state_path

from assistant.cluster.environment import ENVIRONMENT


def state_file(name: str) -> Path:
    """A file that the commands find again."""
    return user_state_path("assistant", appauthor=False, ensure_exists=True) / name


def prepare() -> None:
    """Give this process ENVIRONMENT, with the file of Ray's token, which is made once."""
    token = state_file("ray-token")
    with FileLock(state_file("ray-token.lock")):
        if not token.exists():
            token.touch(0o600)
            token.write_text(secrets.token_hex(32), encoding="ascii")
    os.environ.update(ENVIRONMENT | {"RAY_AUTH_TOKEN_PATH": str(token)})
