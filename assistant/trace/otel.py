"""Spans out as OpenTelemetry. Only the option --otel imports this module: the SDK takes a while to load.

The spans of a reply are children of one span, so that a reply is a trace; all others stand alone. A session
that is begun here (`OtelExport.begin`) is one trace, in which its replies are, or part of its client's. What
cannot be delivered is dropped and counted: a collector that is away must not disturb a conversation.
"""

import logging
import os
import sys
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import Literal, Self

from opentelemetry.context import Context
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import OTELResourceDetector, Resource
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import (
    BatchSpanProcessor,
    ConsoleSpanExporter,
    SpanExporter,
    SpanExportResult,
)
from opentelemetry.trace import NonRecordingSpan, SpanContext, TraceFlags, TraceState, set_span_in_context
from opentelemetry.trace import Span as OtelSpan

from assistant.runtime import Clock, Span, TraceParent, Value

_SPEECH, _TEXT = "utterances", "transcripts"  # tracks of the first "queue" of a reply to one or the other
_OPEN = 1024  # replies of which more spans may come; the oldest is ended: its session is over, most likely
_log = logging.getLogger(__name__)


class OtelError(ValueError):
    """The OTEL_... variables of the environment make no sense; the message is one line."""


def exporter(kind: Literal["console", "otlp"], clock: Clock | None = None, replica: str = "") -> "OtelExport":
    """An exporter to stderr, one JSON object a line, or to a collector by OTLP over HTTP.

    `clock` is the one that the spans were taken on, `replica` this process among others of its kind. The
    collector is looked for where the standard variable OTEL_EXPORTER_OTLP_ENDPOINT says, by default
    http://localhost:4318; the other OTEL_... variables of the SDK and of its batch processor count, too.

    Raises:
        OtelError: such a variable has a value that cannot be.
    """
    # Without a handler the SDK's complaints about each batch would land on stderr; close() says it once.
    logging.getLogger("opentelemetry").addHandler(logging.NullHandler())
    try:
        if kind == "otlp":
            return OtelExport(OTLPSpanExporter(), clock or Clock(), replica=replica)
        console = ConsoleSpanExporter(out=sys.stderr, formatter=_line)
        return OtelExport(console, clock or Clock(), replica=replica)
    except ValueError as error:
        raise OtelError(f"OpenTelemetry, as the OTEL_ variables set it up: {error}") from error


def _line(span: ReadableSpan) -> str:
    return str(span.to_json(indent=None)) + os.linesep


class OtelExport:
    """Sends spans in the background until it is closed; a context manager, callable from any thread."""

    def __init__(
        self,
        target: SpanExporter,
        clock: Clock,
        wall_ns: Callable[[], int] = time.time_ns,
        close_s: float = 3,
        replica: str = "",
    ) -> None:
        self._clock, self._offset_ns = clock, wall_ns() - clock.now_ns()
        self._close_s = close_s
        self._target = _Counting(target)
        self._processor = BatchSpanProcessor(self._target)
        provider = TracerProvider(resource=_resource(replica), shutdown_on_exit=False)
        provider.add_span_processor(self._processor)
        self._tracer = provider.get_tracer("assistant")
        self._lock = threading.Lock()
        self._ended = 0
        self._replies: dict[str, _Reply] = {}  # the latest of each session
        self._sessions: dict[str, OtelSpan] = {}  # that were begun, and are not over

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def export(self, span: Span) -> None:
        """Hand over one span; returns at once, whatever the collector does."""
        start_ns, end_ns = span.start_ns + self._offset_ns, span.end_ns + self._offset_ns
        with self._lock:
            reply = self._reply_of(span, start_ns)
            context = self._of_session(span.session)
            if reply:
                reply.end_ns = max(reply.end_ns, end_ns)
                context = set_span_in_context(reply.span, Context())
            attributes = {**span.attributes, "track": span.track, **_whose(span)}
            self._end(self._start(f"{span.track} {span.name}", context, start_ns, attributes), end_ns)

    def _reply_of(self, span: Span, start_ns: int) -> "_Reply | None":
        """The reply that `span` belongs to, begun if this is its first span."""
        latest = self._replies.get(span.session)
        if span.reply is None:
            return None
        known = latest is not None and latest.number == span.reply
        if span.name == "queue" and (span.track == _SPEECH or (span.track == _TEXT and not known)):
            self._end_reply(
                span.session if latest or len(self._replies) < _OPEN else next(iter(self._replies))
            )
            latest = _Reply(
                span.reply,
                self._start("reply", self._of_session(span.session), start_ns, _whose(span)),
                start_ns,
            )
            self._replies[span.session] = latest
            return latest
        return latest if known else None

    def begin(self, session: str, parent: TraceParent | None) -> None:
        """See Traces: what is exported of the session from now on is in one trace."""
        with self._lock:
            context = set_span_in_context(_elsewhere(parent), Context()) if parent else Context()
            self._sessions[session] = self._start("session", context, self._now_ns(), {"session": session})

    def end(self, session: str) -> None:
        """See Traces."""
        with self._lock:
            self._end_session(session)

    def outgoing(self, session: str, reply: int | None) -> TraceParent | None:
        """See Traces: the span of the reply, or of the session."""
        with self._lock:
            latest = self._replies.get(session)
            known = latest is not None and latest.number == reply
            span = latest.span if latest and known else self._sessions.get(session)
        if span is None:
            return None
        told = span.get_span_context()
        return TraceParent(
            told.trace_id, told.span_id, told.trace_flags.sampled, told.trace_state.to_header()
        )

    def _of_session(self, session: str) -> Context:
        span = self._sessions.get(session)
        return Context() if span is None else set_span_in_context(span, Context())

    def close(self) -> None:
        """Send what is left, for a few seconds at the most; log one line if not everything has arrived."""
        with self._lock:
            for session in list(self._sessions):
                self._end_session(session)
            for session in list(self._replies):
                self._end_reply(session)
        flush = threading.Thread(target=self._processor.shutdown, name="otel-close", daemon=True)
        flush.start()
        flush.join(self._close_s)
        if flush.is_alive():
            self._target.shutdown()  # ends the wait for another attempt
        lost = self._ended - self._target.delivered
        if lost:
            where = "is OTEL_EXPORTER_OTLP_ENDPOINT right (by default http://localhost:4318)?"
            _log.warning("OpenTelemetry: %d of %d spans could not be delivered; %s", lost, self._ended, where)

    def _start(self, name: str, parent: Context, start_ns: int, attributes: dict[str, Value]) -> OtelSpan:
        return self._tracer.start_span(name, parent, attributes=attributes, start_time=start_ns)

    def _end(self, span: OtelSpan, end_ns: int) -> None:
        self._ended += span.is_recording()  # not if a sampler set by the environment left it out
        span.end(end_ns)

    def _end_session(self, session: str) -> None:
        self._end_reply(session)
        if span := self._sessions.pop(session, None):
            self._end(span, self._now_ns())

    def _now_ns(self) -> int:
        return self._clock.now_ns() + self._offset_ns

    def _end_reply(self, session: str) -> None:
        if reply := self._replies.pop(session, None):
            self._end(reply.span, reply.end_ns)


@dataclass
class _Reply:
    """A reply of which spans still come, as the parent of them."""

    number: int
    span: OtelSpan
    end_ns: int


def _whose(span: Span) -> dict[str, Value]:
    session: dict[str, Value] = {"session": span.session} if span.session else {}
    return session if span.reply is None else {**session, "reply": span.reply}


class _Counting(SpanExporter):
    """Passes batches on and counts what arrived; shut down once only."""

    def __init__(self, target: SpanExporter) -> None:
        self._target = target
        self._open = True
        self.delivered = 0

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        result = self._target.export(spans)
        self.delivered += len(spans) if result is SpanExportResult.SUCCESS else 0
        return result

    def shutdown(self) -> None:
        if self._open:
            self._open = False
            self._target.shutdown()


def _elsewhere(parent: TraceParent) -> OtelSpan:
    flags = TraceFlags(TraceFlags.SAMPLED if parent.sampled else TraceFlags.DEFAULT)
    state = TraceState.from_header([parent.state])
    return NonRecordingSpan(SpanContext(parent.trace_id, parent.span_id, True, flags, state))


def _resource(replica: str) -> Resource:
    """The environment names the service; it is the same for all replicas."""
    environment = OTELResourceDetector().detect().attributes
    own = {"service.instance.id": replica} if replica else {}
    return Resource.create({"service.name": "assistant", **environment, **own})
