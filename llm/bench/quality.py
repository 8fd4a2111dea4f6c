"""What speed must not cost: perplexity beside float32, and the distribution of what is drawn."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import count, islice, pairwise

import numpy as np
from numpy.typing import NDArray
from scipy.stats import chi2

from llm.bench.entry import Entry, Goal
from llm.bench.speed import F32, OURS, THEIRS
from llm.decode.drafts import prompt_lookups
from llm.decode.engine import ContextFull, Engine
from llm.decode.generate import GenerateConfig, Token, generate
from llm.decode.sample import Sampling
from llm.decode.speculate import Speculated, Speculator
from llm.eval.predict import WINDOW, perplexity
from llm.text.tokenizer import Tokenizer

_EXACT = "the same file in float32"
_KINDS = 8  # tokens in the small vocabulary
_REPLY = 64  # tokens drawn in one reply


def perplexities(engines: Mapping[str, Engine], reference: Engine, ids: Sequence[int]) -> list[Entry]:
    """The text in windows, by each engine; raises EvalError."""
    window = min(WINDOW, reference.context)
    exact = (perplexity(reference, ids, window),)
    found = {name: (perplexity(engine, ids, window),) for name, engine in engines.items()}
    note = f"{len(ids)} tokens"
    goals = {F32: ("f32", 1.01), OURS: ("int8", 1.015)}
    entries = [
        Entry(f"perplexity, {kv} KV", "", found[name], exact, (Goal("ratio", "<=", limit),), _EXACT, note)
        for name, (kv, limit) in goals.items()
    ]
    if THEIRS in found:
        entries.append(Entry("perplexity, int8 KV, and theirs", "", found[OURS], found[THEIRS], note=note))
    return entries


def draws(tokenizer: Tokenizer, wanted: int) -> Entry:
    """p-value of at least `wanted` tokens drawn with speculation, given the distribution they shall have.

    What follows a token has fixed probabilities, by a table, and is drafted by prompt lookup as in a reply.
    """
    table = np.random.default_rng(0).normal(0, 1.5, (_KINDS, _KINDS))
    kinds = list(islice((i for i in count() if i not in tokenizer.eos_ids), _KINDS))
    engine = _TableEngine(table, kinds)
    speculator = Speculator(prompt_lookups(), lambda: 0)  # passes cost nothing: a draft always pays
    counts, drafted, accepted = np.zeros((_KINDS, _KINDS)), 0, 0
    for seed in range(-(-wanted // _REPLY)):
        config = GenerateConfig(_REPLY, (), Sampling(temperature=1.0, seed=seed))
        begin = kinds[seed % _KINDS]
        events = list(generate(engine, tokenizer, [begin], config, speculator=speculator))
        drawn = [begin, *(event.id for event in events if isinstance(event, Token))]
        for before, after in pairwise(drawn):
            counts[kinds.index(before), kinds.index(after)] += 1
        reports = [event for event in events if isinstance(event, Speculated)]
        drafted += sum(report.drafted for report in reports)
        accepted += sum(report.accepted for report in reports)
    return Entry(
        "chi-square of sampling with speculation",
        "p",
        (p_value(counts, np.exp(table) / np.exp(table).sum(axis=1, keepdims=True)),),
        goals=(Goal("ours", ">=", 0.001),),
        against="the softmax of fixed logits",
        note=f"{int(counts.sum())} draws, {drafted} drafted, {accepted} accepted",
    )


def p_value(counts: NDArray[np.float64], p: NDArray[np.float64]) -> float:
    """Pearson's chi-square of rows of counts, each drawn from its own row of probabilities `p`."""
    expected = counts.sum(axis=1, keepdims=True) * p
    statistic = float(((counts - expected) ** 2 / expected).sum())
    return float(chi2.sf(statistic, counts.shape[0] * (counts.shape[1] - 1)))


@dataclass
class _TableEngine:
    """An `llm.decode.engine.Engine` whose logits depend on the last token alone: `table` [kinds, kinds]."""

    table: NDArray[np.float64]
    kinds: Sequence[int]

    def __post_init__(self) -> None:
        self.context = _REPLY + 1
        self.tokens: list[int] = []
        self._rows = np.full((max(self.kinds) + 1,) * 2, -np.inf, np.float32)
        self._rows[np.ix_(self.kinds, self.kinds)] = self.table

    def extend(self, tokens: Sequence[int], logits_for: int = 1) -> NDArray[np.float32]:
        if len(self.tokens) + len(tokens) > self.context:
            raise ContextFull(len(self.tokens) + len(tokens), self.context)
        self.tokens += tokens
        return self._rows[self.tokens[len(self.tokens) - logits_for :]]

    def truncate(self, length: int) -> None:
        del self.tokens[length:]

    def cut(self, start: int, stop: int) -> None:
        del self.tokens[start:stop]
