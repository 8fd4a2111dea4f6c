"""What an engine does for the rest: hold the keys and values of a token sequence, and give logits."""

from collections.abc import Sequence
from typing import Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from llm.decode.sample import Sampling


class ContextFull(ValueError):  # noqa: N818  # a condition with a name of its own
    """More tokens than the engine's context holds."""

    def __init__(self, tokens: int, context: int) -> None:
        super().__init__(f"{tokens} tokens do not fit a context of {context}")
        self.tokens, self.context = tokens, context


class EngineOutOfMemory(RuntimeError):  # noqa: N818  # as above
    """No memory for this call, even without all that could be dropped.

    Only the call failed: the engine holds the tokens that it held before, and can be used.
    """

    def __init__(self, what: str) -> None:
        super().__init__(f"out of memory: {what}")
        self.what = what


class CudaBroken(RuntimeError):  # noqa: N818  # as above
    """The GPU failed, and with it all that this process has on it: every later call raises this again.

    Only a new process helps; this one must end, with an exit code that says so.
    """

    def __init__(self, what: str) -> None:
        super().__init__(f"the GPU failed, and only a new process can use it again: {what}")
        self.what = what


class Engine(Protocol):
    """One sequence of tokens. Used from one thread at a time."""

    context: int

    @property
    def tokens(self) -> Sequence[int]:
        """The tokens whose keys and values are held, in order."""
        ...

    def extend(self, tokens: Sequence[int], logits_for: int = 1) -> NDArray[np.float32]:
        """Append `tokens`; logits [logits_for, vocabulary] of what follows each of the last ones.

        Raises ContextFull, having changed nothing. With `logits_for=0` the head is not computed.
        """
        ...

    def truncate(self, length: int) -> None:
        """Keep the first `length` tokens, exactly as if no more had been read."""
        ...

    def shift(self, start: int, stop: int) -> None:
        """Context shift: tokens `start` to `stop` go, and those behind them move up.

        Their keys and values still come from a text that had the missing ones in it: a sliding window whose
        first tokens stay (attention sinks, Xiao et al. 2023).
        """
        ...


@runtime_checkable
class MultiStepEngine(Engine, Protocol):
    """An engine that also samples on the device, several tokens in one call.

    What it computes then may differ in rounding from what `extend` gives: a reply should not mix the two.
    """

    def can_sample(self, sampling: Sampling) -> bool:
        """Whether the device can sample in that way."""
        ...

    def decode_steps(
        self, token: int, steps: int, *, seen: Sequence[int], sampling: Sampling, lookahead: int = 0
    ) -> list[int]:
        """Append `token`, and then each choice but the last; returns the choices, `steps` at most.

        `seen` are the tokens of the reply so far, with `token`: those penalized, as by
        `llm.decode.sample.penalize`, with those chosen. What is drawn depends on the seed, on how many
        they are, and on the logits. There are fewer choices where others in the same pass want fewer,
        where fewer had been begun, where there is no memory for all, or where a later step fails: the call
        that goes on from there raises. `lookahead` says how many more are likely to be asked for next: they
        may be begun at once. Raises BrokenLogits, ContextFull and what `extend` does, having changed nothing.
        """
        ...


# Fewer tokens are not worth keeping: their keys and values have seen the text that was shifted out.
_WORTH_KEEPING = 32


def prefill(engine: Engine, tokens: Sequence[int], logits_for: int = 1) -> NDArray[np.float32]:
    """Make the engine hold exactly `tokens`; logits [logits_for, vocabulary] of the last ones.

    Only what differs from the tokens held before is computed; what the new prompt leaves out, as when the
    oldest turns are forgotten, is shifted out. Raises ContextFull, having changed nothing.
    """
    if len(tokens) > engine.context:
        raise ContextFull(len(tokens), engine.context)
    if not 0 <= logits_for <= len(tokens):
        raise ValueError(f"{logits_for} logits asked of {len(tokens)} tokens")
    same = common_prefix(engine.tokens, tokens)
    if left_out := _left_out(engine.tokens[same:], tokens[same:]):
        engine.shift(same, same + left_out)
        same = common_prefix(engine.tokens, tokens)
    reused = min(same, len(tokens) - logits_for)
    engine.truncate(reused)
    return engine.extend(tokens[reused:], logits_for)


def _left_out(held: Sequence[int], wanted: Sequence[int]) -> int:
    """How many tokens of `held` lie before the longest run, worth keeping, that `wanted` begins with.

    0 if there is none. The longest, because turns that begin alike need not go on alike.
    """
    begin = list(wanted[:_WORTH_KEEPING])
    if len(begin) < _WORTH_KEEPING:
        return 0
    starts = range(len(held) - _WORTH_KEEPING + 1)
    alike = (i for i in starts if held[i] == begin[0] and list(held[i : i + len(begin)]) == begin)
    return max(alike, key=lambda i: common_prefix(held[i:], wanted), default=0)


def step(engine: Engine, token: int) -> NDArray[np.float32]:
    """Append one token; logits [vocabulary] of the next. Raises ContextFull."""
    logits: NDArray[np.float32] = engine.extend([token])[0]
    return logits


def common_prefix(a: Sequence[int], b: Sequence[int]) -> int:
    """How many leading tokens the two have in common."""
    return next((i for i, (x, y) in enumerate(zip(a, b, strict=False)) if x != y), min(len(a), len(b)))
