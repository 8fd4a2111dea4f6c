"""The terminal: a few live lines below what is over, or, where there is no terminal, lines alone."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Protocol

from rich.console import Console, Group
from rich.live import Live
from rich.text import Text

from assistant.microphone.echo.levels import Levels
from assistant.microphone.view import View, split

_WIDTH = 16
_QUIET_DBFS = -60.0
_MARKS = {
    "starting": ("○", "dim"),
    "listening": ("●", "green"),
    "hearing": ("●", "bold green"),
    "thinking": ("●", "yellow"),
    "speaking": ("●", "cyan"),
}


@dataclass(frozen=True)
class Status:
    """What the live lines show beside the view."""

    levels: Levels = Levels()
    muted: bool = False
    keys: str = ""
    asleep: str = ""
    """The phrase that is waited for; of somebody who is awake, nothing."""


class Output(Protocol):
    """Where a conversation is shown. A line is printed once and stays; what is live is drawn over."""

    def __enter__(self) -> "Output": ...
    def __exit__(self, *_: object) -> None: ...
    def say(self, line: str) -> None:
        """A line that stays."""
        ...

    def draw(self, view: View, status: Status) -> None:
        """What is going on now."""
        ...


class Lines:
    """For pipes, files and `--plain`: nothing is live, and only falling asleep and waking up is told of."""

    def __init__(self, write: Callable[[str], None]) -> None:
        self.say = write
        self._asleep = ""

    def __enter__(self) -> "Lines":
        return self

    def __exit__(self, *_: object) -> None: ...

    def draw(self, view: View, status: Status) -> None:  # noqa: ARG002  # nothing of it is live
        """See Output."""
        if status.asleep != self._asleep:
            self._asleep = status.asleep
            self.say(_asleep(status.asleep) if status.asleep else "listening")


class Screen:
    """For terminals."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._live = Live(console=console, auto_refresh=False, transient=True)
        self._shown: tuple[View, Status] | None = None

    def __enter__(self) -> "Screen":
        self._live.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._live.stop()

    def say(self, line: str) -> None:
        """See Output."""
        self._console.print(Text(line))

    def draw(self, view: View, status: Status) -> None:
        """See Output: what is there already is not drawn again."""
        status = _rounded(status)
        if (view, status) != self._shown:
            self._shown = view, status
            self._live.update(render(view, status), refresh=True)


def render(view: View, status: Status) -> Group:
    """The live lines."""
    mark, style = _MARKS["starting" if status.asleep else view.state]
    shown = _asleep(status.asleep) if status.asleep else view.state
    state = Text.assemble((mark, style), f" {shown:<10}")
    if status.muted:
        state.append("muted ", "bold red")
    state.append_text(_levels(status.levels))
    rows = [state]
    if view.stable or view.unstable:
        rows.append(
            Text.assemble("you:       ", view.stable, " " * bool(view.stable), (view.unstable, "dim"))
        )
    if view.reply:
        rows.append(Text.assemble("assistant: ", view.reply))
    if view.wait:
        rows.append(Text(f"last wait  {split(view.wait)}", "dim"))
    if status.keys:
        rows.append(Text(status.keys, "dim"))
    return Group(*rows)


def _asleep(phrase: str) -> str:
    return f'asleep: say "{phrase}"'


def _levels(levels: Levels) -> Text:
    return Text.assemble(
        " voice ", (_bar(levels.near), "green"), "  echo ", (_bar(levels.echo), "yellow"), " "
    )


def _bar(dbfs: float) -> str:
    filled = round(_WIDTH * min(1.0, max(0.0, 1 - dbfs / _QUIET_DBFS)))
    return "█" * filled + "·" * (_WIDTH - filled)


def _rounded(status: Status) -> Status:
    """With levels that change only where the bars do."""
    step = -_QUIET_DBFS / _WIDTH
    levels = status.levels
    values = [round(max(_QUIET_DBFS, v) / step) * step for v in (levels.microphone, levels.echo, levels.near)]
    return replace(status, levels=Levels(*values))
