"""The bench of remote models against a server that caches prefixes itself, character by character."""

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import pairwise, takewhile
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner

from llm.bench.prefix import TURNS
from llm.bench.remote import bench
from llm.bench.run import BenchError


class Caching(ThreadingHTTPServer):
    """A token is a character of the messages; `tells` its counts, in the stream and at /metrics."""

    daemon_threads = True

    def __init__(self, *, tells: bool) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.tells, self.prompts = tells, list[str]()
        self.hits = self.queries = 0


def alike(one: str, other: str) -> int:
    """How many characters two texts have in common from the first one on."""
    return sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], zip(one, other, strict=False)))


class Handler(BaseHTTPRequestHandler):
    server: Caching

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002
        return

    def do_GET(self) -> None:
        counts = {"queries": self.server.queries, "hits": self.server.hits}
        told = "".join(f"vllm:prefix_cache_{name}_total {count}\n" for name, count in counts.items())
        self._answer(200 if self.server.tells else 404, "text/plain", told)

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        assert body["stream_options"] == {"include_usage": True}
        prompt = "".join(message["content"] for message in body["messages"])
        cached = max((alike(prompt, other) for other in self.server.prompts), default=0)
        cached -= cached % 16  # whole blocks, as vLLM has them
        self.server.prompts.append(prompt)
        self.server.hits += cached
        self.server.queries += len(prompt)
        chunks: list[object] = [{"choices": [{"delta": {"content": "Yes."}, "finish_reason": "stop"}]}]
        if self.server.tells:
            usage = {"prompt_tokens": len(prompt), "prompt_tokens_details": {"cached_tokens": cached}}
            chunks.append({"choices": [], "usage": usage})
        events = "".join(f"data: {json.dumps(chunk)}\n\n" for chunk in chunks)
        self._answer(200, "text/event-stream", f"{events}data: [DONE]\n\n")

    def _answer(self, status: int, kind: str, text: str) -> None:
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(text.encode())))
        self.end_headers()
        self.wfile.write(text.encode())


@pytest.fixture
def server(request: pytest.FixtureRequest) -> Iterator[Caching]:
    with Caching(tells=request.param) as caching:
        thread = threading.Thread(target=caching.serve_forever)
        thread.start()
        yield caching
        caching.shutdown()
        thread.join()


def run(server: Caching, *options: str) -> str:
    app = typer.Typer()
    app.command()(bench)
    result = CliRunner().invoke(app, [f"http://127.0.0.1:{server.server_port}/v1", *options])
    assert result.exit_code == 0, result.output
    return result.output


@pytest.mark.parametrize("server", [True], indirect=True)
def test_all_of_a_turn_is_cached_for_the_next_and_nothing_of_a_broken_prefix(
    server: Caching, tmp_path: Path
) -> None:
    path = tmp_path / "out.json"
    shown = run(server, "--turns", "6", "--rounds", "2", "--json", str(path))
    out = json.loads(path.read_text())
    for asked in out["kept"]["rounds"]:
        assert asked[0]["cached_tokens"] == 0
        for before, after in pairwise(asked):
            assert after["cached_tokens"] == before["prompt_tokens"] // 16 * 16
    assert {one["cached_tokens"] for asked in out["broken"]["rounds"] for one in asked} == {0}
    assert out["broken"]["hit_rate"] == 0
    asked = [one for run in out["kept"]["rounds"] for one in run]
    rate = sum(one["cached_tokens"] for one in asked) / sum(one["prompt_tokens"] for one in asked)
    assert out["kept"]["hit_rate"] == pytest.approx(rate)
    assert f"kept: {rate:.1%} of the tokens" in shown
    lines = shown.splitlines()
    assert lines[3].split()[:3] == ["3", str(asked[2]["prompt_tokens"]), str(asked[2]["cached_tokens"])]


@pytest.mark.parametrize("server", [False], indirect=True)
def test_a_server_that_tells_nothing_is_timed_all_the_same(server: Caching) -> None:
    lines = run(server, "--rounds", "1").splitlines()
    assert [line.split()[:3] for line in lines[1:-1]] == [[str(n + 1), "-", "-"] for n in range(len(TURNS))]
    assert lines[-1].startswith("median from turn 2 on: ")


def test_a_server_that_is_not_there_is_one_line() -> None:
    with pytest.raises(BenchError, match=r"http://127\.0\.0\.1:1/v1: "):
        bench("http://127.0.0.1:1/v1", turns=2, rounds=1)
