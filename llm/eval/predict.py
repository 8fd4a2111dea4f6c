"""How well an engine predicts a text, alone and beside a reference, given the true tokens before each.

A text is read in windows that share no context: each token predicts the next, no token is put before the
first one, and every token of the text but its first is predicted once. What an engine held is dropped.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from llm.decode.engine import Engine

WINDOW = 512  # tokens
_ROWS = 64  # of logits at a time: 13 MB with a vocabulary of 49152


class EvalError(ValueError):
    """No quality can be told: a logit is not finite, or a vocabulary has no tokens for the text."""


@dataclass(frozen=True)
class Comparison:
    """An engine beside its reference over the same text.

    tokens: how many were predicted. kl: mean Kullback-Leibler divergence of the engine's distribution from
    the reference's, KL(reference || engine), in nats a token. same_argmax: the share of predictions in which
    both hold the same token likeliest.
    """

    tokens: int
    perplexity: float
    reference_perplexity: float
    kl: float
    same_argmax: float

    @property
    def ratio(self) -> float:
        """The engine's perplexity over the reference's."""
        return self.perplexity / self.reference_perplexity


def perplexity(engine: Engine, ids: Sequence[int], window: int = WINDOW, *, rows: int = _ROWS) -> float:
    """exp of the mean negative log-likelihood of `ids`, `rows` tokens in one call of the engine.

    Raises ValueError for fewer than two tokens, ContextFull if a window does not fit, and EvalError.
    """
    losses = [_losses(_predict(engine, chunk), chunk) for chunk in _chunks(ids, window, rows)]
    return _perplexity(losses)


def compare(
    engine: Engine,
    reference: Engine,
    ids: Sequence[int],
    window: int = WINDOW,
    *,
    rows: int = _ROWS,
    decode: bool = False,
) -> Comparison:
    """Both engines' predictions of `ids`; with `decode`, `engine` alone gets one token a call.

    Raises as `perplexity`, and ValueError for engines of two vocabularies.
    """
    return _compared(engine, reference, _chunks(ids, window, rows), decode=decode)


def compare_prompts(
    engine: Engine, reference: Engine, ids: Sequence[int], window: int = WINDOW, *, rows: int = _ROWS
) -> Comparison:
    """The same where each call reads a window from its first token on, as it does a prompt.

    A window's last `rows` tokens predict, and the next window begins as many further on: of the text's first
    tokens, and of fewer than `rows` at its end, none is predicted. Prompts have kernels of their own, which
    chunks with all their logits may not reach. Raises as `compare`.
    """
    return _compared(engine, reference, _prompts(ids, window, rows))


def _compared(
    engine: Engine, reference: Engine, chunks: Iterable["_Chunk"], *, decode: bool = False
) -> Comparison:
    ours, theirs, divergences, same = [], [], [], []
    for chunk in chunks:
        log_q = _predict(engine, chunk, one_by_one=decode)
        log_p = _predict(reference, chunk)
        if log_q.shape != log_p.shape:
            raise ValueError(f"vocabularies of {log_q.shape[1]} and {log_p.shape[1]} tokens")
        ours.append(_losses(log_q, chunk))
        theirs.append(_losses(log_p, chunk))
        divergences.append(np.sum(np.exp(log_p) * (log_p - log_q), axis=1))
        same.append(log_q.argmax(1) == log_p.argmax(1))
    kl, same_argmax = np.concatenate(divergences), np.concatenate(same)
    return Comparison(
        len(kl), _perplexity(ours), _perplexity(theirs), float(kl.mean()), float(same_argmax.mean())
    )


@dataclass(frozen=True)
class _Chunk:
    first: bool  # of its window
    inputs: Sequence[int]
    targets: Sequence[int]  # what follows each of the last ones


def _chunks(ids: Sequence[int], window: int, rows: int) -> Iterator[_Chunk]:
    last = _last(ids, window, rows)
    for begin in range(0, last, window):
        end = min(begin + window, last)
        for start in range(begin, end, rows):
            stop = min(start + rows, end)
            yield _Chunk(start == begin, ids[start:stop], ids[start + 1 : stop + 1])


def _prompts(ids: Sequence[int], window: int, rows: int) -> Iterator[_Chunk]:
    last = _last(ids, window, rows)
    window = min(window, last)
    rows = min(rows, window)
    for stop in range(window, last + 1, rows):
        yield _Chunk(True, ids[stop - window : stop], ids[stop - rows + 1 : stop + 1])


def _last(ids: Sequence[int], window: int, rows: int) -> int:
    """Tokens that predict: all but the last. Raises ValueError if there is none."""
    if len(ids) < 2:
        raise ValueError(f"{len(ids)} tokens: at least 2 are needed, since the first is not predicted")
    if window < 1 or rows < 1:
        raise ValueError(f"window and rows must be positive: {window}, {rows}")
    return len(ids) - 1


def _predict(engine: Engine, chunk: _Chunk, *, one_by_one: bool = False) -> NDArray[np.float64]:
    """Log-probabilities [targets, vocabulary] of what follows the last inputs."""
    if chunk.first:
        engine.truncate(0)
    if one_by_one:
        logits = np.concatenate([engine.extend([token]) for token in chunk.inputs])
    else:
        logits = engine.extend(chunk.inputs, len(chunk.targets))
    if not np.isfinite(logits).all():
        raise EvalError(f"a logit is not finite within the first {len(engine.tokens)} tokens of a window")
    return _log_softmax(logits.astype(np.float64))


def _log_softmax(logits: NDArray[np.float64]) -> NDArray[np.float64]:
    below = logits - logits.max(axis=1, keepdims=True)
    normal: NDArray[np.float64] = below - np.log(np.exp(below).sum(axis=1, keepdims=True))
    return normal


def _losses(log_p: NDArray[np.float64], chunk: _Chunk) -> NDArray[np.float64]:
    losses: NDArray[np.float64] = -log_p[np.arange(len(chunk.targets)), np.asarray(chunk.targets)]
    return losses


def _perplexity(losses: list[NDArray[np.float64]]) -> float:
    with np.errstate(over="ignore"):  # a model so wrong is infinitely perplexed
        return float(np.exp(np.concatenate(losses).mean()))
