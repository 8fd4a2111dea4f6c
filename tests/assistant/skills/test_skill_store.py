"""The file of skills outlives the process that wrote it, however that ended."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from assistant.skills import Store, StoreError

WRITE = """
import os, signal, sys
from pathlib import Path
from assistant.skills import Store
store = Store(Path(sys.argv[1]))
store.write("CREATE TABLE eggs (count INTEGER)")
store.write("INSERT INTO eggs VALUES (?)", 12)
os.kill(os.getpid(), signal.SIGKILL)
"""


def test_rows_survive_a_process_that_is_killed(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "store.db"
    killed = subprocess.run([sys.executable, "-c", WRITE, str(path)], env=os.environ, timeout=60, check=False)
    assert killed.returncode == -signal.SIGKILL
    store = Store(path)
    assert store.read("SELECT count FROM eggs") == [(12,)]
    store.close()


def test_two_processes_may_have_it_open(tmp_path: Path) -> None:
    one, other = Store(tmp_path / "store.db"), Store(tmp_path / "store.db")
    one.write("CREATE TABLE eggs (count INTEGER)")
    assert other.write("INSERT INTO eggs VALUES (?)", 6) == 1
    assert one.read("SELECT count FROM eggs") == [(6,)]
    one.close()
    other.close()


def test_a_file_that_is_no_database_is_named(tmp_path: Path) -> None:
    path = tmp_path / "store.db"
    path.write_bytes(b"not a database, but long enough to be looked at" * 40)
    with pytest.raises(StoreError, match=r"store\.db: file is not a database"):
        Store(path)


def test_a_place_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x", encoding="utf-8")
    with pytest.raises(StoreError, match="file"):
        Store(tmp_path / "file" / "store.db")
