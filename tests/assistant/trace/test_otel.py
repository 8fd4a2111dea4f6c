"""OpenTelemetry: what arrives, in memory and over a real socket, and that nobody has to be there."""

import json
import logging
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import SpanExporter, SpanExportResult
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from assistant.runtime import Clock, Span
from assistant.session.pipeline import GRAPH
from assistant.trace import otel
from assistant.trace.otel import OtelError, OtelExport, exporter

WALL_NS = 1_700_000_000_000_000_000
REPLY = [
    Span("queue", "utterances", 1_000, 1_500, "", 3),
    Span("work", "transcribe", 1_500, 4_000, "", 3),
    Span("work", "generate", 4_000, 9_000, "", 3, {"tokens": 7, "text": "hi", "p": 0.5, "draft": True}),
]


def sent(spans: Sequence[Span]) -> list[ReadableSpan]:
    memory = InMemorySpanExporter()
    with OtelExport(memory, Clock(lambda: 200), wall_ns=lambda: WALL_NS) as export:
        for span in spans:
            export.export(span)
    return list(memory.get_finished_spans())


def named(spans: Sequence[ReadableSpan], name: str) -> ReadableSpan:
    (found,) = [span for span in spans if span.name == name]
    return found


def test_times_are_moved_to_the_wall_clock_and_attributes_come_along() -> None:
    (span,) = sent(
        [Span("work", "generate", 1_200, 9_200, "s", 3, {"tokens": 7, "text": "hi", "p": 0.5, "ok": True})]
    )
    assert (span.name, span.start_time, span.end_time) == ("generate work", WALL_NS + 1_000, WALL_NS + 9_000)
    expected = {
        "track": "generate",
        "session": "s",
        "reply": 3,
        "tokens": 7,
        "text": "hi",
        "p": 0.5,
        "ok": True,
    }
    assert dict(span.attributes or {}) == expected
    assert span.resource.attributes["service.name"] == "assistant"


def test_a_reply_is_one_trace_from_its_first_span_to_the_end_of_its_last() -> None:
    spans = sent([*REPLY, Span("lag", "loop", 2_000, 3_000)])
    parent = named(spans, "reply")
    assert (parent.start_time, parent.end_time) == (WALL_NS + 800, WALL_NS + 8_800)
    children = [span for span in spans if span.parent and span.parent.span_id == parent.context.span_id]
    assert {span.name for span in children} == {"utterances queue", "transcribe work", "generate work"}
    assert {span.context.trace_id for span in children} == {parent.context.trace_id}
    assert named(spans, "loop lag").parent is None


def test_the_same_number_in_the_next_conversation_is_another_reply() -> None:
    again = [
        Span("queue", "utterances", 20_000, 20_500, "", 3),
        Span("work", "generate", 20_500, 21_000, "", 3),
    ]
    parents = [span for span in sent([*REPLY, *again]) if span.name == "reply"]
    assert [span.start_time for span in parents] == [WALL_NS + 800, WALL_NS + 19_800]
    assert [span.end_time for span in parents] == [WALL_NS + 8_800, WALL_NS + 20_800]


def test_replies_of_two_sessions_at_a_time_are_two_traces() -> None:
    """Both have the number 3, and their spans come by turns."""
    both = [replace(span, session=name) for span in REPLY for name in ("x", "y")]
    spans = sent(both)
    parents = {(span.attributes or {})["session"]: span for span in spans if span.name == "reply"}
    assert set(parents) == {"x", "y"}
    for name, parent in parents.items():
        children = [span for span in spans if span.parent and span.parent.span_id == parent.context.span_id]
        assert [(span.attributes or {})["session"] for span in children] == [name] * 3


def test_a_reply_to_text_begins_with_its_transcript_and_one_to_speech_does_not_begin_twice() -> None:
    typed = [Span("queue", "transcripts", 500, 600, "", 2), Span("work", "generate", 600, 700, "", 2)]
    spoken = [*REPLY[:2], Span("queue", "transcripts", 4_000, 4_000, "", 3), *REPLY[2:]]
    spans = sent([*typed, *spoken])
    parents = [span for span in spans if span.name == "reply"]
    assert [(span.attributes or {})["reply"] for span in parents] == [2, 3]
    assert [span.start_time for span in parents] == [WALL_NS + 300, WALL_NS + 800]
    of_spoken = [span for span in spans if span.parent and span.parent.span_id == parents[1].context.span_id]
    assert len(of_spoken) == 4


def test_a_session_that_is_over_does_not_keep_its_reply_for_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(otel, "_OPEN", 2)
    memory = InMemorySpanExporter()
    export = OtelExport(memory, Clock(lambda: 200), wall_ns=lambda: WALL_NS)
    for name in "xyz":
        export.export(replace(REPLY[0], session=name))
    assert len(export._replies) == 2
    export.close()
    assert [span.name for span in memory.get_finished_spans()].count("reply") == 3


def test_a_reply_begins_on_the_edges_by_which_a_session_hands_a_turn_to_it() -> None:
    scopes = {node.name: node.scope for node in GRAPH.nodes}
    handed = {
        edge.name
        for edge in GRAPH.edges
        if scopes[edge.target.name] != "session" and "session" in {source.scope for source in edge.sources}
    }
    assert handed == {REPLY[0].track, "transcripts", "scores"}  # a score waits for the transcript


def test_the_environment_names_the_service(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OTEL_SERVICE_NAME", "kitchen")
    (span,) = sent(REPLY[1:2])
    assert span.resource.attributes["service.name"] == "kitchen"


def test_the_console_gets_one_object_a_line_on_stderr(capsys: pytest.CaptureFixture[str]) -> None:
    with exporter("console") as export:
        for span in REPLY:
            export.export(span)
    captured = capsys.readouterr()
    names = [json.loads(line)["name"] for line in captured.err.splitlines()]
    assert names == ["utterances queue", "transcribe work", "generate work", "reply"]
    assert captured.out == ""


@contextmanager
def collector(status: int = 200) -> Iterator[tuple[str, list[tuple[str, bytes]]]]:
    """A collector on a free port of this machine: its address, and the path and body of each request."""
    received: list[tuple[str, bytes]] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            received.append((self.path, body))
            self.send_response(status)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_arguments: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}", received
        finally:
            server.shutdown()
            thread.join()


def test_a_collector_gets_otlp_over_http(monkeypatch: pytest.MonkeyPatch) -> None:
    with collector() as (address, received):
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", address)
        with exporter("otlp", Clock(lambda: 0)) as export:
            for span in REPLY:
                export.export(span)
    request = ExportTraceServiceRequest()
    ((path, body),) = received
    request.ParseFromString(body)
    assert path == "/v1/traces"
    (resource,) = request.resource_spans
    spans = {span.name: span for scope in resource.scope_spans for span in scope.spans}
    assert set(spans) == {"reply", "utterances queue", "transcribe work", "generate work"}
    generate = spans["generate work"]
    assert generate.end_time_unix_nano - generate.start_time_unix_nano == 5_000
    assert generate.parent_span_id == spans["reply"].span_id
    values = {item.key: item.value for item in generate.attributes}
    assert values["track"].string_value == "generate"
    assert (values["reply"].int_value, values["tokens"].int_value) == (3, 7)


def test_a_collector_that_refuses_costs_one_line(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    with collector(status=400) as (address, _):
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", address)
        with exporter("otlp") as export:
            for span in REPLY:
                export.export(span)
    assert own_lines(caplog) == [
        "OpenTelemetry: 4 of 4 spans could not be delivered; "
        "is OTEL_EXPORTER_OTLP_ENDPOINT right (by default http://localhost:4318)?"
    ]


def test_nobody_listening_costs_one_line(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    with collector() as (address, _):
        pass
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", address)
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_TIMEOUT", "0.1")
    with exporter("otlp") as export:
        export.export(REPLY[1])
    assert len(own_lines(caplog)) == 1


def test_a_collector_that_never_answers_holds_up_neither_export_nor_close(
    caplog: pytest.LogCaptureFixture,
) -> None:
    released = threading.Event()

    class Hanging(SpanExporter):
        def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
            released.wait()
            return SpanExportResult.FAILURE

    export = OtelExport(Hanging(), Clock(), close_s=0.05)
    for number in range(5_000):  # twice what the SDK's queue holds
        export.export(Span("work", "generate", number, number + 1))
    export.close()
    assert not released.is_set()
    assert "5000 of 5000 spans could not be delivered" in own_lines(caplog)[0]
    released.set()


def test_an_environment_that_cannot_be_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OTEL_BSP_MAX_QUEUE_SIZE", "-5")
    with pytest.raises(OtelError) as caught:
        exporter("console")
    assert "OTEL_" in str(caught.value)
    assert "\n" not in str(caught.value)


def own_lines(caplog: pytest.LogCaptureFixture) -> list[str]:
    records = [record for record in caplog.records if record.name == "assistant.trace.otel"]
    assert all(record.levelno == logging.WARNING for record in records)
    return [record.getMessage() for record in records]
