"""What the assistant does when Home Assistant asks for it."""

from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True)
class Callbacks:
    """Called on the event loop; none may wait. What is None is not offered in Home Assistant."""

    say: Callable[[str], None] | None = None
    """Speak this text, which somebody wrote there."""
    mute: Callable[[bool], None] | None = None
    """Mute the microphone, or unmute it."""
    tell: Callable[[str], None] = lambda _: None
    """One line about the connection, when it comes and when it goes."""
