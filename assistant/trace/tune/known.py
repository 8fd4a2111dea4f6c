"""What came of simulations, so that one need not be run whose every decision is known to be the same."""

from dataclasses import dataclass, field
from typing import Generic, TypeVar

from assistant.session.turn import Event, State, Step, TurnConfig
from assistant.session.turn_table import step

T = TypeVar("T")

Log = list[tuple[State, Event, Step]]
"""What the turn machines of a simulation were asked, and what they answered, in order."""


@dataclass
class _Node(Generic[T]):
    """What is asked after some answers, and what follows each answer to it; or, at the end, what came."""

    asked: tuple[State, Event] | None = None
    after: list[tuple[Step, "_Node[T]"]] = field(default_factory=list)
    came: T | None = None


class Known(Generic[T]):
    """Simulations of the same sessions under different settings.

    Settings act on a simulation through nothing but the answers of the turn machine. Those that give the same
    answers to the same questions are the same simulation.
    """

    def __init__(self) -> None:
        self._root: _Node[T] = _Node()

    def find(self, config: TurnConfig) -> T | None:
        """What came of a simulation that would be the same under `config`."""
        node: _Node[T] | None = self._root
        while node is not None and node.asked is not None:
            answer = step(*node.asked, config)
            node = _following(node, answer)
        return node.came if node else None

    def add(self, log: Log, came: T) -> None:
        """A simulation that was run."""
        node = self._root
        for state, event, answer in log:
            assert node.asked in (None, (state, event)), "the same answers lead to the same question"
            node.asked = state, event
            following = _following(node, answer)
            if following is None:
                following = _Node()
                node.after.append((answer, following))
            node = following
        node.came = came


def _following(node: _Node[T], answer: Step) -> _Node[T] | None:
    return next((following for known, following in node.after if known == answer), None)
