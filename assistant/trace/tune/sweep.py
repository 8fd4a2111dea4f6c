"""Simulating the sessions of traces under settings, each as briefly and as seldom as can be."""

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace

from assistant.session.turn import Event, State, Step, TurnConfig
from assistant.session.turn_table import step
from assistant.trace.copies import SessionCopy
from assistant.trace.errors import TraceError
from assistant.trace.runs import clip_of
from assistant.trace.simulate import Simulator
from assistant.trace.trace import RecordedSession, Trace
from assistant.trace.tune.known import Known, Log
from assistant.trace.tune.outcome import Outcome, outcome_of, said
from assistant.trace.tune.settings import Settings
from assistant.trace.unrecorded import Unrecorded


@dataclass(frozen=True)
class _Group:
    """Sessions that were held at the same time, and so share the models."""

    simulator: Simulator
    sessions: tuple[RecordedSession, ...]
    known: Known[list[Outcome]] = field(default_factory=Known)

    @property
    def texts(self) -> list[str]:
        """What is said in clips whose ends are labelled."""
        clips = [clip_of(line) for session in self.sessions for line in session.clips]
        return [said(clip.reference, clip.name) for clip in clips if clip.speech_end_sample is not None]


class Sweep:
    """The sessions of `traces`; `unrecorded` gives each trace the real models."""

    def __init__(self, traces: Sequence[Trace], unrecorded: Callable[[Trace], Unrecorded]) -> None:
        """Raises TraceError: traces of different settings, or whose turns do not end by words and sound."""
        self.present = _present(traces)
        self.simulations = self.spared = self.failures = 0
        """How many were run, how many were not as their outcome was known, and models' errors in them."""
        self.unlabelled = sum(
            line.get("speech_end_sample") is None
            for trace in traces
            for session in trace.sessions
            for line in session.clips
        )
        """Clips of which nobody knows when their speaker was done: they are left out."""
        self._unrecorded = [unrecorded(trace) for trace in traces]
        self._groups = [
            _Group(simulator, sessions)
            for simulator in map(Simulator, traces, self._unrecorded)
            for sessions in together(simulator.trace.sessions)
        ]

    @property
    def texts(self) -> list[str]:
        """What is said in each turn that can be judged."""
        return [text for group in self._groups for text in group.texts]

    @property
    def asked(self) -> Counter[str]:
        """How often a real model of each stage was asked, what was not recorded."""
        return sum((each.asked for each in set(self._unrecorded)), Counter[str]())

    def outcomes(self, settings: Settings, wanted: Callable[[str], bool]) -> list[Outcome]:
        """What comes of all turns in which `wanted` is said, in the order of the traces."""
        turn = replace(self.present, **settings)
        groups = [group for group in self._groups if any(map(wanted, group.texts))]
        return [each for group in groups for each in self._of(group, turn) if wanted(each.text)]

    def _of(self, group: _Group, turn: TurnConfig) -> list[Outcome]:
        if (known := group.known.find(turn)) is not None:
            self.spared += 1
            return known
        log: Log = []

        def decide(state: State, event: Event, config: TurnConfig) -> Step:
            answer = step(state, event, config)
            log.append((state, event, answer))
            return answer

        config = replace(group.simulator.config, turn=turn)
        of = [SessionCopy(session) for session in group.sessions]
        runs, _ = group.simulator.run(of, config, decide=decide, brief=True)
        found = [each for run in runs for clip in run.turns.runs if (each := outcome_of(clip)) is not None]
        self.simulations += 1
        self.failures += sum(run.turns.failures for run in runs)
        group.known.add(log, found)
        return found


def _present(traces: Sequence[Trace]) -> TurnConfig:
    present = traces[0].config.turn
    for trace in traces:
        if trace.config.turn != present:
            raise TraceError(f"{trace.folder}: has another [turn] than {traces[0].name}")
        if trace.config.turn.detection != "semantic":
            raise TraceError(f"{trace.folder}: its turns do not end by words and sound ([turn] detection)")
    return present


def together(sessions: Sequence[RecordedSession]) -> Iterator[tuple[RecordedSession, ...]]:
    """Sessions by the time at which they were held: those that overlapped are one group."""
    group: list[RecordedSession] = []
    end_ns = 0
    for session in sorted(sessions, key=lambda each: each.at_ns):
        if group and session.at_ns >= end_ns:
            yield tuple(group)
            group = []
        group.append(session)
        end_ns = max(end_ns, session.frames[-1][1] if session.frames else session.at_ns)
    if group:
        yield tuple(group)
