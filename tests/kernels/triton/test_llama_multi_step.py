"""Steps that follow each other on the device against the reference, and against graphs of single steps."""

import os
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import Tensor

from kernels.attention.small_batch import single_split_keys
from kernels.bench.models import weights
from kernels.formats.llama import PAGE, PagedCache, Shape, Weights, empty_cache
from kernels.llama.graph import GraphRunner
from kernels.llama.multi_step import MAX_STEPS, MultiStepDecoder, Start
from kernels.llama.reference import ReferenceRunner
from kernels.sampling.sample import reference
from kernels.sampling.state import greedy

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


@pytest.mark.parametrize(("kind", "prompt"), [("f16", 45), ("int8", 45), ("f16", single_split_keys(32) - 1)])
def test_steps_are_those_of_the_reference(kind: str, prompt: int, device: torch.device) -> None:
    w, ours, theirs = prepared(device, kind, prompt)
    copy = replace(ours, keys=ours.keys.clone(), values=ours.values.clone())
    wanted, right = stepwise(ReferenceRunner(w, theirs), 7, prompt, 2)
    decoder = MultiStepDecoder(w, ours)
    decoder.begin([Start(1, 7, prompt)])
    tokens = torch.full((1, 1), -2, dtype=torch.int32, device=device)
    chosen, rows = [], []
    for _ in range(2):  # the second goes on where the first ended
        logits = torch.full((1, 1, SHAPE.vocabulary), torch.nan, device=device)
        decoder.run(tokens, logits=logits)
        chosen += tokens[0].tolist()
        rows.append(logits[0])
    assert chosen == wanted
    logits = torch.cat(rows)
    # float16 and int8 round a value at a boundary either way
    assert float((logits - right).norm() / right.norm()) < (5e-3 if kind == "f16" else 2e-2)
    for part, same in ((ours.keys, theirs.keys), (ours.values, theirs.values)):
        difference = (part.float() - same.float()).abs()
        assert float(difference.max()) <= (1 if kind == "int8" else 2e-2)
        assert float((difference > 0).float().mean()) < 0.05
    if kind == "f16":  # drafts, which are judged by the other, are the same to the bit
        others, rows_of_graph = stepwise(GraphRunner(w, copy, device), 7, prompt, 2)
        assert others == wanted
        assert torch.equal(rows_of_graph, logits)
        assert torch.equal(copy.keys, ours.keys)


@pytest.mark.parametrize("count", [3] if INTERPRETED else [1, 2, 3, 33, 64])
def test_sequences_together_are_what_each_is_alone(count: int, device: torch.device) -> None:
    """Sequences of their own lengths, penalised, drawn or neither; the next run goes on with all of them."""
    w = weights(SHAPE, device, context=96)
    cache = empty_cache(SHAPE, slots=count, context=96, pages=3 * count, device=device)
    order = torch.randperm(3 * count, generator=torch.Generator().manual_seed(0))
    cache.table.copy_(order.int().view(count, 3))
    random = np.random.default_rng(count)
    starts = []
    for slot in random.permutation(count).tolist():
        length = int(random.integers(1, 60))
        ReferenceRunner(w, cache).prefill(slot, 0, random.integers(0, SHAPE.vocabulary, length), 1)
        how = {"temperature": 0.7, "min_p": 0.05, "seed": 2**40 + slot, "step": slot} if slot % 3 == 1 else {}
        starts.append(Start(slot, int(random.integers(SHAPE.vocabulary)), length, 1.3, **how))  # type: ignore[arg-type]
    alone = replace(cache, keys=cache.keys.clone(), values=cache.values.clone())
    together = MultiStepDecoder(w, cache, rows=1 << (count - 1).bit_length())
    for start in starts:
        together.seen[start.slot, start.token] = 1
    together.begin(starts)
    runs = [torch.zeros(count, steps, dtype=torch.int32, device=device) for steps in (1, 2)]
    logits = torch.zeros(count, 2, SHAPE.vocabulary, device=device)
    together.run(runs[0])
    together.run(runs[1], logits=logits)
    one = MultiStepDecoder(w, alone)
    for i, start in enumerate(starts):
        one.seen[start.slot, start.token] = 1
        one.begin([start])
        found = torch.zeros(1, 3, dtype=torch.int32, device=device)
        its_logits = torch.zeros(1, 3, SHAPE.vocabulary, device=device)
        one.run(found, logits=its_logits)
        assert found[0].tolist() == [*runs[0][i].tolist(), *runs[1][i].tolist()]
        assert torch.equal(its_logits[0, 1:], logits[i])
        assert torch.equal(one.seen[start.slot], together.seen[start.slot])
        assert together.seen[start.slot].nonzero()[:, 0].tolist() == sorted({start.token, *found[0].tolist()})
    assert torch.equal(alone.keys, cache.keys)
    assert torch.equal(alone.values, cache.values)


def test_choices_are_those_of_the_settings(device: torch.device) -> None:
    w, cache, copy = prepared(device, "f16", 45)
    (wanted,), right = stepwise(ReferenceRunner(w, copy), 7, 45, 1)
    decoder = MultiStepDecoder(w, cache)
    tokens = torch.zeros(1, 1, dtype=torch.int32, device=device)

    def chosen(**how: float) -> int:
        decoder.seen.zero_()
        decoder.seen[1, wanted] = 1
        decoder.begin([Start(1, 7, 45, **how)])  # type: ignore[arg-type]
        decoder.run(tokens)
        assert decoder.seen[1].nonzero()[:, 0].tolist() == sorted({wanted, int(tokens)})
        return int(tokens)

    assert chosen() == wanted
    logits = right[0].clone()
    logits[wanted] *= 1 / 50 if logits[wanted] > 0 else 50
    assert chosen(penalty=50.0) == int(logits.argmax()) != wanted
    settings = greedy(1, decoder.seen.clone())
    for step in range(3):
        settings.temperatures.fill_(2.0), settings.seeds.fill_(9), settings.steps.fill_(step)  # type: ignore[func-returns-value]
        assert chosen(temperature=2.0, seed=9, step=step) == int(reference(right, settings))


def test_no_token_from_where_a_logit_is_not_a_number(device: torch.device) -> None:
    w, cache, _ = prepared(device, "f16", 45)
    scale = w.head.scales[0, 5].clone()
    w.head.scales[0, 5] = torch.nan
    decoder = MultiStepDecoder(w, cache)
    decoder.begin([Start(1, 7, 45)])
    tokens = torch.zeros(1, 2, dtype=torch.int32, device=device)
    decoder.run(tokens)
    assert tokens.tolist() == [[-1, -1]]
    w.head.scales[0, 5] = scale


def test_wrong_arguments(device: torch.device) -> None:
    w, cache, _ = prepared(device, "f16", 45)
    decoder = MultiStepDecoder(w, cache, rows=2)
    decoder.begin([Start(1, 7, 45)])
    tokens = torch.zeros(1, 2, dtype=torch.int32, device=device)
    for message, given in (
        ("0 steps: must be 1 to", {"tokens": tokens[:, :0]}),
        (f"{MAX_STEPS + 1} steps", {"tokens": tokens[:, :1].repeat(1, MAX_STEPS + 1)}),
        ("tokens is torch.int64", {"tokens": tokens.long()}),
        ("tokens is torch.int32 .2, 2.", {"tokens": tokens.repeat(2, 1)}),
        ("logits is", {"tokens": tokens, "logits": torch.zeros(1, SHAPE.vocabulary, device=device)}),
    ):
        with pytest.raises(ValueError, match=message):
            decoder.run(**given)  # type: ignore[arg-type]
    for starts in ([], [Start(0, 1, 0), Start(0, 1, 1)], [Start(slot, 1, 0) for slot in range(3)]):
        with pytest.raises(ValueError, match=r"must be 1 to 2, of a slot each"):
            decoder.begin(starts)
    with pytest.raises(ValueError, match="3 rows: must be a power of 2"):
        MultiStepDecoder(w, cache, rows=3)
    with pytest.raises(ValueError, match="no multi-step decoding: heads of 96"):
        MultiStepDecoder(replace(w, shape=replace(SHAPE, head_dim=96)), cache)
