"""What skills keep: a SQLite file, in which each has tables of its own."""

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

_BUSY_S = 0.25
"""How long a call waits for another process, which has the file for a moment; nobody is heard meanwhile."""


class StoreError(Exception):
    """The file cannot be used; the message names it."""


class Store:
    """Rows that survive the process, also one that is killed. Without a path they are kept in memory.

    Used by one thread at a time. Each call is a short transaction of its own: with a write-ahead log and
    without waiting for the disk it takes well below a millisecond, and a loss of power may cost the last.
    """

    def __init__(self, path: Path | None = None) -> None:
        """Raises StoreError."""
        self._path = path
        with self._named():
            if path is not None:
                path.parent.mkdir(parents=True, exist_ok=True)
            self._connection = sqlite3.connect(
                path or ":memory:", isolation_level=None, timeout=_BUSY_S, check_same_thread=False
            )
            self._connection.execute("PRAGMA journal_mode=WAL")
            self._connection.execute("PRAGMA synchronous=NORMAL")

    def read(self, sql: str, *values: object) -> list[tuple[object, ...]]:
        """The rows that `sql` finds; raises StoreError."""
        with self._named():
            return self._connection.execute(sql, values).fetchall()

    def write(self, sql: str, *values: object) -> int:
        """Change something, durably; the id of the row that was added last. Raises StoreError."""
        with self._named():
            return self._connection.execute(sql, values).lastrowid or 0

    def close(self) -> None:
        """Give the file back."""
        self._connection.close()

    @contextmanager
    def _named(self) -> Iterator[None]:
        try:
            yield
        except (OSError, sqlite3.Error) as error:
            raise StoreError(f"{self._path or 'the store'}: {error}") from error
