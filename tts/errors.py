"""What can go wrong in the voice."""

from pathlib import Path


class TtsError(Exception):
    """A voice that cannot be used: its model file is missing, damaged or of another kind."""

    def __init__(self, path: Path, reason: str) -> None:
        super().__init__(f"voice model {path}: {reason}")
        self.path = path
        self.reason = reason
