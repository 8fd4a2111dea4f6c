"""Wyoming beside `assistant serve`, if it is asked for, by the optional package wyoming (extra `wyoming`)."""

import asyncio
import socket
from pathlib import Path

import typer

from assistant.config import ServerConfig
from assistant.server.errors import ServerError
from assistant.server.logs import logger
from assistant.server.realtime import Realtime

MISSING = "Wyoming is not installed: pip install -e '.[wyoming]'"


def open_wyoming(config: ServerConfig, record: Path | None) -> socket.socket | None:
    """A socket that listens for Wyoming, if that is wanted; raises ServerError."""
    if config.wyoming is None:
        return None
    if record is not None:
        raise ServerError("a trace has conversations, and Wyoming's requests are none: --record or --wyoming")
    try:
        from assistant.wyoming.server import listen_wyoming  # noqa: PLC0415  # optional
    except ImportError as error:
        raise ServerError(MISSING) from error
    return listen_wyoming(config)


def say_wyoming(config: ServerConfig, sock: socket.socket) -> None:
    """Print the address, and warn of what Wyoming lacks."""
    from assistant.wyoming.server import wyoming_url  # noqa: PLC0415  # optional

    if config.wyoming_clients:
        logger().warning("Wyoming has no TLS: speech can be read on the way")
    typer.echo(f"wyoming at {wyoming_url(config, sock)}")


async def serve_wyoming(server: Realtime, sock: socket.socket, stop: asyncio.Event) -> None:
    """Offer the models of `server` by Wyoming, too, until `stop` is set and the requests have ended."""
    from assistant.wyoming.answering import (  # noqa: PLC0415  # optional
        Conversations,
        by_language_model,
        by_skills,
    )
    from assistant.wyoming.describing import describe  # noqa: PLC0415
    from assistant.wyoming.server import run_wyoming  # noqa: PLC0415
    from assistant.wyoming.service import Service  # noqa: PLC0415

    config = server.config
    conversations = Conversations(config.llm.system_prompt, server.clock, server.pool.open_skills)
    info = describe(config, server.model)
    responder = by_skills(by_language_model)
    service = Service(server.pool, config, server.clock, server.metrics, info, conversations, responder)
    await run_wyoming(service, sock, stop)
