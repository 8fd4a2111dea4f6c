"""A conversation's turns as `assistant replay` tells them."""

from pathlib import Path

from assistant.audio import Clip
from assistant.session.events import ReplyDone
from assistant.trace.turns import ClipRun, ReplayedTurn, summarize


class Turns:
    """Turns in the order in which their replies were over; ends that were taken back are part of the next."""

    def __init__(self) -> None:
        self.turns: list[ReplayedTurn] = []
        self._records: list[ReplyDone] = []

    def note(self, record: ReplyDone) -> ReplayedTurn | None:
        """The turn that is over with `record`, if one is."""
        self._records.append(record)
        if record.reopened:
            return None
        run = ClipRun(Clip(Path(f"turn-{len(self.turns) + 1}")), records=self._records)
        self._records = []
        self.turns.append(summarize(run))
        return self.turns[-1]
