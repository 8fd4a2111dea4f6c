"""The files of the web page, read once at the start."""

import hashlib
from collections.abc import Mapping
from http import HTTPStatus
from importlib.resources import files
from importlib.resources.abc import Traversable
from pathlib import PurePath

from websockets.http11 import Request, Response

from assistant.server.responses import respond

_KINDS = {
    ".css": "text/css; charset=utf-8",
    ".html": "text/html; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".json": "application/json",
    ".png": "image/png",
    ".svg": "image/svg+xml",
    ".webmanifest": "application/manifest+json",
}
_INDEX = "index.html"
# Nothing from other hosts, nothing inline, and no page around ours. Safari does not count ws: as 'self'.
_POLICY = "; ".join(
    (
        "default-src 'self'",
        "connect-src 'self' ws: wss:",
        "base-uri 'none'",
        "form-action 'self'",
        "frame-ancestors 'none'",
    )
)
_HEADERS = {
    "Cache-Control": "no-cache",
    "Content-Security-Policy": _POLICY,
    "Permissions-Policy": "microphone=(self)",
    "Referrer-Policy": "no-referrer",
}


class Pages:
    """Answers by path: `/` is index.html, `/page/NAME` each file."""

    def __init__(self, folder: Traversable | None = None) -> None:
        folder = folder or files("assistant.server") / "page"
        found = _read(folder) if folder.is_dir() else {}
        self._files = {f"/page/{name}": (name, body) for name, body in found.items()}
        if _INDEX in found:
            self._files["/"] = (_INDEX, found[_INDEX])

    def answer(self, path: str, request: Request) -> Response | None:
        """The file at `path`, or that it has not changed; None where there is none."""
        if path not in self._files:
            return None
        name, body = self._files[path]
        tag = f'"{hashlib.sha256(body).hexdigest()[:32]}"'
        headers = {**_HEADERS, "ETag": tag}
        kind = _KINDS[PurePath(name).suffix]
        if tag in request.headers.get_all("If-None-Match"):
            return respond(HTTPStatus.NOT_MODIFIED, kind, b"", headers)
        return respond(HTTPStatus.OK, kind, body, headers)


def _read(folder: Traversable) -> Mapping[str, bytes]:
    """The files of `folder` that a browser is served, by name; no folders below it."""
    return {
        file.name: file.read_bytes()
        for file in folder.iterdir()
        if file.is_file() and PurePath(file.name).suffix in _KINDS
    }
