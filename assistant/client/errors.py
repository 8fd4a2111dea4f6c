"""What is wrong with a server, each in one line with what to do about it."""

import ssl
from http import HTTPStatus

from websockets.exceptions import ConnectionClosed, InvalidHandshake, InvalidStatus, InvalidURI

_POLICY = 1008
_GOING_AWAY = 1001
_RESTART = 1012


class RealtimeError(Exception):
    """A server that cannot be talked to. `again` says whether that may be over by itself soon."""

    exit_code = 2

    def __init__(self, what: str, *, again: bool = False) -> None:
        super().__init__(what)
        self.again = again


def refused(url: str, error: Exception) -> RealtimeError:
    """Why no connection to `url` was opened."""
    match error:
        case InvalidURI():
            return RealtimeError(f"{url} is no address of a server: it looks like ws://HOST:8765/v1/realtime")
        case InvalidStatus():
            return _status(url, error.response.status_code, error.response.headers.get("Retry-After"))
        case InvalidHandshake() | EOFError():
            secure = url.startswith("wss:")
            other = "does it speak ws:// only" if secure else "does it speak wss:// (--tls)"
            return RealtimeError(f"what answers at {url} is no WebSocket server: mend the address; {other}?")
        case ssl.SSLCertVerificationError():
            hint = "let SSL_CERT_FILE name the certificate that signed it"
            return RealtimeError(f"the certificate of {url} is not trusted ({error.verify_message}): {hint}")
        case ssl.SSLError():
            return RealtimeError(f"{url} does not speak TLS ({error.reason}): try ws:// in place of wss://")
        case TimeoutError():
            return RealtimeError(
                f"{url} does not answer: see that the machine is up and lets you in", again=True
            )
        case ConnectionResetError() | ConnectionAbortedError() if url.startswith("wss:"):
            return RealtimeError(f"what answers at {url} hangs up: does it speak ws:// only?", again=True)
    why = getattr(error, "strerror", None) or str(error)
    hint = "start `assistant serve` there, with --host if it is another machine, and mend the address"
    return RealtimeError(f"nobody listens at {url} ({why}): {hint}", again=True)


def _status(url: str, status: int, retry_after: str | None) -> RealtimeError:
    match status:
        case HTTPStatus.UNAUTHORIZED | HTTPStatus.FORBIDDEN:
            return RealtimeError(f"{url} wants another token: give it in ASSISTANT_TOKEN, or with --token")
        case HTTPStatus.NOT_FOUND:
            return RealtimeError(f"there is nothing at {url}: `assistant serve` is at /v1/realtime")
        case HTTPStatus.SERVICE_UNAVAILABLE:
            wait = f" in {retry_after} s" if retry_after else " later"
            return RealtimeError(
                f"{url} is busy, starting or ending: try again{wait}, or give it more [llm] sessions",
                again=True,
            )
    return RealtimeError(f"{url} refuses with HTTP status {status}: see that it is a Realtime server")


def lost(url: str, closed: ConnectionClosed) -> RealtimeError:
    """Why a connection to `url` ended."""
    close = closed.rcvd
    if close is None:
        return RealtimeError("the connection broke off", again=True)
    why = f": {close.reason}" if close.reason else ""
    if close.code == _POLICY:
        return RealtimeError(f"{url} ended the conversation{why} (see its log, and the address)")
    if close.code == _GOING_AWAY:
        return RealtimeError("the server is shutting down", again=True)
    if close.code == _RESTART:
        return RealtimeError("the server restarts", again=True)
    return RealtimeError(f"the server closed the connection ({close.code}{why})", again=True)


def no_realtime(url: str) -> RealtimeError:
    """Something else is there."""
    return RealtimeError(f"{url} does not answer as a Realtime server does: mend the address")
