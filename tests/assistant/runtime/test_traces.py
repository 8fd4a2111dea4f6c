"""W3C Trace Context: what is read of a request's headers, and what is sent on."""

from collections.abc import Mapping

import pytest
from hypothesis import given
from hypothesis import strategies as st
from opentelemetry.trace import get_current_span
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator
from websockets.datastructures import Headers

from assistant.runtime import PassedOn, TraceParent, read_traceparent

PARENT = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"  # the example of the standard
READ = TraceParent(0x0AF7651916CD43DD8448EB211C80319C, 0xB7AD6B7169203331, sampled=True)


def opentelemetry(headers: Mapping[str, str]) -> TraceParent | None:
    """What OpenTelemetry's own propagator reads."""
    told = get_current_span(TraceContextTextMapPropagator().extract(headers)).get_span_context()
    if not told.is_valid:
        return None
    return TraceParent(told.trace_id, told.span_id, told.trace_flags.sampled, told.trace_state.to_header())


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (PARENT, READ),
        (f" {PARENT}\t", READ),
        (PARENT[:-2] + "00", TraceParent(READ.trace_id, READ.span_id, sampled=False)),
        (f"cc{PARENT[2:]}-what-the-future-will-be-like", READ),
        (f"{PARENT}-more", None),
        (f"ff{PARENT[2:]}", None),
        (PARENT.upper(), None),
        (PARENT[:-1], None),
        (f"00-{'0' * 32}-b7ad6b7169203331-01", None),
        (f"00-0af7651916cd43dd8448eb211c80319c-{'0' * 16}-01", None),
        ("", None),
    ],
)
def test_a_parent_is_read_as_the_standard_has_it(value: str, expected: TraceParent | None) -> None:
    assert read_traceparent({"traceparent": value}) == expected


def test_without_one_or_with_two_there_is_none() -> None:
    headers = Headers()
    assert read_traceparent(headers) is None
    headers["Traceparent"] = PARENT
    assert read_traceparent(headers) == READ
    headers["traceparent"] = PARENT
    assert read_traceparent(headers) is None


@pytest.mark.parametrize(
    ("state", "kept"),
    [("congo=t61rcWkgMzE,rojo=00f067aa0ba902b7", True), ("x=" + "y" * 511, False), ("x=\u00e9", False)],
)
def test_the_state_of_others_is_passed_on_as_it_came(state: str, kept: bool) -> None:
    read = read_traceparent({"traceparent": PARENT, "tracestate": state})
    assert read is not None
    assert read.headers() == {"traceparent": PARENT, **({"tracestate": state} if kept else {})}


@given(st.integers(1, 2**128 - 1), st.integers(1, 2**64 - 1), st.booleans())
def test_opentelemetry_reads_what_is_sent(trace_id: int, span_id: int, sampled: bool) -> None:
    parent = TraceParent(trace_id, span_id, sampled)
    assert read_traceparent(parent.headers()) == opentelemetry(parent.headers()) == parent


def test_where_nothing_is_exported_the_trace_is_passed_on_while_the_session_lasts() -> None:
    traces = PassedOn()
    traces.begin("one", READ)
    traces.begin("other", None)
    assert traces.outgoing("one", 3) == READ
    assert traces.outgoing("other", 3) is None
    traces.end("one")
    traces.end("other")
    assert traces.outgoing("one", 4) is None
