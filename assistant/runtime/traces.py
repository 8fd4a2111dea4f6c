"""The trace that a session belongs to beyond this process: W3C Trace Context, from one request to others.

Source: https://www.w3.org/TR/trace-context/, sections 3.2 and 3.3.
"""

import re
from collections.abc import Mapping
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Protocol

_TRACEPARENT = re.compile(r"(?!ff)([0-9a-f]{2})-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})(-.*)?")
_MAX_STATE_CHARS = 512


@dataclass(frozen=True)
class TraceParent:
    """A span elsewhere, of which others are children: its trace, its own id, and whether it is recorded."""

    trace_id: int
    span_id: int
    sampled: bool = True
    state: str = ""
    """What tracing systems add for themselves (`tracestate`), passed on as it came."""

    def headers(self) -> dict[str, str]:
        """What a request carries that belongs to it."""
        parent = f"00-{self.trace_id:032x}-{self.span_id:016x}-{int(self.sampled):02x}"
        return {"traceparent": parent, **({"tracestate": self.state} if self.state else {})}


def read_traceparent(headers: Mapping[str, str]) -> TraceParent | None:
    """The parent that a request's headers name; None if they name none, or not as the standard has it.

    Names are looked up in lower case, as ASGI has them; those of `websockets` are found in any case.
    """
    match = _TRACEPARENT.fullmatch(_one(headers, "traceparent"))
    if match is None:
        return None
    version, trace_id, span_id, flags, more = match.groups()
    if (version == "00" and more) or not int(trace_id, 16) or not int(span_id, 16):
        return None
    state = _one(headers, "tracestate")
    if len(state) > _MAX_STATE_CHARS or not (state.isascii() and state.isprintable()):
        state = ""
    return TraceParent(int(trace_id, 16), int(span_id, 16), bool(int(flags, 16) & 1), state)


def _one(headers: Mapping[str, str], name: str) -> str:
    try:
        return headers[name].strip()
    except LookupError:  # none, or several
        return ""


class Traces(Protocol):
    """What knows the traces of sessions."""

    def begin(self, session: str, parent: TraceParent | None) -> None:
        """A session begins, in the trace of `parent` or in one of its own."""
        ...

    def end(self, session: str) -> None:
        """A session is over."""
        ...

    def outgoing(self, session: str, reply: int | None) -> TraceParent | None:
        """What a request that is made for a reply belongs to; None if to no trace."""
        ...


class PassedOn:
    """Traces that are only passed on: nothing here is exported."""

    def __init__(self) -> None:
        self._parents: dict[str, TraceParent] = {}

    def begin(self, session: str, parent: TraceParent | None) -> None:
        """See Traces."""
        if parent is not None:
            self._parents[session] = parent

    def end(self, session: str) -> None:
        """See Traces."""
        self._parents.pop(session, None)

    def outgoing(self, session: str, reply: int | None) -> TraceParent | None:  # noqa: ARG002  # see Traces
        """See Traces."""
        return self._parents.get(session)


OUTGOING: ContextVar[TraceParent | None] = ContextVar("outgoing", default=None)
"""What requests of the present task belong to."""
