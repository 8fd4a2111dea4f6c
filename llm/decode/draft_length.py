"""How many tokens to draft: where the expected tokens per second are highest, by what was measured."""

from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from statistics import median

# SmolLM2-135M in ONNX Runtime on two cores: 7.3, 9.1, 12.9 and 20.5 ms for 1, 2, 4 and 8 tokens (FINDINGS).
ROW_COST = 0.27  # of each further token in a pass, in passes over one token, until measured

_ENOUGH = 3  # measurements before a median is believed: the first pass of a size is often a slow one
_NEAR = 2  # passes behind a plain one that are compared with it
_PLAIN_EVERY = 32  # passes: the machine, and the length of the text, change what a plain pass costs
_DECAY = 0.95  # of what was seen, with each drafted token that was accepted or not: about 20 count
_PRIOR = 4.0  # how many such tokens the first guess at the acceptance is worth
_MARGIN = 1.03  # drafting must promise this much: below, the measurements are not that exact


class PassTimes:
    """What a pass over several tokens costs in passes over one, T(M)/T(1), as running medians.

    A pass is compared only with a plain one right before it: when the machine gets busy, both are slow.
    """

    def __init__(self) -> None:
        self.plain_ns = 1  # the last pass over one token
        self._plain_passes = 0
        self._since_plain = 0  # passes
        self._last_rows = 1
        self._ratios: deque[tuple[int, float]] = deque(maxlen=64)  # rows, T(rows)/T(1)
        self._known: list[tuple[int, float]] = [(1, 1.0)]  # the medians, by rows

    @property
    def wants_plain(self) -> bool:
        """Whether the next pass must be plain, to compare with: at the start, and now and then."""
        known = self._last_rows <= self._known[-1][0]
        return self._plain_passes < _ENOUGH or self._since_plain >= (_PLAIN_EVERY if known else _NEAR)

    def observe(self, rows: int, elapsed_ns: int) -> None:
        """A pass over `rows` tokens took so long."""
        self._last_rows = rows
        if rows == 1:
            self.plain_ns, self._since_plain = max(1, elapsed_ns), 0
            self._plain_passes += 1
            return
        self._since_plain += 1
        if self._since_plain <= _NEAR:
            self._ratios.append((rows, max(1.0, elapsed_ns / self.plain_ns)))
            self._known = [(1, 1.0), *sorted(self._medians())]

    def ratio(self, rows: int) -> float:
        """T(rows)/T(1): measured, between two that are, or beyond them.

        Beyond, it is rather too low, at ROW_COST a token at most: or it might never be measured.
        """
        for (a, low), (b, high) in pairwise(self._known):
            if rows <= b:
                return low + (high - low) * (rows - a) / (b - a)
        last, ratio = self._known[-1]
        row_cost = min(ROW_COST, (ratio - 1) / (last - 1)) if last > 1 else ROW_COST
        return ratio + row_cost * (rows - last)

    def _medians(self) -> Iterator[tuple[int, float]]:
        by_rows: dict[int, list[float]] = {}
        for rows, ratio in self._ratios:
            by_rows.setdefault(rows, []).append(ratio)
        return ((rows, median(seen)) for rows, seen in by_rows.items() if len(seen) >= _ENOUGH)


class Acceptance:
    """How often drafted tokens were accepted, of late: at the start of a guess, and further on in it.

    The start decides whether the guess is right at all; a right one goes on for a while, also from one
    draft to the next.
    """

    def __init__(self) -> None:
        self._start, self._further = _Share(0.5), _Share(0.8)

    def observe(self, accepted: int, *, rejected: bool, going: bool) -> None:
        """A pass accepted so many drafted tokens; whether it rejected the next one (or there was none).

        `going`: the draft went on from one that was accepted to its end.
        """
        outcomes = [True] * accepted + [False] * rejected
        if outcomes and not going:
            self._start.add(outcomes.pop(0))
        for outcome in outcomes:
            self._further.add(outcome)
        if not outcomes:
            self._further.relax()

    def expected_tokens(self, drafted: int, *, going: bool) -> float:
        """Tokens that a pass with a draft gives: its own, and those accepted before the first rejected.

        With the same share a for all: (1 - a^(k+1)) / (1 - a) (Leviathan et al. 2023).
        """
        start = self._further.value if going else self._start.value
        return 1.0 + start * sum(self._further.value**i for i in range(drafted))


class _Share:
    """The share of good outcomes, the newer the weightier; it begins with a guess."""

    def __init__(self, guess: float) -> None:
        self._guess = guess
        self._yes, self._all = _PRIOR * guess, _PRIOR

    def add(self, outcome: bool) -> None:
        self._yes = self._yes * _DECAY + outcome
        self._all = self._all * _DECAY + 1.0

    def relax(self) -> None:
        """Not tried this time: old outcomes give way to the guess, or it might never be tried again."""
        self._yes = self._yes * _DECAY + (1.0 - _DECAY) * _PRIOR * self._guess
        self._all = self._all * _DECAY + (1.0 - _DECAY) * _PRIOR

    @property
    def value(self) -> float:
        return self._yes / self._all


@dataclass(frozen=True)
class Plan:
    """How many tokens to draft, 0 for none, and how many times plain decoding's speed to expect of it."""

    length: int
    speed: float


class DraftLength:
    """What is known of one drafter, and how much to draft by it.

    The plans: `going` behind a draft that was accepted to its end, else `fresh`.
    """

    def __init__(self, longest: int) -> None:
        self._longest = longest
        self._acceptance = Acceptance()
        self._costs: deque[float] = deque(maxlen=7)  # plain passes a drafted token
        self.plan(PassTimes())

    def observe_draft(self, accepted: int, *, rejected: bool, going: bool) -> None:
        """See `Acceptance.observe`."""
        self._acceptance.observe(accepted, rejected=rejected, going=going)

    def observe_cost(self, cost: float) -> None:
        """Drafting took so many plain passes a token."""
        self._costs.append(cost)

    def plan(self, times: PassTimes) -> None:
        """Set the plans by what is known now."""
        # A drafter's first call may read the whole prompt.
        cost = median(self._costs) if len(self._costs) >= _ENOUGH else 0.0
        costs = [times.ratio(1 + k) + k * cost for k in range(self._longest + 1)]
        self.fresh, self.going = self._best(costs, going=False), self._best(costs, going=True)

    def _best(self, costs: Sequence[float], *, going: bool) -> Plan:
        tokens = [self._acceptance.expected_tokens(k, going=going) for k in range(len(costs))]
        return best_plan(tokens, costs)


def best_plan(tokens: Sequence[float], costs: Sequence[float]) -> Plan:
    """The draft length k with most tokens[k] / costs[k]; 0 unless it pays by _MARGIN.

    costs[k]: of the pass and its draft, in plain passes. tokens[0] and costs[0] are 1.
    """
    speed, k = max((t / c, -i) for i, (t, c) in enumerate(zip(tokens, costs, strict=True)))
    return Plan(-k, speed) if speed >= _MARGIN else Plan(0, 1.0)
