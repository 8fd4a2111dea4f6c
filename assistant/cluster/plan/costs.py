"""What conversations cost on a machine: measured, and kept in a small JSON file."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from statistics import fmean
from typing import Any

from assistant.cluster.plan.errors import PlanError

FORMAT = 1


@dataclass(frozen=True)
class TurnCost:
    """One turn of one session; a step's time is what it takes with cores to itself."""

    lead_s: float
    """Of the recording before the first voiced sample."""
    speech_s: float
    """From the first voiced sample to the last."""
    partials: int
    partial_ms: float
    """Of one; so are the others without "all" in the name."""
    finals: int
    final_ms: float
    scores: int
    score_ms: float
    read_ahead_ms: float
    """All reading of the language model while the user spoke."""
    prepared: int
    """Replies that were begun, on speculation or not; the last is heard."""
    prompt_ms: float
    """Making a prompt and reading what is left of it."""
    first_tokens: int
    """Passes until the first phrase could be spoken."""
    tokens: int
    """Passes of the reply that was heard."""
    first_chunk_ms: float
    chunks: int
    """Of the reply that was heard."""
    chunk_ms: float
    reply_s: float
    """Of audio."""
    begin_ms: float
    """From the last voiced sample until the transcript of the reply that was heard was asked for."""
    decide_ms: float
    """From the last voiced sample until the turn was over, if silence decided; else from when the transcript
    was there and read."""
    by_words: bool
    """Whether the transcript decided that the turn was over."""
    start_ms: float
    """From when the reply was ready and the turn over to the first audible sample."""
    rest_ms: float
    """Of the time to first audio, what is neither a step nor a decision: Python between steps."""
    tail_s: float
    """From the end of the reply until the session listened to the next recording."""
    ttfa_ms: float
    closes_ms: float = 0.0
    """The language model's reading of the last transcript, if that leaves open whether the turn is over."""


@dataclass(frozen=True)
class Passes:
    """A decoding pass for so many sessions takes `first_ms`, and `more_ms` for each behind the first."""

    first_ms: float
    more_ms: float

    def ms(self, sessions: int) -> float:
        """Of a pass that they share."""
        return self.first_ms + self.more_ms * (sessions - 1)


@dataclass(frozen=True)
class Shared:
    """Cores: `first` for one session, `more` for each behind it, whose windows and wake-ups it shares."""

    first: float
    more: float

    def of(self, sessions: float) -> float:
        """All of so many sessions."""
        return self.first + self.more * (sessions - 1) if sessions else 0.0


@dataclass(frozen=True)
class Memory:
    """In MB: of the process with all models and no session, and what each session adds."""

    models_mb: float
    session_mb: float


@dataclass(frozen=True)
class Costs:
    """One machine's."""

    date: str
    commit: str
    machine: Mapping[str, Any]
    turns: tuple[TurnCost, ...]
    listen: Shared
    """Cores that sessions keep busy all the time: voice detection, event loop, frames."""
    loop: Shared
    """What of it runs on the event loop, of which a process has one."""
    llm_width: float
    """Cores that the language model keeps busy while it runs; all else runs in one thread."""
    passes: Passes
    crowding: float
    """How much longer the same work takes while every core has work."""
    memory: Memory
    spread: Mapping[str, Sequence[float]]
    """The smallest and the largest of the repetitions, of figures that are medians over them."""

    @property
    def cpu_ms(self) -> Mapping[str, float]:
        """CPU time: per second of a session, of its speech, of a reply's audio; and per turn."""
        speech = fmean(turn.speech_s for turn in self.turns)
        audio = fmean(turn.reply_s for turn in self.turns)
        partials = fmean(turn.partials * turn.partial_ms for turn in self.turns)
        ends = fmean(t.finals * t.final_ms + t.scores * t.score_ms for t in self.turns)
        read = fmean(t.read_ahead_ms + t.closes_ms + t.prepared * t.prompt_ms for t in self.turns)
        decode = fmean(passes_of(turn) * self.passes.first_ms for turn in self.turns)
        voice = fmean(voice_ms(turn) for turn in self.turns)
        return {
            "listening, per second": self.listen.first * 1e3,
            "listening beside others, per second": self.listen.more * 1e3,
            "partial transcripts, per second of speech": partials / speech,
            "final transcripts and scores, per turn": ends,
            "reading prompts, per turn": read * self.llm_width,
            "writing, per turn": decode * self.llm_width,
            "speaking, per second of reply": voice / audio,
        }


def passes_of(turn: TurnCost) -> int:
    """Decoding passes of a turn, those for replies that were not heard included."""
    return turn.tokens + (turn.prepared - 1) * turn.first_tokens


def voice_ms(turn: TurnCost) -> float:
    """Synthesis of a turn, the first chunks of replies that were not heard included."""
    return turn.prepared * turn.first_chunk_ms + (turn.chunks - 1) * turn.chunk_ms


def with_rest(turn: TurnCost, passes: Passes) -> TurnCost:
    """The turn with what its steps and decision leave of its time to first audio."""
    final_ms = turn.begin_ms + turn.final_ms + turn.closes_ms
    ready_ms = final_ms + turn.prompt_ms + turn.first_tokens * passes.first_ms + turn.first_chunk_ms
    decided_ms = turn.decide_ms + final_ms * turn.by_words
    rest_ms = turn.ttfa_ms - turn.start_ms - max(ready_ms, decided_ms)
    return replace(turn, rest_ms=max(0.0, rest_ms))


def write_costs(costs: Costs) -> Mapping[str, Any]:
    """Ready for JSON."""
    return {"format": FORMAT, **asdict(costs)}


def read_costs(path: Path) -> Costs:
    """Read what `write_costs` gave; raises PlanError."""
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise PlanError(f"{path}: cannot be read ({error.strerror})") from error
    except ValueError as error:
        raise PlanError(f"{path}: is not JSON ({error})") from error
    try:
        if found.pop("format") != FORMAT:
            raise PlanError(f"{path}: is of another format than {FORMAT}; measure the machine again")
        found["turns"] = tuple(TurnCost(**turn) for turn in found["turns"])
        found |= {name: kind(**found[name]) for name, kind in _PARTS.items()}
        costs = Costs(**found)
    except (KeyError, TypeError, AttributeError) as error:
        raise PlanError(f"{path}: is no cost file ({error})") from error
    _check(path, costs)
    return costs


_PARTS: Mapping[str, Any] = {"listen": Shared, "loop": Shared, "passes": Passes, "memory": Memory}


def _check(path: Path, costs: Costs) -> None:
    if not costs.turns:
        raise PlanError(f"{path}: has no turns")
    figures = [costs.crowding, costs.llm_width, *vars(costs.listen).values(), *vars(costs.loop).values()]
    figures += [*vars(costs.passes).values(), *vars(costs.memory).values()]
    for turn in costs.turns:
        figures += [getattr(turn, each.name) for each in fields(turn) if each.name not in _SIGNED]
    if not all(isinstance(figure, int | float) and 0 <= figure < _MOST for figure in figures):
        raise PlanError(f"{path}: has a figure that is no number of 0 to {_MOST:.0e}")


_SIGNED = ("begin_ms", "decide_ms", "by_words", "ttfa_ms", "start_ms")
_MOST = 1e6
