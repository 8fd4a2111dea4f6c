"""Structured logs on standard error: text for people, or a JSON object a line."""

import logging
import sys
from collections.abc import Mapping
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any, Literal

import structlog
from structlog.typing import EventDict, Processor, WrappedLogger

LogStyle = Literal["text", "json"]

_SECRET = frozenset({"token", "authorization", "api_key", "audio"})
_SAID = frozenset({"transcript", "text", "reply"})


@dataclass
class Tally:
    """What happened on one connection, for the line that closes it."""

    turns: int = 0
    errors: int = 0


_TALLY: ContextVar[Tally] = ContextVar("tally")


def begin_tally() -> Tally:
    """A new tally for the connection that this task, and the tasks it starts, belong to."""
    tally = Tally()
    _TALLY.set(tally)
    return tally


def tally() -> Tally:
    """The tally of the present connection; outside of one, a tally that nobody reads."""
    return _TALLY.get(Tally())


def logger() -> structlog.stdlib.BoundLogger:
    """The server's logger."""
    log: structlog.stdlib.BoundLogger = structlog.get_logger("assistant.server")
    return log


def configure_logs(style: LogStyle, *, transcripts: bool = False) -> None:
    """Send our log lines, and the warnings of libraries, to standard error.

    Fields that hold a secret or audio are left out, and what was said, unless `transcripts`. Tracebacks
    are shown without local variables, which hold both.
    """
    first: list[Processor] = [
        structlog.stdlib.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        _Private(_SECRET if transcripts else _SECRET | _SAID),
    ]
    structlog.configure(
        processors=[
            structlog.stdlib.filter_by_level,
            *first,
            structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
        ],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
    )
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=first,
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, *_rendered(style)],
        )
    )
    logging.basicConfig(level=logging.WARNING, handlers=[handler], force=True)
    logging.getLogger("assistant").setLevel(logging.INFO)


def _rendered(style: LogStyle) -> list[Processor]:
    if style == "json":
        return [structlog.processors.format_exc_info, structlog.processors.JSONRenderer()]
    colors, plain = sys.stderr.isatty(), structlog.dev.plain_traceback
    return [structlog.dev.ConsoleRenderer(colors=colors, exception_formatter=plain)]


class _Private:
    """Leaves out fields by name, however deep."""

    def __init__(self, names: frozenset[str]) -> None:
        self._names = names

    def __call__(self, _: WrappedLogger, __: str, event: EventDict) -> EventDict:
        return dict(self._public(event))

    def _public(self, fields: Mapping[str, Any]) -> dict[str, Any]:
        return {
            key: self._public(value) if isinstance(value, Mapping) else value
            for key, value in fields.items()
            if key not in self._names
        }
