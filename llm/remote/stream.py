"""One request for a reply, and the deltas of its answer as they come, on a connection of its own."""

import asyncio
import os
import socket
import ssl
from collections.abc import AsyncGenerator, AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from dataclasses import replace
from http import HTTPStatus

import httpx2

from llm.remote.chat_api import Delta, read_delta, refusal, retry_after_s
from llm.remote.config import RemoteConfig, RemoteError
from llm.remote.sse import EventStream, MalformedEvent

_BUSY = (429, 502, 503, 504)


async def stream_deltas(
    client: httpx2.AsyncClient,
    url: str,
    body: bytes,
    config: RemoteConfig,
    deadline: float,
    headers: Mapping[str, str],
) -> AsyncGenerator[Delta, None]:
    """The reply from its first word on, which must come by `deadline` of the event loop's clock.

    White space before the first word is left out: a server that hides the thoughts of its model still sends
    the empty line that follows them, and with that the reply would be over. Closing the generator, or
    cancelling its task, closes the connection. Raises RemoteError.
    """
    late = f"no word of a reply within {config.first_token_s:g} s"
    begun, events = False, EventStream()
    with _failures(url, config):
        async with _until(deadline, url, late):
            request = client.build_request("POST", url, content=body, headers=headers)
            response = await client.send(request, stream=True)
        try:
            _check(url, response, config.api_key_env)
            chunks = response.aiter_raw()
            while True:
                async with _until(deadline, url, late):
                    data = await anext(chunks, None)
                if data is None:
                    raise RemoteError(url, "ended the stream before the reply was over", transient=True)
                for delta in map(read_delta, events.push(data)):
                    text = delta.text if begun else delta.text.lstrip()
                    if not text and not delta.finish and not delta.calls:
                        continue
                    begun = True
                    yield replace(delta, text=text)
                    # Counted from here: the time that the consumer takes is not the server's.
                    deadline = asyncio.get_running_loop().time() + config.between_tokens_s
                    late = f"no more of the reply within {config.between_tokens_s:g} s"
        finally:
            await response.aclose()


@contextmanager
def _failures(url: str, config: RemoteConfig) -> Iterator[None]:
    """Turn what goes wrong on the connection, or in what came, into RemoteError."""
    try:
        yield
    except MalformedEvent as error:
        raise RemoteError(url, str(error)) from None
    except httpx2.ConnectTimeout:
        raise RemoteError(url, f"no connection within {config.connect_s:g} s") from None
    except httpx2.RemoteProtocolError as error:
        if "closed connection" in str(error) or "disconnected" in str(error):
            what = "closed the connection before its answer was over"
            raise RemoteError(url, what, transient=True) from None
        raise RemoteError(url, "does not answer in HTTP/1.1") from None
    except httpx2.TransportError as error:
        what = "no connection" if isinstance(error, httpx2.ConnectError) else "the connection broke"
        raise _connection_error(url, what, error) from error


@asynccontextmanager
async def _until(deadline: float, url: str, what: str) -> AsyncIterator[None]:
    try:
        async with asyncio.timeout_at(deadline):
            yield
    except TimeoutError:
        raise RemoteError(url, what) from None


def _connection_error(url: str, what: str, error: BaseException) -> RemoteError:
    match _system_error(error):
        case ssl.SSLCertVerificationError(verify_message=message):
            return RemoteError(url, f"its certificate is refused: {message}")
        case ssl.SSLError(reason=reason):
            return RemoteError(url, f"{what}: TLS: {reason}")
        case socket.gaierror():
            return RemoteError(url, "its host name has no address", transient=True)
        case OSError(errno=int(code)):
            return RemoteError(url, f"{what}: {os.strerror(code)}", transient=True)
    return RemoteError(url, what, transient=True)


def _system_error(error: BaseException | None) -> OSError | None:
    """What the layers of the network have wrapped; the first where several addresses failed."""
    while error is not None:
        if isinstance(error, OSError) and error.errno is not None:
            return error
        if isinstance(error, BaseExceptionGroup):
            error = error.exceptions[0]
        else:
            error = error.__cause__ or error.__context__
    return None


def _check(url: str, response: httpx2.Response, key_name: str | None) -> None:
    status, headers = response.status_code, response.headers
    if status != HTTPStatus.OK:
        wait_s = retry_after_s(headers.get("retry-after", ""))
        what = refusal(status, key_name)
        raise RemoteError(url, what, status, transient=status in _BUSY, retry_after_s=wait_s)
    if not headers.get("content-type", "").lower().startswith("text/event-stream"):
        raise RemoteError(url, "answers, but does not stream", status)
