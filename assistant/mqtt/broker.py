"""Connections to the broker, one after the other: each is a client of its own, so nothing is sent again."""

import asyncio
import logging
import math
import os
import socket
import ssl
import struct
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from random import Random

from aiomqtt import Client, ProtocolVersion, Will
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

from assistant.config import MqttConfig
from assistant.mqtt.errors import BrokerError
from assistant.mqtt.messages import MOST_CONFIG_BYTES
from assistant.mqtt.parts import Publication

PASSWORD = "ASSISTANT_MQTT_PASSWORD"  # the name of the variable
MOST_WAITING = 8192
"""Messages that wait to be looked at; what comes beyond is lost, and the connection is made anew for it."""
_KEEPALIVE_S = 15
TIMEOUT_S = 5.0
"""What a broker has for an answer; the connection is given up then."""
_GOODBYE_S = 1.0
_EXPIRY_S = 5
_BACKOFF_S, _MOST_BACKOFF_S = 1.0, 60.0
# A closed connection sends nothing more: what the network holds up would come at a time when nobody wants it.
_RESET = (socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
_SILENT = logging.getLogger("assistant.mqtt.quiet")
_SILENT.addHandler(logging.NullHandler())
_SILENT.propagate = False


@dataclass(frozen=True)
class Login:
    """Everything that a connection needs beside the configuration."""

    password: str | None = field(repr=False)
    tls: ssl.SSLContext | None


def login(config: MqttConfig, environment: Mapping[str, str] = os.environ) -> Login:
    """Read password and certificates. Raises BrokerError."""
    return Login(_password(config, environment), _context(config) if config.tls else None)


def _password(config: MqttConfig, environment: Mapping[str, str]) -> str | None:
    if config.username is None:
        return None
    if given := environment.get(PASSWORD):
        return given
    if config.password_file is None:
        return None
    try:
        return Path(config.password_file).read_text(encoding="utf-8").rstrip("\r\n")
    except (OSError, UnicodeDecodeError) as error:
        why = getattr(error, "strerror", None) or "is not UTF-8"
        raise BrokerError(f"[mqtt] password_file {config.password_file}: {why}") from None


def _context(config: MqttConfig) -> ssl.SSLContext:
    try:
        context = ssl.create_default_context(cafile=config.tls_ca)
    except OSError as error:
        raise BrokerError(f"[mqtt] tls_ca {config.tls_ca}: {error.strerror or error}") from None
    if config.tls_cert is not None:
        try:
            context.load_cert_chain(config.tls_cert, config.tls_key, password=_no_password)
        except (OSError, BrokerError) as error:
            raise BrokerError(f"[mqtt] tls_cert {config.tls_cert}: {error}") from None
    return context


def _no_password() -> str:
    raise BrokerError("the key has a password, which cannot be asked for")


@asynccontextmanager
async def open_connection(config: MqttConfig, given: Login, will: Publication) -> AsyncIterator[Client]:
    """One connection. Raises MqttError, and OSError (so TimeoutError) if there is none, or none any more."""
    client = _client(config, given, will)
    async with asyncio.timeout(TIMEOUT_S):
        await client.__aenter__()
    try:
        yield client
    finally:
        async with asyncio.timeout(_GOODBYE_S):
            await client.__aexit__(None, None, None)


def _client(config: MqttConfig, given: Login, will: Publication) -> Client:
    """MQTT 5, which bounds the size of messages and the life of commands.

    Its own timeouts are off: they are asyncio.wait_for's, which on Python 3.11 may lose a cancellation.
    """
    connect = Properties(PacketTypes.CONNECT)  # type: ignore[no-untyped-call]
    connect.MaximumPacketSize = MOST_CONFIG_BYTES + 4096
    return Client(
        config.host,
        config.port,
        username=config.username,
        password=given.password,
        tls_context=given.tls,
        protocol=ProtocolVersion.V5,
        properties=connect,
        will=Will(will.topic, will.payload, qos=1, retain=True),
        keepalive=_KEEPALIVE_S,
        timeout=math.inf,
        max_queued_incoming_messages=MOST_WAITING,
        socket_options=[_RESET],
        logger=_SILENT,
    )


def expiring() -> Properties:
    """Of a command: a broker that cannot deliver it in five seconds is to forget it."""
    properties = Properties(PacketTypes.PUBLISH)  # type: ignore[no-untyped-call]
    properties.MessageExpiryInterval = _EXPIRY_S
    return properties


def backoff_s(failures: int, random: Random) -> float:
    """How long to wait after so many failures in a row: doubling to a minute, of it half to all."""
    most: float = min(_BACKOFF_S * 2 ** min(failures, 10), _MOST_BACKOFF_S)
    return most * random.uniform(0.5, 1.0)
