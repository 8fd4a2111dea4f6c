"""A trace from a client's request through the server to the model elsewhere: real sockets at every hop."""

import asyncio
import json
import threading
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.trace.v1.trace_pb2 import Span as Exported
from remote_server import DONE, RemoteServer, Step, chunk
from serving import LOCAL
from websockets.asyncio.client import connect

from assistant.commands.serve import traced
from assistant.config import Config, LlmConfig, ServerConfig
from assistant.models.language import RemoteLanguage
from assistant.models.pool import ModelPool, Models
from assistant.runtime import Clock, Recorder
from assistant.server.listen import listen
from assistant.server.metrics import Metrics
from assistant.server.realtime import Realtime
from assistant.server.server import run_server
from llm.remote import RemoteConfig

TRACE, PARENT = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
SENT = {"traceparent": f"00-{TRACE}-{PARENT}-01", "tracestate": "rojo=00f067aa0ba902b7"}


@pytest.fixture(scope="module")
def model() -> Iterator[RemoteServer]:
    server = RemoteServer.start()
    yield server
    server.close()


@contextmanager
def collector(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[ExportTraceServiceRequest]]:
    """A collector of OTLP over HTTP, and what it got."""
    received: list[ExportTraceServiceRequest] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            received.append(ExportTraceServiceRequest())
            received[-1].ParseFromString(self.rfile.read(int(self.headers["Content-Length"])))
            self.send_response(200)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_arguments: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", f"http://127.0.0.1:{server.server_port}")
        try:
            yield received
        finally:
            server.shutdown()
            thread.join()


async def hold(config: Config, headers: dict[str, str], questions: Sequence[str]) -> Metrics:
    """A conversation in text of a client that sends these headers."""
    clock, recorder, stop, ready = Clock(), Recorder(), asyncio.Event(), asyncio.Event()
    metrics = Metrics(config.server.replica)
    with traced(config.server, clock, recorder), closing(listen(config.server)) as listener:
        pool = ModelPool(Models(RemoteLanguage(config.llm)), clock)
        application = Realtime(pool, config, clock, recorder, metrics, "elsewhere")
        running = asyncio.create_task(
            run_server(application, config.server, metrics, listener, stop, models=[], on_ready=ready.set)
        )
        await ready.wait()
        port = listener.sock.getsockname()[1]
        async with connect(f"ws://127.0.0.1:{port}/v1/realtime", additional_headers=headers) as socket:
            await socket.send(
                json.dumps(
                    {"type": "session.update", "session": {"type": "realtime", "output_modalities": ["text"]}}
                )
            )
            for question in questions:
                content = [{"type": "input_text", "text": question}]
                item = {"type": "message", "role": "user", "content": content}
                await socket.send(json.dumps({"type": "conversation.item.create", "item": item}))
                await socket.send(json.dumps({"type": "response.create"}))
                async with asyncio.timeout(30):
                    while (event := json.loads(await socket.recv()))["type"] != "response.done":
                        assert event["type"] != "error", event
                assert event["response"]["status"] == "completed", event
        stop.set()
        await running
        await asyncio.to_thread(pool.close)
    return metrics


def settings(model: RemoteServer, server: ServerConfig) -> Config:
    waits = {"connect_s": 20.0, "first_token_s": 20.0, "between_tokens_s": 20.0}
    remote = RemoteConfig(f"http://127.0.0.1:{model.port}/v1", "tiny", **waits)  # type: ignore[arg-type]
    return Config(llm=LlmConfig(remote=remote), server=server)


def answers(model: RemoteServer, count: int) -> None:
    model.play(*[Step([chunk("Yes."), chunk(None, "stop"), DONE]) for _ in range(count)])


def trace_headers(model: RemoteServer) -> list[dict[str, str]]:
    """Of each request to the model."""
    names = ("traceparent", "tracestate")
    return [{name: request["headers"].get(name) for name in names} for request in model.requests()]


def attributes(of: Any) -> dict[str, str]:  # noqa: ANN401  # a span or a resource
    return {item.key: item.value.string_value for item in of.attributes}


async def exported(
    model: RemoteServer, monkeypatch: pytest.MonkeyPatch, headers: dict[str, str], questions: Sequence[str]
) -> tuple[dict[str, list[Exported]], dict[str, str]]:
    """All spans by name, and what is told of the process."""
    answers(model, len(questions))
    with collector(monkeypatch) as received:
        config = settings(model, replace(LOCAL, otel="otlp", replica="speech-2"))
        await hold(config, headers, questions)
    named: dict[str, list[Exported]] = {}
    resources = [of for request in received for of in request.resource_spans]
    for span in (span for of in resources for scope in of.scope_spans for span in scope.spans):
        named.setdefault(span.name, []).append(span)
    (told,) = {json.dumps(attributes(of.resource)) for of in resources}
    return named, json.loads(told)


async def test_a_clients_trace_goes_on_in_the_session_its_replies_and_the_model(
    model: RemoteServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    spans, resource = await exported(model, monkeypatch, SENT, ["Is it far", "And cold"])
    assert resource["service.instance.id"] == "speech-2"
    assert resource["service.name"] == "assistant"
    (session,), replies = spans["session"], spans["reply"]
    assert (session.trace_id.hex(), session.parent_span_id.hex()) == (TRACE, PARENT)
    name = attributes(session)["session"]
    assert len(replies) == 2
    for reply in replies:
        assert (reply.trace_id, reply.parent_span_id) == (session.trace_id, session.span_id)
        assert attributes(reply)["session"] == name
        assert session.start_time_unix_nano <= reply.start_time_unix_nano
        assert reply.end_time_unix_nano <= session.end_time_unix_nano
    told = trace_headers(model)
    assert [one["traceparent"] for one in told] == [f"00-{TRACE}-{one.span_id.hex()}-01" for one in replies]
    assert {one["tracestate"] for one in told} == {SENT["tracestate"]}
    assert {span.trace_id.hex() for of in spans.values() for span in of if "session" in attributes(span)} == {
        TRACE
    }


async def test_without_one_each_session_begins_its_own(
    model: RemoteServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    spans, _ = await exported(model, monkeypatch, {}, ["Is it far"])
    (session,), (reply,) = spans["session"], spans["reply"]
    assert session.parent_span_id == b"" and session.trace_id.hex() != TRACE
    (told,) = trace_headers(model)
    assert told["traceparent"] == f"00-{session.trace_id.hex()}-{reply.span_id.hex()}-01"


async def test_a_trace_that_is_not_sampled_is_not_exported_but_passed_on(
    model: RemoteServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    answers(model, 1)
    with collector(monkeypatch) as received:
        config = settings(model, replace(LOCAL, otel="otlp"))
        await hold(config, {"traceparent": SENT["traceparent"][:-1] + "0"}, ["Is it far"])
    names = {
        span.name
        for request in received
        for of in request.resource_spans
        for scope in of.scope_spans
        for span in scope.spans
    }
    assert names.isdisjoint({"session", "reply"})
    (told,) = trace_headers(model)
    assert told["traceparent"].startswith(f"00-{TRACE}-") and told["traceparent"].endswith("-00")


@pytest.mark.parametrize(
    ("headers", "told"),
    [(SENT, SENT), ({}, {"traceparent": None, "tracestate": None})],
    ids=["of a client", "none"],
)
async def test_where_nothing_is_exported_the_model_is_told_what_the_client_told(
    model: RemoteServer, headers: dict[str, str], told: dict[str, str | None]
) -> None:
    answers(model, 1)
    await hold(settings(model, LOCAL), headers, ["Is it far"])
    assert trace_headers(model) == [told]
