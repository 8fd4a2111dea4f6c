"""What moved the turn machine of a simulated session, and when: what was decided, and what came of it."""

import re
from collections.abc import Sequence
from dataclasses import dataclass

from asr.vad import WINDOW
from assistant.runtime import Clock, StepRun
from assistant.session import turn
from assistant.session.completeness import log_odds

_NUMBERED = re.compile(r"(?:turn|reply)-(\d+)\b")


def number_of(step: StepRun) -> int | None:
    """The turn or reply that a step was for; None of a step that listens."""
    found = _NUMBERED.match(step.task)
    return int(found[1]) if found else None


@dataclass(frozen=True)
class Moment:
    """When something was decided, and the last sample of the window of audio by which, if it was one."""

    ns: int
    end_sample: int | None


class TurnLog:
    """Takes what a session's `Watch` is told; `config` is the session's."""

    def __init__(self, clock: Clock, config: turn.TurnConfig) -> None:
        self._clock, self._config = clock, config
        self.speculated: dict[int, tuple[Moment, int]] = {}
        """Of each speculation when it began, and the last sample before it that was taken for voice."""
        self.released: dict[int, tuple[Moment, str]] = {}
        """When each reply was released, and what was waited for: a score, or what to call the silence."""
        self.kept_turns: set[int] = set()
        self.kept_replies: set[int] = set()
        self._speeches: list[
            tuple[int, int | None]
        ] = []  # when each was over, and as which turn, if it was one

    def watch(self, before: turn.State, event: turn.Event, commands: Sequence[turn.Command]) -> None:
        """See `Watch`."""
        now_ns = self._clock.now_ns()
        moment = Moment(now_ns, event.end_sample if isinstance(event, turn.Window) else None)
        for command in commands:
            self._note(moment, before, event, command)
        dropped = any(isinstance(command, turn.Continue) for command in commands)
        gone = dropped or isinstance(event, turn.AudioCleared | turn.NothingSaid)
        if gone and isinstance(before, turn.Speaking | turn.Pausing):
            self._speeches.append((now_ns, None))

    def _note(self, moment: Moment, before: turn.State, event: turn.Event, command: turn.Command) -> None:
        match command:
            case turn.Speculate(number=number, voice_end_sample=sample):
                self.speculated[number] = moment, sample
            case turn.EndTurn(number=number):
                self.kept_turns.add(number)
                self._speeches.append((moment.ns, number))
            case turn.Release(number=number):
                self.kept_replies.add(number)
                self.released[number] = moment, self._waited_for(before, event)
            case turn.Discard(number=number):
                self.kept_replies.discard(number)
            case turn.Reopen(number=number):
                self.kept_replies.discard(number)
                self.kept_turns.discard(number)
                self._speeches = [speech for speech in self._speeches if speech[1] != number]

    def _waited_for(self, before: turn.State, event: turn.Event) -> str:
        """What a turn's end waited for last: a score, by its event's name, or what to call the silence."""
        if isinstance(event, turn.TextScored | turn.Read | turn.AudioScored):
            return type(event).__name__
        if not isinstance(event, turn.Window) or not isinstance(before, turn.Pausing):
            return "client"
        config = self._config
        silence_ms, earlier_ms = (
            (end - before.voice_end) / 16 for end in (event.end_sample, event.end_sample - WINDOW)
        )
        if config.detection == "silence":
            return "silence_ms"
        if before.text is None or silence_ms >= config.max_silence_ms:
            return "max_silence"
        if earlier_ms < config.min_silence_ms:
            return "min_silence"
        if log_odds(before.text, before.audio, earlier_ms, read=before.read) < config.threshold:
            return "threshold"
        return "voice in the pause"

    def keeps(self, step: StepRun) -> bool:
        """Whether what a step gave was of use. Partials and what is read ahead are if a turn came of it."""
        number = number_of(step)
        if not step.wanted or step.worker == "vad":
            return step.wanted
        if number is not None:
            return number in (self.kept_turns if step.task.startswith("turn-") else self.kept_replies)
        return next((of is not None for over_ns, of in self._speeches if over_ns >= step.began_ns), False)
