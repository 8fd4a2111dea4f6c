"""Steps that follow each other on the device against the reference, and against graphs of single steps."""

import os
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import Tensor

from kernels.bench.models import weights
from kernels.few_attention import near
from kernels.llama_ahead import MAX_STEPS, AheadDecoder
from kernels.llama_gpu import PAGE, PagedCache, Shape, Weights, empty_cache
from kernels.llama_graph import GraphRunner
from kernels.llama_reference import ReferenceRunner

INTERPRETED = os.environ.get("TRITON_INTERPRET") == "1"
# Small where each program is interpreted.
SHAPE = Shape(1, 64, 3, 1, 32, 32, 35) if INTERPRETED else Shape(2, 96, 3, 1, 32, 160, 83)
CONTEXT = 320


def prepared(device: torch.device, kind: str, prompt: int) -> tuple[Weights, PagedCache, PagedCache]:
    """Weights, and two caches that hold the same prompt in slot 1, in pages out of order."""
    w = weights(SHAPE, device, context=CONTEXT)
    scales = torch.rand(SHAPE.layers, 2, SHAPE.kv_heads, SHAPE.head_dim, device=device) * 0.02 + 0.03
    pages = CONTEXT // PAGE
    cache = empty_cache(
        SHAPE,
        slots=2,
        context=CONTEXT,
        pages=pages + 1,
        device=device,
        scales=scales if kind == "int8" else None,
    )
    order = np.random.default_rng(0).permutation(pages) + 1
    cache.table[1] = torch.from_numpy(order.astype(np.int32)).to(device)
    tokens = np.random.default_rng(1).integers(0, SHAPE.vocabulary, prompt)
    ReferenceRunner(w, cache).prefill(1, 0, tokens, 1)
    return w, cache, replace(cache, keys=cache.keys.clone(), values=cache.values.clone())


def stepwise(
    runner: ReferenceRunner | GraphRunner, token: int, prompt: int, steps: int
) -> tuple[list[int], Tensor]:
    """Greedy choices, and the logits [steps, vocabulary] they were made by."""
    chosen, rows = [token], []
    for step in range(steps):
        at = np.array([prompt + step])
        rows.append(runner.decode(np.array(chosen[-1:]), np.array([1]), at, np.array([0]))[0].clone())
        chosen.append(int(rows[-1].argmax()))
    return chosen[1:], torch.stack(rows)


@pytest.mark.parametrize(("kind", "prompt"), [("f16", 45), ("int8", 45), ("f16", near(32) - 1)])
def test_steps_are_those_of_the_reference(kind: str, prompt: int, device: torch.device) -> None:
    w, ours, theirs = prepared(device, kind, prompt)
    copy = replace(ours, keys=ours.keys.clone(), values=ours.values.clone())
    wanted, right = stepwise(ReferenceRunner(w, theirs), 7, prompt, 2)
    decoder = AheadDecoder(w, ours)
    decoder.begin(1, 7, prompt)
    tokens = torch.full((2,), -2, dtype=torch.int32, device=device)
    logits = torch.full((2, SHAPE.vocabulary), torch.nan, device=device)
    decoder.run(tokens[:1], logits=logits[:1])
    decoder.run(tokens[1:], logits=logits[1:])  # goes on where the last ended
    assert tokens.tolist() == wanted
    # float16 and int8 round a value at a boundary either way
    assert float((logits - right).norm() / right.norm()) < (5e-3 if kind == "f16" else 2e-2)
    for part, same in ((ours.keys, theirs.keys), (ours.values, theirs.values)):
        difference = (part.float() - same.float()).abs()
        assert float(difference.max()) <= (1 if kind == "int8" else 2e-2)
        assert float((difference > 0).float().mean()) < 0.05
    if kind == "f16":  # drafts, which are judged by the other, are the same to the bit
        others, rows = stepwise(GraphRunner(w, copy, device), 7, prompt, 2)
        assert others == wanted
        assert torch.equal(rows, logits)
        assert torch.equal(copy.keys, ours.keys)


def test_seen_tokens_are_penalized(device: torch.device) -> None:
    w, cache, copy = prepared(device, "f16", 45)
    wanted, right = stepwise(ReferenceRunner(w, copy), 7, 45, 1)
    decoder = AheadDecoder(w, cache)
    seen = torch.zeros(SHAPE.vocabulary, dtype=torch.int8, device=device)
    seen[wanted[0]] = 1
    tokens = torch.zeros(1, dtype=torch.int32, device=device)
    decoder.begin(1, 7, 45)
    decoder.run(tokens, seen=seen, penalty=50.0)
    logits = right[0].clone()
    logits[wanted[0]] *= 1 / 50 if logits[wanted[0]] > 0 else 50
    assert tokens.tolist() == [int(logits.argmax())] != wanted
    assert seen.nonzero()[:, 0].tolist() == sorted([wanted[0], *tokens.tolist()])


def test_no_token_from_where_a_logit_is_not_a_number(device: torch.device) -> None:
    w, cache, _ = prepared(device, "f16", 45)
    scale = w.head.scales[0, 5].clone()
    w.head.scales[0, 5] = torch.nan
    decoder = AheadDecoder(w, cache)
    decoder.begin(1, 7, 45)
    tokens = torch.zeros(2, dtype=torch.int32, device=device)
    decoder.run(tokens)
    assert tokens.tolist() == [-1, -1]
    w.head.scales[0, 5] = scale


def test_wrong_arguments(device: torch.device) -> None:
    w, cache, _ = prepared(device, "f16", 45)
    decoder = AheadDecoder(w, cache)
    tokens = torch.zeros(2, dtype=torch.int32, device=device)
    for message, given in (
        ("0 steps: must be 1 to", {"tokens": tokens[:0]}),
        (f"{MAX_STEPS + 1} steps", {"tokens": tokens[:1].repeat(MAX_STEPS + 1)}),
        ("tokens is torch.int64", {"tokens": tokens.long()}),
        ("logits is", {"tokens": tokens, "logits": torch.zeros(1, SHAPE.vocabulary, device=device)}),
        ("seen is", {"tokens": tokens, "seen": torch.zeros(5, dtype=torch.int8, device=device)}),
    ):
        with pytest.raises(ValueError, match=message):
            decoder.run(**given)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="nothing decodes ahead: heads of 96"):
        AheadDecoder(replace(w, shape=replace(SHAPE, head_dim=96)), cache)
