"""A typed conversation on a real terminal: editing, history, Ctrl-C."""

import os
import select
import sys
import time
from pathlib import Path

import pytest

pty = pytest.importorskip("pty", reason="no terminals here")
pytestmark = [
    pytest.mark.models,
    pytest.mark.filterwarnings("ignore:This process:DeprecationWarning"),  # threads of other tests
]

ROOT = Path(__file__).parents[2]
_PATIENCE_S = 120


class Terminal:
    """`assistant chat` behind a pseudo-terminal."""

    def __init__(self, folder: Path) -> None:
        self.shown = ""
        self.pid, self._fd = pty.fork()
        if not self.pid:
            os.chdir(folder)
            words = [sys.executable, "-c", "from assistant.cli import main; main()", "chat"]
            os.execve(sys.executable, words, {**os.environ, "PYTHONPATH": str(ROOT), "TERM": "xterm"})

    def type(self, keys: str) -> None:
        os.write(self._fd, keys.encode())

    def interrupt_prompt(self) -> None:
        """Ctrl-C once somebody waits for a key: CPython loses one between the prompt and its select."""
        self.until("> ")
        time.sleep(1)
        self.type("\x03")

    def until(self, text: str) -> str:
        """What is shown from the last call on, up to `text`."""
        until = time.monotonic() + _PATIENCE_S
        while text not in self.shown:
            assert time.monotonic() < until, self.shown
            if select.select([self._fd], [], [], 1)[0]:
                self.shown += os.read(self._fd, 4096).decode(errors="replace")
        shown, _, self.shown = self.shown.partition(text)
        return shown

    def code(self) -> int:
        """How it ends."""
        until = time.monotonic() + _PATIENCE_S
        while select.select([self._fd], [], [], 1)[0] or time.monotonic() < until:
            try:
                if not os.read(self._fd, 4096):
                    break
            except OSError:  # Linux says so that nobody is there any more
                break
        code = os.waitstatus_to_exitcode(os.waitpid(self.pid, 0)[1])
        os.close(self._fd)
        return code


def test_keys_edit_recall_stop_and_leave(tmp_path: Path) -> None:
    terminal = Terminal(tmp_path)
    terminal.until("> ")
    terminal.type("hat is the capital of France?\x01W\r")  # Ctrl-A, and the letter that is missing
    terminal.until("Paris")
    terminal.until("> ")
    terminal.type("\x1b[A\r")  # the line before
    terminal.until("Paris")
    terminal.until("> ")
    terminal.type("Tell me everything about the history of Rome.\r")
    terminal.until("Rome.\r\n")  # the echo of what was typed
    terminal.until(" ")  # behind the first word of the reply, whatever it is
    terminal.type("\x03")
    terminal.until("> ")
    terminal.type("What is the capital of France?\r")
    terminal.until("Paris")
    terminal.interrupt_prompt()
    terminal.until("Ctrl-C again")
    terminal.interrupt_prompt()
    assert terminal.code() == 130


def test_ctrl_d_leaves(tmp_path: Path) -> None:
    terminal = Terminal(tmp_path)
    terminal.until("> ")
    terminal.type("\x04")
    assert terminal.code() == 0
