"""The templates of discovered devices, in a part of Jinja that cannot take long.

Whoever can publish writes them, and they run on the event loop. So there are no loops, macros and calls, as
Home Assistant has them: what is left costs no more than its length. A template with anything else is refused.
"""

import json
import math
from collections.abc import Callable, Mapping
from functools import lru_cache

from jinja2 import Template, TemplateError, Undefined, nodes
from jinja2.runtime import Context
from jinja2.sandbox import ImmutableSandboxedEnvironment

from assistant.mqtt.fields import Invalid

_MOST_CHARS = 2048
_MOST = 1e15  # a number in an operation: with larger ones, a few products fill the memory
_NODES = (
    nodes.Add,
    nodes.And,
    nodes.Assign,
    nodes.Compare,
    nodes.CondExpr,
    nodes.Const,
    nodes.Dict,
    nodes.Div,
    nodes.Filter,
    nodes.FloorDiv,
    nodes.Getattr,
    nodes.Getitem,
    nodes.If,
    nodes.Keyword,
    nodes.List,
    nodes.Mod,
    nodes.Mul,
    nodes.Name,
    nodes.Neg,
    nodes.Not,
    nodes.Operand,
    nodes.Or,
    nodes.Output,
    nodes.Pair,
    nodes.Pos,
    nodes.Sub,
    nodes.TemplateData,
    nodes.Test,
    nodes.Tuple,
)
# What parsing and evaluating can raise.
_ERRORS = (
    ArithmeticError,
    AttributeError,
    LookupError,
    RecursionError,
    SyntaxError,
    TemplateError,
    TypeError,
    ValueError,
)


def _number(value: object) -> float:
    if isinstance(value, Undefined) or not isinstance(value, str | int | float):
        raise Invalid("no number")
    number = float(value)
    if not math.isfinite(number) or abs(number) > _MOST:
        raise Invalid("no number")
    return number


def _int(value: object, default: object = None) -> object:
    try:
        return int(_number(value))
    except ValueError:
        if default is None:
            raise
        return default


def _float(value: object, default: object = None) -> object:
    try:
        return _number(value)
    except ValueError:
        if default is None:
            raise
        return default


def _round(value: object, precision: object = 0) -> float | int:
    digits = min(max(int(_number(precision)), 0), 12)
    return round(_number(value), digits) if digits else math.floor(_number(value) + 0.5)


def _is_defined(value: object) -> object:
    if isinstance(value, Undefined):
        raise Invalid("not defined")
    return value


def _default(value: object, default: object = "", boolean: object = False) -> object:  # as Jinja
    return default if isinstance(value, Undefined) or (boolean and not value) else value


_FILTERS: Mapping[str, Callable[..., object]] = {
    "abs": lambda value: abs(_number(value)),
    "d": _default,
    "default": _default,
    "float": _float,
    "int": _int,
    "is_defined": _is_defined,
    "lower": lambda value: str(value).lower(),
    "round": _round,
    "string": str,
    "tojson": lambda value: json.dumps(value)[: 1 << 15],
    "to_json": lambda value: json.dumps(value)[: 1 << 15],
    "trim": lambda value: str(value).strip(),
    "upper": lambda value: str(value).upper(),
}
_TESTS = ("defined", "undefined", "none", "number", "string", "eq", "ne", "true", "false")


class _Sandbox(ImmutableSandboxedEnvironment):
    intercepted_binops = frozenset({"+", "-", "*", "/", "//", "%"})

    def call_binop(self, context: Context, operator: str, left: object, right: object) -> object:
        """Of numbers only: strings could double with each operation."""
        for value in (left, right):
            if not isinstance(value, int | float) or abs(value) > _MOST:
                raise Invalid(f"{operator} of what is no number")
        return super().call_binop(context, operator, left, right)


_SANDBOX = _Sandbox()
_SANDBOX.globals.clear()
_SANDBOX.filters = dict(_FILTERS)
_SANDBOX.tests = {name: _SANDBOX.tests[name] for name in _TESTS}


@lru_cache(maxsize=1024)  # devices of a kind have the same ones
def _compiled(source: str) -> Template:
    tree = _SANDBOX.parse(source)
    refused = [node for node in tree.find_all(nodes.Node) if not isinstance(node, _NODES)]
    if refused:
        raise Invalid(f"{type(refused[0]).__name__} in a template")
    return _SANDBOX.from_string(source)


def compile_template(source: str) -> Callable[..., str]:
    """What renders a template with the values that it is given by name.

    Raises Invalid for what is refused or is no template; what it returns does, for values that do not fit.
    """
    if len(source) > _MOST_CHARS:
        raise Invalid("a template of more than 2048 characters")
    try:
        template = _compiled(source)
    except _ERRORS as error:
        raise Invalid(f"no template: {type(error).__name__}") from None

    def render(**values: object) -> str:
        try:
            return template.render(values).strip()
        except _ERRORS as error:
            raise Invalid(f"a template that does not fit: {type(error).__name__}") from None

    return render
