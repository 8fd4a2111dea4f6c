"""A relay between clients and server, which writes down every event: also what a client does not show."""

import asyncio
import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit

from websockets.asyncio.client import connect
from websockets.asyncio.server import ServerConnection, serve
from websockets.exceptions import ConnectionClosed

_PASSED_ON = ("authorization", "user-agent", "origin")
_GONE = 1006  # what stands for a close without a frame
_NEVER_SENT = (1005, _GONE, 1015)
_LONGEST = 200  # characters of a string that are written down; audio is longer


@contextmanager
def relay(url: str, folder: Path) -> Iterator[str]:
    """The address to use instead of `url`; the events of the Nth connection go to `folder`/N.jsonl."""
    loop, ready, ended = asyncio.new_event_loop(), threading.Event(), asyncio.Event()
    ports: list[int] = []

    async def run() -> None:
        numbers = iter(range(10**6))

        async def take(connection: ServerConnection) -> None:
            await _relay(connection, url, folder / f"{next(numbers):03}.jsonl")

        async with serve(take, "127.0.0.1", 0, max_size=None, subprotocols=None) as server:
            ports.append(next(iter(server.sockets)).getsockname()[1])
            ready.set()
            await ended.wait()

    thread = threading.Thread(target=loop.run_until_complete, args=(run(),))
    thread.start()
    ready.wait()
    try:
        yield urlsplit(url)._replace(netloc=f"127.0.0.1:{ports[0]}").geturl()
    finally:
        loop.call_soon_threadsafe(ended.set)
        thread.join()
        loop.close()


async def _relay(near: ServerConnection, url: str, path: Path) -> None:
    assert near.request
    headers = {name: near.request.headers[name] for name in _PASSED_ON if name in near.request.headers}
    agent = headers.pop("user-agent", None)
    target = urlsplit(url)._replace(query=urlsplit(near.request.path).query).geturl()
    with path.open("w") as log:
        async with connect(target, additional_headers=headers, user_agent_header=agent, max_size=None) as far:

            async def pump(source: ServerConnection, sink: ServerConnection, direction: str) -> None:
                try:
                    async for message in source:
                        print(json.dumps(_noted(direction, message)), file=log, flush=True)
                        await sink.send(message)
                except ConnectionClosed:
                    pass
                code = source.close_code or _GONE
                await sink.close(1000 if code in _NEVER_SENT else code, source.close_reason or "")

            async with asyncio.TaskGroup() as group:
                group.create_task(pump(near, far, "client"), name="to the server")
                group.create_task(pump(far, near, "server"), name="to the client")


def _noted(direction: str, message: str | bytes) -> dict[str, object]:
    try:
        event = json.loads(message)
    except ValueError:
        event = repr(message)[:_LONGEST]
    return {"t": round(time.monotonic(), 3), "from": direction, "event": _shortened(event)}


def _shortened(value: object) -> object:
    if isinstance(value, dict):
        return {key: _shortened(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [_shortened(inner) for inner in value]
    if isinstance(value, str) and len(value) > _LONGEST:
        return f"{value[:20]}... {len(value)} characters"
    return value
