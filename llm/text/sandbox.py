"""Running a chat template that came with a model: no access to Python, bounded in time and in output."""

import json
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime
from types import FrameType
from typing import TYPE_CHECKING, Never

from jinja2 import Template, TemplateError
from jinja2.exceptions import SecurityError
from jinja2.runtime import Context
from jinja2.sandbox import ImmutableSandboxedEnvironment

from llm.text.marked import JSON_ESCAPES

if TYPE_CHECKING:
    from _typeshed import TraceFunction

_MAX_TEMPLATE_CHARS = 1 << 16  # the longest in use, with tool calls, have some 20,000
_MAX_OUTPUT_CHARS = 1 << 20
_MAX_RENDER_S = 2.0  # a template takes a millisecond; this is for one that loops

# What evaluating a template's expressions can raise.
_ERRORS = (
    ArithmeticError,
    AssertionError,
    AttributeError,
    LookupError,
    MemoryError,
    RuntimeError,
    SyntaxError,
    TemplateError,
    TypeError,
    ValueError,
)


class ChatTemplateError(ValueError):
    """A chat template that cannot be used, or that refuses the conversation."""


class _Sandbox(ImmutableSandboxedEnvironment):
    intercepted_binops = frozenset({"*", "**", "%"})

    def call_binop(self, context: Context, operator: str, left: object, right: object) -> object:
        """Only small numbers: strings and large numbers could fill the memory with one operation."""
        if operator == "**" or not all(isinstance(x, int | float) and abs(x) < 2**31 for x in (left, right)):
            raise SecurityError(f"{operator} of these values is not allowed")
        return super().call_binop(context, operator, left, right)


def compile_template(source: str, now: Callable[[], datetime]) -> Template:
    """Compile a template with what Hugging Face's `apply_chat_template` offers it. Raises ChatTemplateError.

    `now` gives the local time for templates that write the date.
    """
    if len(source) > _MAX_TEMPLATE_CHARS:
        raise ChatTemplateError(f"has {len(source)} characters, more than {_MAX_TEMPLATE_CHARS}")
    sandbox = _Sandbox(trim_blocks=True, lstrip_blocks=True, extensions=["jinja2.ext.loopcontrols"])
    del sandbox.globals["lipsum"]
    sandbox.globals.update(raise_exception=_raise, strftime_now=lambda format_: now().strftime(format_))
    sandbox.filters["tojson"] = _to_json
    try:
        return sandbox.from_string(source)
    except _ERRORS as e:
        raise ChatTemplateError(_one_line(e)) from None


def render(template: Template, values: Mapping[str, object]) -> str:
    """Render a template, bounded in time and size. Raises ChatTemplateError.

    Memory is not bounded: a template can still build a large string on its way to a small output.
    """
    try:
        with _deadline(_MAX_RENDER_S):
            return "".join(_bounded(template.generate(values)))
    except _ERRORS as e:
        raise ChatTemplateError(_one_line(e)) from None


def _bounded(pieces: Iterable[str]) -> Iterator[str]:
    n = 0
    for piece in pieces:
        n += len(piece)
        if n > _MAX_OUTPUT_CHARS:
            raise ChatTemplateError(f"gives more than {_MAX_OUTPUT_CHARS} characters")
        yield piece


@contextmanager
def _deadline(seconds: float) -> Iterator[None]:
    """Raise RuntimeError in the block when it takes longer.

    A trace function is called for every line that this thread runs, so it can stop a template's loop, where a
    signal would need the main thread and a second thread could only watch.
    """
    end = time.monotonic() + seconds

    def trace(_frame: FrameType, _event: str, _arg: object) -> "TraceFunction":
        if time.monotonic() > end:
            raise RuntimeError(f"takes more than {seconds:g} s")
        return trace

    before = sys.gettrace()
    sys.settrace(trace)
    try:
        yield
    finally:
        sys.settrace(before)


def _raise(message: str) -> Never:
    raise TemplateError(message)


def _to_json(
    value: object,
    ensure_ascii: bool = False,  # noqa: ARG001  # as Hugging Face has it; marked text stays marked
    indent: int | None = None,
    separators: tuple[str, str] | None = None,
    sort_keys: bool = False,
) -> str:
    text = json.dumps(value, ensure_ascii=False, indent=indent, separators=separators, sort_keys=sort_keys)
    return text.translate(JSON_ESCAPES)


def _one_line(error: BaseException) -> str:
    return " ".join((str(error) or type(error).__name__).split())[:300]
