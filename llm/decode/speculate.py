"""Speculative decoding: several tokens from one pass, and exactly those that would come one by one.

The target reads the last token and a draft of the next ones at once. At each position its own choice is
made as ever, by the same sampler; where that is the drafted token, the logits behind it are already there.
Drafts are deterministic, so this accepts a drafted token with exactly the probability the target gives it,
the most that any lossless rule can (Leviathan et al. 2023, with a draft distribution of one token).
"""

from collections.abc import Callable, Container, Iterator, Sequence
from copy import deepcopy
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from llm.decode.draft_length import DraftLength, PassTimes
from llm.decode.drafts import Drafter
from llm.decode.engine import Engine

_PROBE = 1  # token drafted to see whether a drafter that was switched off pays again
_PROBE_BUDGET = 0.01  # of the time, for such probes


@dataclass(frozen=True)
class Speculated:
    """What speculation did for a reply.

    `passes` of the target over the last token and a draft, if there was one; `drafted` and `accepted`
    tokens in them; `length` of the drafts that pay now: 0 if none does, and drafting is switched off.
    """

    drafted: int
    accepted: int
    passes: int
    length: int

    @property
    def tokens(self) -> int:
        """Tokens that the passes gave: all but the first, which the prefill gives; an end token counts."""
        return self.passes + self.accepted

    @property
    def enabled(self) -> bool:
        """Whether drafting pays, by what was measured up to the end of the reply."""
        return self.length > 0

    def to_dict(self) -> dict[str, int | float | bool]:
        """For a span: the counts, the acceptance rate, tokens a pass, and the decision."""
        return {
            "drafted": self.drafted,
            "accepted": self.accepted,
            "acceptance_rate": self.accepted / self.drafted if self.drafted else 0.0,
            "tokens_per_pass": self.tokens / self.passes if self.passes else 1.0,
            "draft_length": self.length,
            "enabled": self.enabled,
        }


@dataclass
class _Source:
    """A drafter and what is known of it."""

    drafter: Drafter
    policy: DraftLength
    debt: float = 0.0  # what its probes have cost beyond the budget, in plain passes


@dataclass(frozen=True)
class Draft:
    """What a drafter proposed; `cost` of it in plain passes."""

    source: _Source
    tokens: list[int]
    cost: float
    probe: bool
    going: bool


class Speculator:
    """Decides what to draft and how much, by what was measured. Lives across replies, with one engine.

    A drafter that does not pay is switched off. It is probed while all probes cost under 1 % of the time,
    and used again once they succeed; a probe that was right is followed up at once.
    """

    def __init__(
        self,
        drafters: Sequence[Drafter],
        now_ns: Callable[[], int],
        *,
        longest: int = 8,
        like: "Speculator | None" = None,
    ) -> None:
        """It begins with what `like`, which had as many drafters and is not used any more, has measured."""
        self.now_ns = now_ns
        known = [source.policy for source in like._sources] if like else []
        policies = known or [DraftLength(longest) for _ in drafters]
        self._sources: list[_Source] = [
            _Source(*pair) for pair in zip(drafters, deepcopy(policies), strict=True)
        ]
        self._times: PassTimes = deepcopy(like._times) if like else PassTimes()
        self._going: _Source | None = None  # its last draft was accepted to the end

    @property
    def length(self) -> int:
        """Tokens in the longest draft that pays now."""
        return max((source.policy.fresh.length for source in self._sources), default=0)

    def begin(self) -> None:
        """A reply begins, which does not go on from a draft of the last."""
        self._going = None

    def draft(self, tokens: Sequence[int], limit: int) -> Draft | None:
        """At most `limit` guesses at what follows; None where a plain pass is better."""
        going, self._going = self._going, None
        if limit < 1 or self._times.wants_plain:
            return None
        for source, length, probe in self._turns(going):
            start_ns = self.now_ns()
            draft = source.drafter.propose(tokens, min(length, limit))[:limit]
            if draft:
                cost = (self.now_ns() - start_ns) / self._times.plain_ns
                source.policy.observe_cost(cost / len(draft))
                return Draft(source, draft, cost, probe, source is going)
        return None

    def observe_pass(self, rows: int, elapsed_ns: int) -> None:
        """A pass of the target over so many tokens took so long."""
        self._times.observe(rows, elapsed_ns)
        for source in self._sources:
            source.debt -= _PROBE_BUDGET / len(self._sources)

    def observe_draft(self, draft: Draft, read: int, accepted: int, *, rejected: bool) -> None:
        """So many of the `read` drafted tokens were accepted, and the next was rejected or not reached."""
        draft.source.policy.observe_draft(accepted, rejected=rejected, going=draft.going)
        if draft.probe:
            lost = self._times.ratio(1 + read) + draft.cost - (1 + accepted)
            draft.source.debt = max(0.0, draft.source.debt) + lost
        self._going = draft.source if 0 < read == accepted else None
        for source in self._sources:
            source.policy.plan(self._times)

    def _turns(self, going: _Source | None) -> Iterator[tuple[_Source, int, bool]]:
        """Drafters in the order in which they are asked, for how much, and whether it is a probe."""
        if going and going.policy.going.length:
            yield going, going.policy.going.length, False
        off = (s for s in self._sources if not s.policy.fresh.length and s.debt <= 0)
        yield from ((source, _PROBE, True) for source in off)
        paying = [s for s in self._sources if s.policy.fresh.length]
        for source in sorted(paying, key=lambda s: s.policy.fresh.speed, reverse=True):
            yield source, source.policy.fresh.length, False


class Lookahead:
    """The passes of one reply. The engine holds the prompt; `close` leaves only chosen tokens in it."""

    def __init__(
        self,
        speculator: Speculator,
        engine: Engine,
        prompt: Sequence[int],
        *,
        max_tokens: int,  # of the reply; they fit the context, but for the last
        vocabulary: int,
        ends: Container[int],
    ) -> None:
        speculator.begin()
        self._speculator, self._engine = speculator, engine
        self._tokens = list(prompt)
        self._max_length = len(prompt) + max_tokens
        self._vocabulary, self._ends = vocabulary, ends
        self._draft: Draft | None = None
        self._ahead: list[int] = []  # the drafted tokens that the engine has read
        self._at = 0  # so many of them were chosen
        self._logits = np.empty((0, vocabulary), np.float32)  # [1 + ahead, vocabulary]
        self._drafted = self._accepted = self._passes = 0

    def step(self, token: int) -> NDArray[np.float32]:
        """Append one token; logits [vocabulary] of the next, as of `llm.decode.engine.step`."""
        self._tokens.append(token)
        if self._at < len(self._ahead) and token == self._ahead[self._at]:
            self._at += 1
        else:
            self._settle(rejected=self._at < len(self._ahead))
            self._pass(token)
        row: NDArray[np.float32] = self._logits[self._at]
        return row

    def close(self, *, ended: bool = False) -> None:
        """Take the rest of the draft back. `ended`: an end token was chosen, which no draft contains."""
        self._settle(rejected=ended and self._at < len(self._ahead))

    def report(self) -> Speculated:
        """What was drafted so far, and accepted."""
        return Speculated(self._drafted, self._accepted, self._passes, self._speculator.length)

    def _pass(self, token: int) -> None:
        # A pass gives one token more than it drafts.
        draft = self._speculator.draft(self._tokens, self._max_length - len(self._tokens) - 1)
        ahead = self._readable(draft.tokens) if draft else []
        start_ns = self._speculator.now_ns()
        self._logits = self._engine.extend([token, *ahead], 1 + len(ahead))
        self._speculator.observe_pass(1 + len(ahead), self._speculator.now_ns() - start_ns)
        self._draft, self._ahead, self._at = draft, ahead, 0
        self._passes += 1
        self._drafted += len(ahead)

    def _readable(self, draft: Sequence[int]) -> list[int]:
        """The draft up to an end token, which nothing follows, or one that the target does not have."""
        stops = (i for i, t in enumerate(draft) if t in self._ends or not 0 <= t < self._vocabulary)
        return list(draft[: next(stops, len(draft))])

    def _settle(self, *, rejected: bool) -> None:
        unread = len(self._ahead) - self._at
        if unread:
            self._engine.truncate(len(self._engine.tokens) - unread)
        if self._draft:
            self._speculator.observe_draft(self._draft, len(self._ahead), self._at, rejected=rejected)
        self._accepted += self._at
        self._draft, self._ahead, self._at = None, [], 0
