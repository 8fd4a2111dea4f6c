"""Whole steps in one kernel against the reference in torch: choices, logits, and the cache they leave."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import Tensor

from kernels.bench.models import weights
from kernels.llama_gpu import PAGE, PagedCache, Shape, Weights, empty_cache
from kernels.llama_persistent import PersistentDecoder
from kernels.llama_reference import ReferenceRunner
from kernels.persistent_arguments import sizes
from kernels.quantized import quantize

# Nothing is a power of two but the head, and groups of one, two and three share a key.
SHAPES = [
    Shape(3, 96, 3, 1, 32, 160, 83),
    Shape(2, 160, 4, 2, 64, 288, 70),
    Shape(2, 64, 3, 3, 32, 96, 129, norm_eps=1e-6),
]
CONTEXT = 320
PROMPT = 45  # tokens: more than a page


def prepared(shape: Shape, device: torch.device, kind: str) -> tuple[Weights, PagedCache, PagedCache]:
    """Weights, and two caches that hold the same prompt in slot 1, in pages out of order."""
    w = weights(shape, device, context=CONTEXT)
    scales = torch.rand(shape.layers, 2, shape.kv_heads, shape.head_dim, device=device) * 0.02 + 0.03
    pages = CONTEXT // PAGE
    cache = empty_cache(
        shape,
        slots=2,
        context=CONTEXT,
        pages=pages + 1,
        device=device,
        scales=scales if kind == "int8" else None,
    )
    order = np.random.default_rng(0).permutation(pages) + 1
    cache.table[1] = torch.from_numpy(order.astype(np.int32)).to(device)
    tokens = np.random.default_rng(1).integers(0, shape.vocabulary, PROMPT)
    ReferenceRunner(w, cache).prefill(1, 0, tokens, 1)
    return w, cache, replace(cache, keys=cache.keys.clone(), values=cache.values.clone())


def expected(w: Weights, cache: PagedCache, token: int, steps: int) -> tuple[list[int], Tensor]:
    """Greedy choices of the reference, and the logits [steps, vocabulary] they were made by."""
    runner, chosen, rows = ReferenceRunner(w, cache), [token], []
    for step in range(steps):
        at = np.array([PROMPT + step])
        rows.append(runner.decode(np.array(chosen[-1:]), np.array([1]), at, np.array([0]))[0])
        chosen.append(int(rows[-1].argmax()))
    return chosen[1:], torch.stack(rows)


def programs(device: torch.device) -> list[int | None]:
    """One in the interpreter; on a GPU also fewer than there are groups of heads."""
    return [None] if device.type == "cpu" else [None, 2]


@pytest.mark.parametrize("kind", ["f16", "int8"])
@pytest.mark.parametrize("shape", SHAPES, ids=lambda s: f"{s.width}x{s.hidden}")
def test_steps_are_those_of_the_reference(shape: Shape, kind: str, device: torch.device) -> None:
    w, ours, theirs = prepared(shape, device, kind)
    wanted, right = expected(w, theirs, 7, 3)
    for count in programs(device):
        decoder = PersistentDecoder(w, ours, programs=count)
        decoder.begin(1, 7, PROMPT)
        tokens = torch.full((3,), -2, dtype=torch.int32, device=device)
        logits = torch.full((3, shape.vocabulary), torch.nan, device=device)
        decoder.run(tokens[:1], logits=logits[:1])
        decoder.run(tokens[1:], logits=logits[1:])  # goes on where the last ended
        assert tokens.tolist() == wanted
        # float16 and int8 round a value at a boundary either way
        assert float((logits - right).norm() / right.norm()) < (5e-3 if kind == "f16" else 2e-2)
        for part, same in ((ours.keys, theirs.keys), (ours.values, theirs.values)):
            difference = (part.float() - same.float()).abs()
            assert float(difference.max()) <= (1 if kind == "int8" else 2e-2)
            assert float((difference > 0).float().mean()) < 0.05


def test_tags_begin_again(device: torch.device) -> None:
    w, ours, theirs = prepared(SHAPES[0], device, "f16")
    wanted, _ = expected(w, theirs, 7, 2)
    decoder = PersistentDecoder(w, ours)
    decoder.begin(1, 7, PROMPT)
    decoder.state[2] = 2**30 - 2  # of four tags a step
    tokens = torch.zeros(2, dtype=torch.int32, device=device)
    decoder.run(tokens[:1])
    assert decoder.state.tolist() == [wanted[0], PROMPT + 1, 2, 1]
    decoder.run(tokens[1:])
    assert tokens.tolist() == wanted


@pytest.mark.parametrize("most", [1, 5, 100, 128])
@pytest.mark.parametrize("shape", SHAPES, ids=lambda s: f"{s.width}x{s.hidden}")
def test_each_program_has_rows_of_gate_and_up(shape: Shape, most: int, device: torch.device) -> None:
    """One that had none could be left behind by more than the two layers whose words are kept."""
    w, cache, _ = prepared(shape, device, "f16")
    s = sizes(w, cache, most)
    assert 1 <= s.programs <= most
    assert (s.programs - 1) * s.gate_up.share < shape.hidden <= s.programs * s.gate_up.share


def test_a_context_of_several_tiles(device: torch.device) -> None:
    w, cache, _ = prepared(SHAPES[0], device, "f16")
    text = np.random.default_rng(2).integers(0, 83, 300)
    right = ReferenceRunner(w, cache).prefill(1, 0, text, 1)
    decoder = PersistentDecoder(w, cache)
    decoder.begin(1, int(text[-1]), 299)
    tokens, logits = torch.zeros(1, dtype=torch.int32, device=device), torch.zeros(1, 83, device=device)
    decoder.run(tokens, logits=logits)
    assert float((logits - right).norm() / right.norm()) < 5e-3


def test_seen_tokens_are_penalized(device: torch.device) -> None:
    w, cache, copy = prepared(SHAPES[0], device, "f16")
    wanted, right = expected(w, copy, 7, 1)
    decoder = PersistentDecoder(w, cache)
    seen = torch.zeros(83, dtype=torch.int8, device=device)
    seen[wanted[0]] = 1
    tokens = torch.zeros(1, dtype=torch.int32, device=device)
    decoder.begin(1, 7, PROMPT)
    decoder.run(tokens, seen=seen, penalty=50.0)
    logits = right[0].clone()
    logits[wanted[0]] *= 1 / 50 if logits[wanted[0]] > 0 else 50
    assert tokens.tolist() == [int(logits.argmax())] != wanted
    assert seen.nonzero()[:, 0].tolist() == sorted([wanted[0], *tokens.tolist()])


def test_no_token_where_a_logit_is_not_a_number(device: torch.device) -> None:
    w, cache, _ = prepared(SHAPES[0], device, "f16")
    w.head.scales[0, 5] = torch.nan
    decoder = PersistentDecoder(w, cache)
    decoder.begin(1, 7, PROMPT)
    tokens = torch.zeros(2, dtype=torch.int32, device=device)
    decoder.run(tokens)
    assert tokens.tolist() == [-1, -1]


def test_other_types_of_weights(device: torch.device) -> None:
    w, _, cache = prepared(SHAPES[0], device, "f16")
    shape = w.shape
    mixed = replace(
        w,
        qkv=quantize(torch.stack([w.qkv.dequantize(i) for i in range(3)]), 8),
        down=quantize(torch.stack([w.down.dequantize(i) for i in range(3)]), 8),
        out=replace(w.out, minima=None),
        embedding=quantize(torch.randn(1, shape.vocabulary, shape.width, device=device), 4),
        qkv_bias=torch.randn(3, shape.qkv_rows, device=device),
    )
    wanted, right = expected(mixed, replace(cache, keys=cache.keys.clone()), 3, 1)
    decoder = PersistentDecoder(mixed, cache)
    decoder.begin(1, 3, PROMPT)
    tokens, logits = torch.zeros(1, dtype=torch.int32, device=device), torch.zeros(1, 83, device=device)
    decoder.run(tokens, logits=logits)
    assert tokens.tolist() == wanted
    assert float((logits - right).norm() / right.norm()) < 5e-3
