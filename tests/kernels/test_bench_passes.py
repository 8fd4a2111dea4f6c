"""Whole passes in the kernels' bench, and the rivals of attention: what is right, and what is red."""

import math
from collections.abc import Callable, Sequence

import numpy as np
import pytest
import torch
from bench_cases import CPU, asked, made, one_thread, results
from torch.nn import functional

from kernels.bench import attention, contenders, local, steps
from kernels.bench.contenders import EAGER, GRAPH, MULTI_STEP, Case
from kernels.bench.local import FLEX, Shape, measure
from kernels.bench.models import Sequences, sequences, weights
from kernels.bench.results import OURS, Figure, Result, relative_error
from kernels.formats.llama import PagedCache
from kernels.formats.llama import Shape as Model
from kernels.llama.multi_step import Start
from kernels.llama.reference import ReferenceRunner

__all__ = ["one_thread"]  # a fixture for all tests here


@pytest.mark.parametrize("kind", ["f16", "int8"])
def test_every_contender_of_a_step_gives_the_same_logits(kind: str) -> None:
    of_one, of_two, verified = results(steps.decode_section(asked(caches=(kind,), rows=(1, 2))))
    (prompt,) = results(steps.prompt_section(asked(caches=(kind,))))
    assert [one.case["M"] for one in (of_one, of_two, verified)] == [1, 2, 1]
    assert (verified.case["new"], prompt.case["T"], prompt.tokens) == (8, 5, 5)
    for one in (of_one, of_two, verified, prompt):
        assert set(one.errors) == {GRAPH, EAGER}
        assert not one.red
        assert one.errors[EAGER] < 1e-5
        assert one.errors[GRAPH] < 2e-3  # it rounds


@pytest.mark.parametrize(("new", "before"), [(1, 150), (8, 150), (8, 0), (140, 0)])
def test_sdpa_sees_what_a_pass_does(new: int, before: int) -> None:
    torch.manual_seed(new)
    q, k, v = (torch.randn(2, heads, n, 32) for heads, n in ((4, new), (2, before + new), (2, before + new)))
    seen = torch.ones(new, before + new).tril(before).bool()
    wanted = functional.scaled_dot_product_attention(q, k, v, seen, enable_gqa=True)
    assert relative_error(attention.sdpa(new, before)(q, k, v), wanted) < 1e-5


@pytest.mark.filterwarnings("ignore:flex_attention called without torch.compile:UserWarning")
def test_flex_attention_in_a_window_is_the_reference() -> None:
    shape = Shape(1, 300, 64, 4, torch.float32, heads=2, d=16)
    q, k, v = local.inputs(shape, CPU)
    right = local.reference(q, k, v, 64, 4)
    assert relative_error(local._flex(shape, CPU)(q, k, v), right) < 1e-5


def test_a_rival_that_cannot_be_made_stops_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(*_: object, **__: object) -> local.Attend:
        raise NotImplementedError("no attention here")

    monkeypatch.setattr(attention, "sdpa", refused)
    (one, *_) = results(attention.decode_section(asked()))
    assert one.failed == {attention.SDPA: "NotImplementedError: no attention here"}
    assert not one.red
    shape = Shape(1, 40, 6, 2, torch.float32, heads=2, d=12)
    monkeypatch.setattr(local, "rival", lambda *_, **__: local.Contender(FLEX, refused, 16))
    of_a_window = measure(shape, CPU)
    assert of_a_window.failed == {FLEX: "NotImplementedError: no attention here"}
    assert not of_a_window.red


def test_rivals_are_measured_with_one_kind_of_cache() -> None:
    asked_for = asked(caches=("int8", "f16"))
    of_int8, of_f16, *_ = results(attention.decode_section(asked_for))
    assert (of_int8.case["cache"], of_f16.case["cache"]) == ("int8", "f16")
    assert (set(of_int8.us), set(of_f16.us)) == ({OURS, attention.SDPA}, {OURS})
    of_int8, of_f16 = results(steps.prompt_section(asked_for))
    assert (set(of_int8.us), set(of_f16.us)) == ({GRAPH, EAGER}, {GRAPH})


def stores(change: Callable[[torch.Tensor], torch.Tensor]) -> Callable[..., None]:
    """A way to put keys and values into an int8 cache; `change` is done to them, in steps."""

    def store(
        self: PagedCache, layer: int, slot: int, position: int, key: torch.Tensor, value: torch.Tensor
    ) -> None:
        assert self.scales is not None
        page, at = self.table[slot, position // 32], position % 32
        for i, (part, x) in enumerate(((self.keys, key), (self.values, value))):
            part[layer, page, :, at] = change(x / self.scales[layer, i]).clamp(-127, 127).to(torch.int8)

    return store


def nearly(steps: torch.Tensor) -> torch.Tensor:
    """As of a kernel whose sums have another order: one code in ten is another."""
    return (steps + 0.1 * torch.randn_like(steps)).round()


@pytest.mark.parametrize(
    ("change", "red"), [(torch.round, False), (nearly, False), (torch.trunc, True), (torch.neg, True)]
)
def test_a_prompt_is_checked_with_the_codes_that_it_stored(
    change: Callable[[torch.Tensor], torch.Tensor], red: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Other codes near the middle of two are no error, though logits differ by more than the limit then."""
    torch.manual_seed(0)
    monkeypatch.setattr(PagedCache, "store", stores(change))
    (one,) = results(steps.prompt_section(asked(prompts=(50,))))
    assert one.red == red
    if change is nearly:
        given = made("int8", context=0, new=50)
        other = given.reference.decode(*given.rows, np.arange(50))
        contender = contenders._graph(given)
        assert relative_error(contender.call(), other[-1:]) > steps.PROMPT_LIMIT


class Steps:
    """A decoder of many steps a run; `wrong` is done to its logits."""

    wrong: Callable[[torch.Tensor], object]

    def __init__(self, w: object, cache: PagedCache) -> None:
        self.runner = ReferenceRunner(w, cache)  # type: ignore[arg-type]

    def begin(self, starts: Sequence[Start]) -> None:
        (start,) = starts
        self.token, self.at = start.token, (start.slot, start.position)

    def run(self, chosen: torch.Tensor, *, logits: torch.Tensor) -> None:
        slot, position = self.at
        for i in range(chosen.shape[1]):
            row = np.array([self.token]), np.array([slot]), np.array([position + i])
            logits[0, i] = self.runner.decode(*row, np.array([0]))[0]
            chosen[0, i] = logits[0, i].argmax()
            self.token = int(chosen[0, i])
        Steps.wrong(logits[0])


@pytest.mark.parametrize(("wrong", "red"), [(lambda _: None, False), (lambda x: x[31].mul_(1.5), True)])
@pytest.mark.parametrize("kind", ["f16", "int8"])
def test_all_steps_of_a_launch_are_checked(
    kind: str, wrong: Callable[[torch.Tensor], object], red: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(contenders.multi_step, "MultiStepDecoder", Steps)
    monkeypatch.setattr(contenders.multi_step, "unsupported_reason", lambda *_: None)
    monkeypatch.setattr(Steps, "wrong", wrong, raising=False)
    (one, *_) = results(steps.decode_section(asked(caches=(kind,), rows=(1,))))
    assert one.errors[MULTI_STEP] < 1e-3 or red
    assert one.red == red


def test_a_cache_that_does_not_fit_is_named_and_the_next_is_measured(monkeypatch: pytest.MonkeyPatch) -> None:
    def limited(shape: Model, kind: str, *, slots: int, device: torch.device, **rest: int) -> Sequences:
        if slots > 1:
            raise torch.cuda.OutOfMemoryError
        return sequences(shape, kind, slots=slots, device=device, **rest)

    monkeypatch.setattr(steps, "sequences", limited)
    found = list(steps.decode_section(asked(rows=(1, 4))))
    (figure, _) = (one for one in found if isinstance(one, Figure))
    assert figure.name == "tiny int8, 4 x 1 behind 20: not measured, the cache does not fit"
    assert figure.value == pytest.approx(2 * 2 * 2 * 32 * 4 * 21 / 1e9)
    assert [(one.case["M"], one.case["new"], one.red) for one in results(iter(found))] == [
        (1, 1, False),
        (1, 8, False),
    ]


def test_rows_and_sequences_beside_one() -> None:
    us = {(1, 1): 100.0, (1, 8): 125.0, (64, 1): 200.0, (4, 1): 50.0}
    found = {
        Case("tiny", "f16", 20, *key): Result({}, 1, us={"graph": t}, errors={"graph": 0.0}, ours=("graph",))
        for key, t in us.items()
    }
    found[Case("tiny", "f16", 20, 4, 1)].errors["graph"] = math.nan  # wrong: not compared
    assert [one.value for one in steps._compared(found, found)] == [1.25, 32.0]


def test_bytes_of_a_step_by_hand() -> None:
    shape = Model(layers=1, width=32, heads=2, kv_heads=1, head_dim=16, hidden=32, vocabulary=64)
    w = weights(shape, CPU, context=64)
    matrix = 20 * (64 + 32 + 64 + 32) + 34 * 64  # rows of 32: 16 or 32 bytes of codes, scale and minimum
    assert w.token_bytes == matrix
    assert steps._cache_bytes(Case("tiny", "int8", 10, 2, 1), w) == 2 * 11 * 2 * 16
    assert steps._cache_bytes(Case("tiny", "f16", 10, 2, 1), w) == 2 * 11 * 2 * 16 * 2
