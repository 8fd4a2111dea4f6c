"""Greedy tokens of an engine, each judged by what a reference holds likeliest after the same text.

Two engines that round otherwise part at the first near tie, and all that follows is of two texts. So the
reference writes no reply of its own here: it reads the engine's, and says at each token by how much it
prefers another. What is wrong late in a reply is found as well as what is wrong at its beginning.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Literal

import numpy as np

from llm.decode.engine import Engine, MultiStepEngine, prefill
from llm.decode.multi_step import StepRuns
from llm.decode.sample import Sampling
from llm.eval.predict import EvalError
from llm.eval.replies import TIE, check_room, greedy

TOKENS = 128
"""Length of a reply that is judged; it does not end before."""

Form = Literal["one by one", "ahead"]
"""How an engine writes: a token a call, chosen here; or in runs of tokens that it chooses itself."""


@dataclass(frozen=True)
class Judged:
    """The greedy tokens of one form.

    gaps: of each token of each prompt, by how many logits the reference prefers its own; 0 if it is the same.
    """

    form: Form
    gaps: tuple[tuple[float, ...], ...]

    @property
    def tokens(self) -> int:
        """How many were judged."""
        return sum(map(len, self.gaps))

    @property
    def equal(self) -> int:
        """How many are the reference's own."""
        return sum(gap == 0 for gaps in self.gaps for gap in gaps)

    @property
    def largest(self) -> float:
        """The largest gap."""
        return max(gap for gaps in self.gaps for gap in gaps)

    def beyond(self, tolerance: float = TIE) -> int:
        """How many the reference holds less likely than its own by more than `tolerance` logits."""
        return sum(gap > tolerance for gaps in self.gaps for gap in gaps)

    def ties(self, tolerance: float = TIE) -> int:
        """How many are others, but by `tolerance` logits or less."""
        return self.tokens - self.equal - self.beyond(tolerance)

    def to_dict(self) -> dict[str, Any]:
        """For JSON: the counts, and the largest gap of each prompt."""
        return {
            "form": self.form,
            "tokens": self.tokens,
            "equal": self.equal,
            "ties": self.ties(),
            "beyond": self.beyond(),
            "tie_logits": TIE,
            "largest_gap": self.largest,
            "largest_gaps": [max(gaps) for gaps in self.gaps],
        }


def judge(
    engine: Engine, reference: Engine, prompts: Sequence[Sequence[int]], tokens: int = TOKENS
) -> tuple[Judged, ...]:
    """Continue each prompt greedily by `tokens`, in each form that the engine has; what it held is dropped.

    Raises ValueError for no prompts, an empty one or no tokens, ContextFull before anything is computed,
    EvalError for a logit of the reference that is not finite, and what the engines raise.
    """
    check_room(engine, reference, prompts, tokens)
    forms: dict[Form, Callable[[Sequence[int]], list[int]]] = {
        "one by one": lambda prompt: greedy(engine, prompt, tokens)
    }
    if isinstance(engine, MultiStepEngine):
        forms["ahead"] = partial(_ahead, engine, tokens)
    return tuple(
        Judged(form, tuple(_gaps(engine, reference, prompt, write) for prompt in prompts))
        for form, write in forms.items()
    )


def _ahead(engine: MultiStepEngine, tokens: int, prompt: Sequence[int]) -> list[int]:
    """A greedy reply by multi-step decoding, as the assistant generates it, but with no penalty."""
    ids = [int(prefill(engine, prompt)[-1].argmax())]
    runs = StepRuns(engine, max_tokens=tokens, sampling=Sampling())
    while len(ids) < tokens:
        ids.append(runs.follow(ids))
    return ids


def _gaps(
    engine: Engine, reference: Engine, prompt: Sequence[int], write: Callable[[Sequence[int]], list[int]]
) -> tuple[float, ...]:
    # From nothing: what a context shift or another text's beginning left would be judged with it.
    engine.truncate(0)
    ids = write(prompt)
    reference.truncate(0)
    logits = prefill(reference, [*prompt, *ids[:-1]], len(ids))
    if not np.isfinite(logits).all():
        raise EvalError("a logit of the reference is not finite")
    gaps = logits.max(axis=1) - logits[np.arange(len(ids)), ids]
    return tuple(gaps.tolist())
