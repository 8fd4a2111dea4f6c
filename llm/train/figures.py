"""Figures of one model on one part of the examples: shares with intervals, perplexity, length."""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from importlib.resources import files
from statistics import fmean

import torch
from torch.nn import functional as F  # noqa: N812  # torch's own name for it

from llm.train.encode import Encoder
from llm.train.generate import replies
from llm.train.grammar import Example
from llm.train.judge import Verdict, judge
from llm.train.model import Delta, Llama

TEXTS = ("tea_party", "prompts", "free_chat", "repeating")
"""Files of llm/data on which perplexity is measured."""
WORST_PERPLEXITY = 1.05
"""Times the base's: an adapter that is worse has forgotten too much."""

_WINDOW = 512  # tokens, as in llm.eval.predict
_MOST_TOKENS = 80  # of a reply; two calls with their arguments take about 70


@dataclass(frozen=True)
class Share:
    """`right` of `total`, with Wilson's 95 % interval (1927)."""

    right: int
    total: int

    @property
    def interval(self) -> tuple[float, float]:
        """Lower and upper bound; 0 and 1 of nothing."""
        if not self.total:
            return 0.0, 1.0
        z, n, p = 1.96, self.total, self.right / self.total
        center, spread = p + z * z / (2 * n), z * math.sqrt(p * (1 - p) / n + z * z / (4 * n * n))
        return max(0.0, (center - spread) / (1 + z * z / n)), min(1.0, (center + spread) / (1 + z * z / n))

    def __str__(self) -> str:
        low, high = self.interval
        share = 100 * self.right / self.total if self.total else 0.0
        return f"{self.right}/{self.total} = {share:.0f} % ({100 * low:.0f} to {100 * high:.0f})"


@dataclass(frozen=True)
class Figures:
    """What was measured. `replies` are those to the examples, in their order."""

    groups: Mapping[str, Share]
    kinds: Mapping[str, Share]
    claims: Share  # of what it cannot do or know: claimed all the same
    stray_calls: Share  # of what is no command: a function was called
    words: float  # of a reply that is no call
    perplexity: float
    replies: Sequence[str] = field(repr=False)

    def score(self) -> float:
        """The mean of the kinds' shares, each kind counting the same."""
        return fmean(share.right / share.total for share in self.kinds.values() if share.total)

    def to_dict(self) -> dict[str, object]:
        """For JSON, without the replies."""
        shares = {**self.kinds, **self.groups, "claims": self.claims, "stray calls": self.stray_calls}
        return {
            "score": self.score(),
            "perplexity": self.perplexity,
            "words": self.words,
            "shares": {
                name: {"right": share.right, "total": share.total, "interval": share.interval}
                for name, share in shares.items()
            },
        }


def measure(
    model: Llama, encoder: Encoder, examples: Sequence[Example], delta: Delta | None = None
) -> Figures:
    """Greedy replies to the examples, in float32, judged; and the perplexity of the texts."""
    prompts = [encoder.prompt(example) for example in examples]
    ids = replies(model, prompts, encoder.tokenizer.eos_ids, delta=delta, most=_MOST_TOKENS)
    texts = [encoder.tokenizer.decode(reply) for reply in ids]
    verdicts = [judge(example, text) for example, text in zip(examples, texts, strict=True)]
    judged = list(zip(examples, verdicts, strict=True))
    refused = [verdict for example, verdict in judged if example.kind in ("cannot", "unknown")]
    others = [verdict for example, verdict in judged if "<tool_call>" not in example.reply]
    return Figures(
        _shares(judged, lambda example: example.group),
        _shares(judged, _kind),
        Share(sum(verdict.claimed for verdict in refused), len(refused)),
        Share(sum(verdict.called for verdict in others), len(others)),
        fmean(verdict.words for verdict in others) if others else 0.0,
        perplexity(model, encoder, delta),
        texts,
    )


def _kind(example: Example) -> str:
    """Facts that were learnt and facts that were not are two kinds."""
    return example.group if example.kind == "fact" else example.kind


def _shares(judged: Sequence[tuple[Example, Verdict]], name: Callable[[Example], str]) -> dict[str, Share]:
    names = sorted({name(example) for example, _ in judged})
    return {
        wanted: Share(
            sum(verdict.right for example, verdict in judged if name(example) == wanted),
            sum(name(example) == wanted for example, _ in judged),
        )
        for wanted in names
    }


@torch.inference_mode()
def perplexity(model: Llama, encoder: Encoder, delta: Delta | None = None) -> float:
    """exp of the mean negative log-likelihood over TEXTS, in windows that share no context."""
    losses = []
    for name in TEXTS:
        text = (files("llm") / "data" / f"{name}.txt").read_text(encoding="ascii")
        ids = encoder.tokenizer.encode(text)
        for start in range(0, len(ids) - 1, _WINDOW):
            window = torch.tensor(ids[start : start + _WINDOW + 1], device=model.device)
            logits = model.logits(model.hidden(window[None, :-1], delta)[0])
            losses.append(F.cross_entropy(logits, window[1:], reduction="none"))
    return float(torch.cat(losses).mean().exp())
