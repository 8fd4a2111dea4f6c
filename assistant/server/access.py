"""Who may open a connection: the checks of a handshake that need only its request. Pure functions."""

import hashlib
import hmac
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from http import HTTPStatus
from ipaddress import ip_address
from urllib.parse import urlsplit

from websockets.http11 import Request

from assistant.config import ServerConfig

REALTIME = "/v1/realtime"
TOKEN_PROTOCOL = "openai-insecure-api-key."  # the prefix by which browsers send a token
_HINT = f"there is nothing here; the Realtime protocol is at {REALTIME}"


@dataclass(frozen=True)
class Refusal:
    """An answer in place of the upgrade. `code` is the error's code and the label of its count."""

    status: HTTPStatus
    code: str
    message: str
    headers: Mapping[str, str] = field(default_factory=dict)


def check_upgrade(request: Request, config: ServerConfig) -> Refusal | None:
    """Why `request` gets no WebSocket: path, method, version, origin and token, in this order."""
    checks = (_check_path, _check_method, _check_origin, check_token)
    return next((refusal for check in checks if (refusal := check(request, config))), None)


def check_token(request: Request, config: ServerConfig) -> Refusal | None:
    """Refuses a request without the token, in a time that does not depend on what is wrong with it."""
    if config.token is None:
        return None
    expected = _digest(config.token)
    right = [hmac.compare_digest(_digest(given), expected) for given in _tokens(request)]
    if any(right):
        return None
    return Refusal(
        HTTPStatus.UNAUTHORIZED,
        "invalid_api_key",
        "the token is missing or wrong",
        {"WWW-Authenticate": 'Bearer realm="assistant"'},
    )


def offered_protocols(request: Request) -> list[str]:
    """The subprotocols that the client offers, in its order."""
    values = request.headers.get_all("Sec-WebSocket-Protocol")
    return [name.strip() for value in values for name in value.split(",")]


def not_found() -> Refusal:
    """The answer to every path that is not there."""
    return Refusal(HTTPStatus.NOT_FOUND, "not_found", _HINT)


def not_allowed(methods: str) -> Refusal:
    """The answer to another method than `methods`, which stand with commas between."""
    return Refusal(HTTPStatus.METHOD_NOT_ALLOWED, "method_not_allowed", f"use {methods}", {"Allow": methods})


def is_loopback(host: str) -> bool:
    """Whether only this machine can reach `host`, an address or a name."""
    if host == "localhost":
        return True
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False


def is_unspecified(host: str) -> bool:
    """Whether `host` stands for every address of this machine."""
    try:
        return ip_address(host).is_unspecified
    except ValueError:
        return False


def _check_path(request: Request, _: ServerConfig) -> Refusal | None:
    return None if urlsplit(request.path).path == REALTIME else not_found()


def _check_method(request: Request, _: ServerConfig) -> Refusal | None:
    if request.method != "GET":
        return not_allowed("GET")
    if request.protocol != "HTTP/1.1":
        return Refusal(HTTPStatus.BAD_REQUEST, "http_version", "a WebSocket needs HTTP/1.1")
    return None


def _check_origin(request: Request, config: ServerConfig) -> Refusal | None:
    """Refuses web pages from elsewhere; what is no browser sends no Origin."""
    origins = request.headers.get_all("Origin")
    if not origins or (len(origins) == 1 and _may_connect(origins[0], request, config)):
        return None
    message = "pages of this origin may not connect; [server] origins lists those that may"
    return Refusal(HTTPStatus.FORBIDDEN, "origin_not_allowed", message)


def _may_connect(origin: str, request: Request, config: ServerConfig) -> bool:
    """Whether `origin` is listed, or is this server.

    Without a token, only a loopback name is this server: a page can have its own name resolved to this
    machine (DNS rebinding), and is of the same origin then.
    """
    if origin in config.origins:
        return True
    hosts = request.headers.get_all("Host")
    own = len(hosts) == 1 and _host_of(origin) == hosts[0].lower()
    return own and (config.token is not None or is_loopback(_name_of(hosts[0])))


def _host_of(origin: str) -> str | None:
    """Host and port of a web page's origin, as in the header Host."""
    scheme, _, host = origin.partition("://")
    return host.lower() if scheme in ("http", "https") else None


def _name_of(host: str) -> str:
    """The header Host without its port."""
    try:
        return urlsplit(f"//{host}").hostname or ""
    except ValueError:
        return ""


def _tokens(request: Request) -> Iterator[str]:
    """Every token that `request` brings, in its header or, as browsers must, among the subprotocols."""
    for value in request.headers.get_all("Authorization"):
        scheme, _, token = value.partition(" ")
        if scheme.lower() == "bearer":
            yield token.strip()
    for name in offered_protocols(request):
        if name.startswith(TOKEN_PROTOCOL):
            yield name.removeprefix(TOKEN_PROTOCOL)


def _digest(token: str) -> bytes:
    """Of one length for tokens of any length."""
    return hashlib.sha256(token.encode()).digest()
