"""Whole passes, against the reference in plain torch: logits, and what they leave in the cache."""

import os
from dataclasses import replace

import numpy as np
import pytest
import torch

from kernels.bench.models import weights
from kernels.formats.llama import PAGE, PagedCache, Shape, Weights, empty_cache
from kernels.llama import graph as llama_graph
from kernels.llama.graph import GraphRunner
from kernels.llama.reference import ReferenceRunner

INTERPRETED = os.environ.get("TRITON_INTERPRET") == "1"
SHAPE = Shape(2, 64, 2, 1, 32, 32, 40) if INTERPRETED else Shape(3, 576, 9, 3, 64, 1536, 1003)
FLAT = replace(SHAPE, layers=1) if INTERPRETED else SHAPE
CONTEXT = 192


def made(device: torch.device, kind: str = "int8", shape: Shape = FLAT) -> tuple[Weights, PagedCache]:
    """A model, and a cache of three slots whose pages lie in no order."""
    scales = None
    if kind == "int8":
        scales = torch.full((shape.layers, 2, shape.kv_heads, shape.head_dim), 0.03, device=device)
    pages = 3 * CONTEXT // PAGE
    cache = empty_cache(shape, slots=3, context=CONTEXT, pages=pages, device=device, scales=scales)
    order = np.random.default_rng(0).permutation(pages).astype(np.int32)
    cache.table.copy_(torch.from_numpy(order).view(3, -1))
    return weights(shape, device, context=CONTEXT), cache


def copied(cache: PagedCache) -> PagedCache:
    return replace(cache, keys=cache.keys.clone(), values=cache.values.clone())


def some_tokens(count: int, seed: int = 1) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, SHAPE.vocabulary, count)


def ints(*values: int) -> np.ndarray:
    return np.array(values, np.int32)


def close(found: torch.Tensor, meant: torch.Tensor) -> bool:
    assert found.shape == meant.shape
    # Of int8 a key may be a step off where the reference was near the middle of two.
    errors = (found - meant).norm(dim=1) / meant.norm(dim=1)
    return bool((errors < 0.03).all())


def same_cache(found: PagedCache, meant: PagedCache) -> bool:
    """The same tokens are there, within steps of int8, of which a key has dozens, or roundings of float16."""
    most, mean = (3.0, 0.2) if found.scales is not None else (0.05, 0.005)
    same = True
    for a, b in ((found.keys, meant.keys), (found.values, meant.values)):
        off, there = (a.float() - b.float()).abs(), b.any(-1)
        same = same and bool(
            torch.equal(a.any(-1), there) and off.max() <= most and off[there].mean() <= mean
        )
    return same


@pytest.mark.parametrize("kind", ["f16", "int8"])
def test_a_prompt_then_rows_of_several_sequences(device: torch.device, kind: str) -> None:
    w, cache = made(device, kind, SHAPE if kind == "int8" else FLAT)
    mine, reference = copied(cache), ReferenceRunner(w, cache)
    runner = GraphRunner(w, mine, device)
    prompt = some_tokens(50)
    assert close(runner.prefill(1, 0, prompt, 1), reference.prefill(1, 0, prompt, 1))
    assert same_cache(mine, cache)
    short = some_tokens(5, seed=2)
    assert close(runner.prefill(2, 0, short, 2), reference.prefill(2, 0, short, 2))
    for step in range(1 if INTERPRETED else 3):  # on a GPU replays of one graph, with other inputs
        rows = ints(7, 8, 9), ints(1, 2, 0), ints(50 + step, 5 + step, step)
        assert close(runner.decode(*rows, ints(2, 0)), reference.decode(*rows, ints(2, 0)))
        assert same_cache(mine, cache)


def test_a_prompt_in_pieces(device: torch.device, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(llama_graph, "MAX_PROMPT", 32)
    most, last = (8, 52) if INTERPRETED else (16, 60)
    monkeypatch.setattr(llama_graph, "MAX_WANTED", most)
    w, cache = made(device)
    runner, reference = GraphRunner(w, copied(cache), device), ReferenceRunner(w, cache)
    prompt = some_tokens(last)
    reference.prefill(0, 0, prompt[:3], 0)
    assert runner.prefill(0, 0, prompt[:3], 0).shape == (0, SHAPE.vocabulary)
    found = runner.prefill(0, 3, prompt[3:40], 12)  # a prompt of 32, and 5 rows
    assert close(found, reference.prefill(0, 3, prompt[3:40], 12))
    wanted = last - 40  # more than a pass gives: `most` rows, and 4
    assert close(runner.prefill(0, 40, prompt[40:], wanted), reference.prefill(0, 40, prompt[40:], wanted))


def test_a_draft_gives_the_same_bits_as_token_after_token(device: torch.device) -> None:
    w, cache = made(device)
    one, many = (GraphRunner(w, copied(cache), device) for _ in range(2))
    tokens = some_tokens(5 if INTERPRETED else 40)
    alone = []
    for i, token in enumerate(tokens):
        alone.append(one.decode(ints(token), ints(1), ints(i), ints(0))[0].clone())
    together = []
    for start, stop in ((0, 2), (2, 5)) if INTERPRETED else ((0, 1), (1, 4), (4, 20), (20, 33), (33, 40)):
        slots, positions = np.full(stop - start, 1), np.arange(start, stop)
        rows = tokens[start:stop], slots, positions
        together += list(many.decode(*rows, np.arange(stop - start)).clone())
    assert all(torch.equal(a, b) for a, b in zip(alone, together, strict=True))


def test_padding_changes_nothing(device: torch.device) -> None:
    w, cache = made(device)
    before = copied(cache)
    runner = GraphRunner(w, cache, device)
    runner.prepare(rows=2, prompt=64)
    runner.decode(ints(3, 3, 3), ints(0, 0, 0), ints(-1, -1, -1), ints(1))
    assert torch.equal(cache.keys, before.keys)
    assert torch.equal(cache.values, before.values)


def test_what_does_not_fit_is_refused(device: torch.device) -> None:
    w, cache = made(device)
    runner = GraphRunner(w, cache, device)
    zero, none, v = ints(0), ints(), SHAPE.vocabulary
    with pytest.raises(ValueError, match="65 rows: must be 1 to 64"):
        runner.decode(*(np.zeros(65, np.int32),) * 3, none)
    with pytest.raises(ValueError, match="0 rows"):
        runner.decode(none, none, none, none)
    with pytest.raises(ValueError, match="are 1, 2, 1, 0"):
        runner.decode(zero, ints(0, 0), zero, none)
    with pytest.raises(ValueError, match=f"tokens {v} to {v}: must be 0 to {v - 1}"):
        runner.decode(ints(v), zero, zero, none)
    with pytest.raises(ValueError, match="slots -1 to -1: must be 0 to 2"):
        runner.decode(zero, ints(-1), zero, none)
    with pytest.raises(ValueError, match="positions 17 to 192: must be 0 to 191"):
        runner.prefill(0, 17, np.zeros(176, np.int32), 0)
    with pytest.raises(ValueError, match="wanted rows"):
        runner.decode(zero, zero, zero, ints(1))
    with pytest.raises(ValueError, match="logits of 3 of 2 tokens"):
        runner.prefill(0, 0, ints(1, 2), 3)
