"""Answers over plain HTTP."""

import json
from collections.abc import Mapping
from email.utils import formatdate
from http import HTTPStatus

from websockets.datastructures import Headers
from websockets.http11 import Response

from assistant.server.access import Refusal

_NOT_KEPT = {"Cache-Control": "no-store"}


def respond(status: HTTPStatus, kind: str, body: bytes, headers: Mapping[str, str] = _NOT_KEPT) -> Response:
    """An answer with `body` of the content type `kind`; the connection ends with it."""
    own = {
        "Date": formatdate(usegmt=True),
        "Connection": "close",
        "Content-Length": str(len(body)),
        "Content-Type": kind,
        "X-Content-Type-Options": "nosniff",
    }
    return Response(status.value, status.phrase, Headers({**own, **headers}), body)


def text(status: HTTPStatus, line: str, headers: Mapping[str, str] | None = None) -> Response:
    """One line of text."""
    kind = "text/plain; charset=utf-8"
    return respond(status, kind, f"{line}\n".encode(), {**_NOT_KEPT, **(headers or {})})


def as_json(status: HTTPStatus, value: object, headers: Mapping[str, str] | None = None) -> Response:
    """A JSON document."""
    body = json.dumps(value).encode()
    return respond(status, "application/json", body, {**_NOT_KEPT, **(headers or {})})


def refuse(refusal: Refusal) -> Response:
    """A refusal in the protocol's form of an error."""
    kind = "server_error" if refusal.status >= HTTPStatus.INTERNAL_SERVER_ERROR else "invalid_request_error"
    error = {"type": kind, "code": refusal.code, "message": refusal.message, "param": None}
    return as_json(refusal.status, {"error": error}, refusal.headers)


def without_body(response: Response) -> Response:
    """The answer to HEAD: the headers of the answer to GET."""
    return Response(response.status_code, response.reason_phrase, response.headers, b"")
