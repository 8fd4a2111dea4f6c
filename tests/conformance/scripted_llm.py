"""A language model that answers by rules, behind OpenAI's chat completions."""

import json
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

NUMBERS = (
    *("one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve"),
    *("thirteen", "fourteen", "fifteen", "sixteen", "seventeen", "eighteen", "nineteen", "twenty"),
)
# About half a minute of speech: long enough to be spoken over.
COUNT = " ".join(f"Now comes number {number}." for number in NUMBERS)


@dataclass(frozen=True)
class Call:
    """A function call; `arguments` is JSON."""

    name: str
    arguments: str


def answer(messages: Sequence[dict[str, Any]], tools: Sequence[dict[str, Any]] = ()) -> str | Call:
    """The reply to a conversation; the same conversation always gets the same."""
    last = messages[-1]
    text = _text(last)
    if last["role"] == "tool":
        return f"The tool says: {text}."
    asked = text.lower()
    if "weather" in asked and tools:
        return Call(tools[0]["function"]["name"], '{"city": "Paris"}')
    if "say first" in asked:
        return f"First you said: {_text(next(m for m in messages if m['role'] == 'user'))}"
    if "count" in asked:
        return COUNT
    return f"You said: {text}"


def _text(message: dict[str, Any]) -> str:
    """The words of a message, whose content may be parts."""
    content = message.get("content") or ""
    if isinstance(content, str):
        return content
    return "".join(part.get("text", "") for part in content)


def chunks(reply: str | Call) -> Iterator[dict[str, Any]]:
    """The reply as the chunks of a streamed chat completion: a word each, or a call in three parts."""
    if isinstance(reply, str):
        for word in reply.split(" "):
            yield _chunk({"content": f"{word} "})
        yield _chunk({}, "stop")
        return
    half = len(reply.arguments) // 2
    named = {"id": "call_scripted", "type": "function", "function": {"name": reply.name, "arguments": ""}}
    yield _chunk({"role": "assistant", "tool_calls": [{"index": 0, **named}]})
    for part in (reply.arguments[:half], reply.arguments[half:]):
        yield _chunk({"tool_calls": [{"index": 0, "function": {"arguments": part}}]})
    yield _chunk({}, "tool_calls")


def _chunk(delta: dict[str, Any], finish: str | None = None) -> dict[str, Any]:
    choice = {"index": 0, "delta": delta, "finish_reason": finish}
    return {
        "id": "chatcmpl-scripted",
        "object": "chat.completion.chunk",
        "created": 0,
        "model": "scripted",
        "choices": [choice],
    }


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002  # the base class's name
        return

    def do_POST(self) -> None:
        request = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.server.requests.append(request)  # type: ignore[attr-defined]
        self.close_connection = True
        if not self.path.endswith("/chat/completions"):
            self.send_error(404)
            return
        self.send_response(200)
        self.send_header("Content-Type", "text/event-stream; charset=utf-8")
        self.end_headers()
        try:
            for chunk in chunks(answer(request["messages"], request.get("tools") or ())):
                self.wfile.write(f"data: {json.dumps(chunk)}\n\n".encode())
            self.wfile.write(b"data: [DONE]\n\n")
        except OSError:
            return  # the reply is no longer wanted


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.requests: list[dict[str, Any]] = []


@dataclass(frozen=True)
class ScriptedModel:
    """A running model: its base URL, and the requests that it has had."""

    url: str
    requests: list[dict[str, Any]]


@contextmanager
def scripted_model() -> Iterator[ScriptedModel]:
    """Run the model on a free port of 127.0.0.1."""
    server = _Server()
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    try:
        yield ScriptedModel(f"http://127.0.0.1:{server.server_port}/v1", server.requests)
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
