"""An output that keeps what it is shown."""

from assistant.microphone.screen import Status
from assistant.microphone.view import View


class Shown:
    """The lines that were printed, and the views that were drawn."""

    def __init__(self) -> None:
        self.lines: list[str] = []
        self.views: list[View] = []
        self.asleep: list[str] = []
        self.keys: list[str] = []

    def __enter__(self) -> "Shown":
        return self

    def __exit__(self, *_: object) -> None: ...

    def say(self, line: str) -> None:
        self.lines.append(line)

    def draw(self, view: View, status: Status) -> None:
        if not self.views or self.views[-1] != view:
            self.views.append(view)
        if not self.asleep or self.asleep[-1] != status.asleep:
            self.asleep.append(status.asleep)
        if status.keys not in self.keys[-1:]:
            self.keys.append(status.keys)
