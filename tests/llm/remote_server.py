"""The test's end of openai_server.py: starts it, gives it scripts, hears what happened."""

import json
import subprocess
import sys
import threading
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from queue import Empty, Queue
from typing import Any, Literal, Self

SSE = {"Content-Type": "text/event-stream; charset=utf-8"}
CHUNKED = {**SSE, "Transfer-Encoding": "chunked"}
_HANG_S = 30  # what has not happened by then never will


def chunk(text: str | None, finish: str | None = None, **delta: object) -> str:
    """A chat completion chunk as an event."""
    choice = {"index": 0, "delta": {"content": text, **delta}, "finish_reason": finish}
    return event({"object": "chat.completion.chunk", "choices": [choice]})


def event(data: object) -> str:
    """An event whose data is JSON."""
    return f"data: {json.dumps(data, ensure_ascii=False)}\n\n"


DONE = "data: [DONE]\n\n"
ROLE = chunk("", role="assistant")


@dataclass(frozen=True)
class Step:
    """How one request is answered: `pieces` are sent one by one, each in a chunk of its own if chunked.

    Without a status nothing is sent before the pieces. `then`: end properly, close in the middle, send no
    more and wait until the client goes, or send the last piece again and again until then.
    """

    pieces: Sequence[str] = ()
    then: Literal["end", "die", "hang", "forever"] = "end"
    status: int | None = 200
    headers: dict[str, str] = field(default_factory=lambda: CHUNKED)


@dataclass
class RemoteServer:
    """A running server; `happened` is what it told of the present script."""

    process: subprocess.Popen[str]
    port: int = 0
    script: int = 0
    happened: list[dict[str, Any]] = field(default_factory=list)
    told: Queue[dict[str, Any]] = field(default_factory=Queue)

    @classmethod
    def start(cls, *args: str) -> Self:
        """Start one, on a free port."""
        command = [sys.executable, str(Path(__file__).with_name("openai_server.py")), *args]
        process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        server = cls(process)
        threading.Thread(target=server._listen, daemon=True).start()
        server.port = server.until("bound")["port"]
        return server

    def _listen(self) -> None:
        assert self.process.stdout
        for line in self.process.stdout:
            self.told.put(json.loads(line))

    def play(self, *steps: Step) -> None:
        """Answer the next requests so. The script before must have been played to its end."""
        self.script, self.happened = self.script + 1, []
        self._write([asdict(step) for step in steps])
        self.until("ready")

    def _write(self, line: object) -> None:
        assert self.process.stdin
        self.process.stdin.write(json.dumps(line) + "\n")
        self.process.stdin.flush()

    def until(self, what: str) -> dict[str, Any]:
        """Wait until that has happened."""
        while not self.has(what):
            self._hear(self.told.get(timeout=_HANG_S))
        return next(fact for fact in self.happened if fact["what"] == what)

    def has(self, what: str) -> bool:
        """Whether that has happened."""
        while True:
            try:
                self._hear(self.told.get_nowait())
            except Empty:
                return any(fact["what"] == what for fact in self.happened)

    def requests(self) -> list[dict[str, Any]]:
        """Those of this script so far; none of them may have been unexpected."""
        self.happened = [fact for fact in self.happened if fact["what"] != "heard"]
        self._write(None)
        self.until("heard")
        assert not self.has("unexpected request")
        return [fact for fact in self.happened if fact["what"] == "request"]

    def _hear(self, fact: dict[str, Any]) -> None:
        if fact["script"] == self.script:
            self.happened.append(fact)

    def close(self) -> None:
        """End the process."""
        self.process.kill()
        self.process.communicate()
