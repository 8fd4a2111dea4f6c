"""What all Wyoming clients share, and how much one of them may take."""

from dataclasses import dataclass

from wyoming.event import Event

from assistant.config import Config
from assistant.models.pool import ModelPool
from assistant.runtime import Clock
from assistant.server.metrics import Metrics
from assistant.wyoming.answering import Conversations, Responder
from assistant.wyoming.wire import WireLimits


@dataclass(frozen=True)
class Limits:
    """How much one client may take, and how long it may take for it."""

    wire: WireLimits = WireLimits()
    text_chars: int = 8192
    """Of a text to speak or to answer: nine minutes of speech."""
    idle_s: float = 600
    """Between two requests."""
    stalled_s: float = 60
    """Between two events of a request, which holds a place; a language model may write the next one."""
    unread_s: float = 10
    """A client that plays what it is sent reads at the speed of speech."""
    linger_s: float = 1
    """For a client to read why it is cut off: what it still sends would reset the connection before."""


@dataclass(frozen=True)
class Service:
    """What all clients share; `info` answers `describe`."""

    pool: ModelPool
    config: Config
    clock: Clock
    metrics: Metrics
    info: Event
    conversations: Conversations
    responder: Responder
    limits: Limits = Limits()
