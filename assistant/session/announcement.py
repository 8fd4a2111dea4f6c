"""What the assistant says of its own accord: a timer that is over, a message for whoever is there."""

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Announcement:
    """Words that are said as soon as nobody speaks."""

    text: str


@dataclass(frozen=True)
class Announced:
    """The plan of a reply that is an announcement; see `stages.Plan`."""

    text: str
    intent: str = "Announcement"
    slots: Mapping[str, object] = field(default_factory=dict)
    complete: bool = True

    async def act(self) -> str:
        """Nothing is left to do."""
        return self.text

    async def undo(self) -> None:
        """Nothing was done."""
