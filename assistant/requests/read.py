"""A file of requests: what is said, and what should come of it."""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, Literal, get_args

from pydantic import Field, TypeAdapter, ValidationError

from assistant.home.scripted import ScriptedHome
from assistant.text_file import read_text

Kind = Literal["command", "compute", "fact", "cannot", "talk", "dialogue"]
KINDS: tuple[Kind, ...] = get_args(Kind)
FILE = "requests.json"
HOME = "home.json"


class RequestError(ValueError):
    """A file of requests that cannot be used; the message names it."""


@dataclass(frozen=True)
class Turn:
    """What the user says once, and what is expected; what is not named does not matter."""

    say: Annotated[str, Field(min_length=1)]
    intent: str = ""
    """Alternatives with "|" between."""
    slots: Mapping[str, str | int | float] = field(default_factory=dict)
    """Words may be alternatives as well."""
    spoken: tuple[str, ...] = ()
    """Regular expressions that must all be found in the reply, without case."""


@dataclass(frozen=True)
class Request:
    """One or several turns of one conversation."""

    kind: Kind
    turns: tuple[Turn, ...]


def read_requests(folder: Path) -> list[Request]:
    """The requests in the folder's `requests.json`, in order; raises RequestError."""
    path = folder / FILE
    try:
        lines = json.loads(read_text(path))
    except OSError as error:
        raise RequestError(f"{path}: {error.strerror}") from error
    except ValueError as error:
        raise RequestError(f"{path}: not JSON: {error}") from error
    if not isinstance(lines, list) or not lines:
        raise RequestError(f"{path}: needs a list of requests")
    return [_request(line, f"{path}: request {number}") for number, line in enumerate(lines, 1)]


def read_home(folder: Path) -> ScriptedHome:
    """The home in the folder's `home.json`; without that an empty one. Raises RequestError."""
    path = folder / HOME
    if not path.exists():
        return ScriptedHome(())
    try:
        return ScriptedHome.from_dict(json.loads(read_text(path)))
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise RequestError(f"{path}: no list of entities: {error}") from error


def _request(line: object, where: str) -> Request:
    if not isinstance(line, dict):
        raise RequestError(f"{where}: must be an object")
    plain: dict[str, Any] = dict(line)
    kind = plain.pop("kind", None)
    turns = plain.pop("turns", None) if kind == "dialogue" else [plain]
    try:
        request = TypeAdapter(Request).validate_python({"kind": kind, "turns": turns})
        for turn in request.turns:
            for pattern in turn.spoken:
                re.compile(pattern)
    except ValidationError as error:
        first = error.errors()[0]
        raise RequestError(f"{where}: {'.'.join(map(str, first['loc']))}: {first['msg']}") from error
    except re.error as error:
        raise RequestError(f"{where}: spoken: {error}") from error
    return request
