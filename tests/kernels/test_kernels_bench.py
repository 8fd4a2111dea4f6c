"""The kernels' bench: its ratios by hand, none while a check is red, and a run without a GPU."""

import json
import math
import os
import sys
import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from torch.nn import functional

from kernels.bench import __main__ as bench
from kernels.bench import cached, contenders, hugging, local, products, run, steps
from kernels.bench.contenders import EAGER, GRAPH, HF_EAGER, PERSISTENT, Case, Pass
from kernels.bench.dense import Llama
from kernels.bench.flex import block_mask
from kernels.bench.local import AGAINST, FLEX, MASKED, MASKED_PADDED, OURS, Shape, measure
from kernels.bench.models import MODELS, Sequences, matrices, sequences, unwritten, weights
from kernels.bench.report import line, table
from kernels.bench.results import Bench, Figure, Result, regret, relative_error, worst
from kernels.bench.run import Log
from kernels.bench.timing import in_a_loop
from kernels.llama_gpu import PagedCache, Rows
from kernels.llama_gpu import Shape as Model
from kernels.llama_reference import ReferenceRunner
from kernels.packed import Packed

SHAPE = Shape(1, 1000, 64, 4, torch.float16)
TIMES = {OURS: 10.0, MASKED_PADDED: 40.0, MASKED: 90.0, FLEX: 25.0}
GOOD = dict.fromkeys(TIMES, 1e-4)
CPU = torch.device("cpu")
UNFUSED = pytest.mark.filterwarnings("ignore:flex_attention called without torch.compile:UserWarning")


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    """Threads that wait for each other on busy cores take longer than the work."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def result(us: dict[str, float] = TIMES, errors: dict[str, float] = GOOD, **rest: object) -> Result:
    named: dict[str, Any] = {"ours": (OURS,)} | rest
    return Result(SHAPE.case(), 2e-3, 2_500_000, us=dict(us), errors=dict(errors), **named)


def cells(row: Result, *, ratios: bool = True) -> dict[str, str]:
    """The only row of the table by column, with a bandwidth of a million bytes a microsecond."""
    head, _, only = table([row], 1e12, ratios=ratios, against=AGAINST).splitlines()
    return dict(
        zip(*([cell.strip() for cell in text.strip("|").split("|")] for text in (head, only)), strict=True)
    )


def test_ratios_are_against_the_fastest_that_is_right() -> None:
    found = cells(result())
    assert (found["x mask"], found["x Flex"], found["MB"], found["% of memory"]) == (
        "4.0",
        "2.5",
        "2.5",
        "25",
    )
    assert (found["B"], found["T"], found["window"], found["type"]) == ("1", "1000", "64, 4", "float16")
    wrong = cells(result(errors=GOOD | {MASKED_PADDED: 0.5, FLEX: math.nan}))
    assert (wrong["x mask"], wrong["x Flex"]) == ("9.0", "")
    assert wrong[MASKED_PADDED] == "40.0, WRONG (0.5)"


@pytest.mark.parametrize("error", [0.1, math.nan])
def test_no_ratio_while_ours_is_wrong(error: float) -> None:
    wrong = result(errors=GOOD | {OURS: error})
    found = cells(wrong)
    assert (found["x mask"], found["x Flex"], found["% of memory"]) == ("", "", "")
    assert "WRONG" in found[OURS]
    assert wrong.red
    assert "% of the memory" not in line(wrong, 1e12)


def test_no_ratio_while_another_check_is_red() -> None:
    found = cells(result(), ratios=False)
    assert (found["x mask"], found["x Flex"], found["% of memory"]) == ("", "", "")


def test_what_fails_is_named() -> None:
    times = {name: us for name, us in TIMES.items() if name != MASKED}
    failed = result(times, failed={MASKED: "OutOfMemoryError: too much\nof it"})
    assert (cells(failed)[MASKED], cells(failed)["x mask"], failed.red) == ("fails", "4.0", False)
    assert line(failed, 1e12).endswith(f"{MASKED}: OutOfMemoryError: too much")


def test_ours_that_fails_or_never_came_is_red() -> None:
    rest = {name: us for name, us in TIMES.items() if name != OURS}
    assert result(rest, failed={OURS: "ValueError: no"}).red
    assert result(rest, dict.fromkeys(rest, 1e-4)).red


def test_two_forms_of_ours_are_both_checked_and_the_faster_counts() -> None:
    us, errors = {"graph": 30.0, "persistent": 20.0, "torch": 100.0}, {"graph": 1e-4, "persistent": 1e-4}
    both = Result({}, 1e-3, ours=("graph", "persistent"), rival_limit=0.1, us=us, errors=errors)
    both.errors["torch"] = 0.05  # bfloat16: further off than ours may be
    assert (both.ratio("torch"), both.red) == (5.0, False)
    both.errors["graph"] = 0.05
    assert (both.ratio("torch"), both.red) == (None, True)


def test_tokens_a_second() -> None:
    row = Result({"M": 4}, 1e-3, tokens=4, us={"ours": 200.0}, errors={"ours": 0.0})
    assert cells(row)["tokens/s"] == "20000"


def test_one_unwritten_element_is_an_error() -> None:
    right = torch.ones(2, 2)
    assert relative_error(right, right) == 0
    assert relative_error(torch.full((2, 2), 1.5), right) == 0.5
    assert math.isnan(relative_error(torch.tensor([[1.0, torch.nan], [1.0, 1.0]]), right))


@pytest.mark.parametrize("wrong", [lambda k: k.detach(), lambda k: k + (0 * k).sqrt()], ids=["none", "NaN"])
def test_gradients_are_checked_too(
    wrong: Callable[[torch.Tensor], torch.Tensor], monkeypatch: pytest.MonkeyPatch
) -> None:
    shape = Shape(1, 40, 6, 2, torch.float32, heads=2, d=12)
    assert not measure(shape, CPU, training=True).red

    def wrong_gradient(
        q: torch.Tensor, k: torch.Tensor, v: torch.Tensor, left: int, right: int
    ) -> torch.Tensor:
        return local.reference(q, wrong(k) + 0 * k, v, left, right)

    monkeypatch.setattr(local, "local_attention", wrong_gradient)
    assert not measure(shape, CPU).red
    assert measure(shape, CPU, training=True).red


def test_a_row_of_calls_is_prepared_and_no_longer_than_asked() -> None:
    events: list[str] = []
    in_a_loop(lambda: events.append("call"), CPU, most=3, prepare=lambda: events.append("prepare"))
    rows = [len(row) for row in " ".join(events).split("prepare")[1:]]
    assert len(rows) == 7
    assert max(rows) == len(" call call call ")


@pytest.mark.parametrize("bits", [4, 8])
def test_random_weights_keep_the_size_of_what_they_multiply(bits: int) -> None:
    torch.manual_seed(0)
    product = torch.randn(64, 512) @ matrices(2, 256, 512, bits, CPU).dequantize(1).T
    assert product.std().item() == pytest.approx(1, abs=0.15)
    assert abs(product.mean().item()) < 0.1


@pytest.mark.parametrize("kind", ["f16", "int8"])
def test_sequences_have_pages_of_their_own(kind: str) -> None:
    there = sequences(MODELS["tiny"], kind, slots=3, context=40, new=2, device=CPU)
    pages = there.cache.table.flatten().tolist()
    assert sorted(pages) == list(range(len(there.cache.keys[0])))
    assert pages != sorted(pages)
    assert there.rows.slots.tolist() == [0, 0, 1, 1, 2, 2]
    assert there.rows.positions.tolist() == [40, 41] * 3
    keys, values = there.cache.gather(1, 2, 40)
    assert (keys.std().item(), values.std().item()) == pytest.approx((1, 1), abs=0.2)


def asked(**rest: object) -> Bench:
    usual = {"models": ("tiny",), "contexts": (20,), "rows": (2,), "prompts": (5,), "frames": (16,)}
    named: dict[str, Any] = usual | {"caches": ("int8",)} | rest
    return Bench(CPU, 1e10, **named)


def results(section: Iterator[Result | Figure]) -> list[Result]:
    """The last of each case, in the order of the first."""
    return list({str(one.case): one for one in section if isinstance(one, Result)}.values())


@pytest.mark.parametrize("kind", ["f16", "int8"])
def test_every_contender_of_a_step_gives_the_same_logits(kind: str) -> None:
    """Ours, the plain llama and transformers' own: three ways to write the same model down."""
    of_one, of_two, verified = results(steps.decode_section(asked(caches=(kind,), rows=(1, 2))))
    (prompt,) = results(steps.prompt_section(asked(caches=(kind,))))
    assert [one.case["M"] for one in (of_one, of_two, verified)] == [1, 2, 1]
    assert (verified.case["new"], prompt.case["T"], prompt.tokens) == (8, 5, 5)
    for one in (of_one, prompt):
        assert set(one.errors) == {GRAPH, EAGER, HF_EAGER}
    for one in (of_two, verified):
        assert set(one.errors) == {GRAPH, EAGER}
    for one in (of_one, of_two, verified, prompt):
        assert not one.red
        assert max(error for name, error in one.errors.items() if name != GRAPH) < 1e-5
        assert one.errors[GRAPH] < 2e-3  # it rounds


def made(kind: str, *, context: int, slots: int = 1, new: int = 1, shape: Model = MODELS["tiny"]) -> Pass:
    w = weights(shape, CPU, context=context + new + 64)
    there = sequences(shape, kind, slots=slots, context=context, new=new, device=CPU)
    return Pass(Case("tiny", kind, context, slots, new), w, there, CPU)


def test_angles_stay_exact_where_weights_are_bfloat16() -> None:
    """Frequencies in bfloat16 are off by up to 1/256: 16 turns behind 4096 tokens."""
    given = made("f16", context=4096)
    exact = given.reference.exact(*given.rows, given.case.wanted)
    step, reset = hugging.transformers_step(
        given.weights, given.there, 4096, given.length, torch.bfloat16, wanted=1, compiled=False
    )
    reset()
    with torch.no_grad():
        logits = step().flatten(0, -2)
    assert logits.dtype == torch.bfloat16
    assert 1e-3 < relative_error(logits, exact) < 0.05


@UNFUSED
@pytest.mark.parametrize("heads", [4, 6])
def test_a_step_with_flex_attention_is_the_same(heads: int) -> None:
    given = made("f16", context=200, slots=2, new=3, shape=replace(MODELS["tiny"], heads=heads))
    rows = given.there.rows
    positions = rows.positions[:3].long()
    model = Llama(given.weights, given.there, 200, given.length, torch.float32)
    blocks = block_mask(lambda _b, _h, q, k: k <= positions[q], 3, given.length, CPU)
    with torch.no_grad():
        logits = model(rows.tokens.view(2, 3).long(), positions, 3, blocks)
    exact = given.reference.exact(*given.rows, given.case.wanted)
    assert relative_error(logits.flatten(0, 1), exact) < 1e-5
    assert relative_error(logits[:, :1].flatten(0, 1), exact[::3]) < 1e-5


@UNFUSED
@pytest.mark.parametrize("heads", [4, 6])
@pytest.mark.parametrize(("new", "before"), [(1, 150), (8, 150), (8, 0), (140, 0)])
def test_flex_attention_is_sdpa(new: int, before: int, heads: int) -> None:
    """Of groups that are a power of two, or are padded to be one; one block of keys, or two."""
    torch.manual_seed(new)
    right = cached.Result({}, 1e-4)
    queries = torch.randn(2, heads, new, 32)
    there = sequences(MODELS["tiny"], "f16", slots=2, context=before, new=new, device=CPU, room=0)
    rows = [there.cache.gather(0, slot, before + new) for slot in (0, 1)]
    keys, values = (torch.stack(part).half().float() for part in zip(*rows, strict=True))
    seen = torch.ones(new, before + new).tril(before).bool()
    wanted = functional.scaled_dot_product_attention(queries, keys, values, seen, enable_gqa=True)
    flat = wanted.transpose(1, 2).flatten(0, 1).flatten(1)
    half = cached.Rival(cached.FLEX, lambda: _in_float32(cached.flex_rival(new, before, CPU)), padded=True)
    cached._rival(right, half, queries, there, flat)
    assert right.failed == {}
    assert right.errors[cached.FLEX] < 1e-5


def _in_float32(rival: cached.Rival) -> cached.Attend:
    attend = rival.make()
    return lambda q, k, v: attend(q, k.float(), v.float())


@UNFUSED
def test_flex_attention_in_a_window_is_the_reference() -> None:
    shape = Shape(1, 300, 64, 4, torch.float32, heads=2, d=16)
    q, k, v, _ = local.inputs(shape, CPU)
    right = local.reference(q, k, v, 64, 4)
    assert relative_error(local._flex(shape, CPU)(q, k, v), right) < 1e-5


def test_a_rival_that_cannot_be_made_stops_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(*_: object, **__: object) -> cached.Attend:
        raise NotImplementedError("no FlexAttention here")

    def rivals(*_: object, **__: object) -> Iterator[cached.Rival]:
        yield cached.flex_rival(1, 20, CPU)
        yield cached.Rival(cached.SDPA, lambda: functional.scaled_dot_product_attention)

    monkeypatch.setattr(cached, "flex", refused)
    monkeypatch.setattr(cached, "_rivals", rivals)
    (one, *_) = results(cached.decode_section(asked()))
    assert one.failed[cached.FLEX] == "NotImplementedError: no FlexAttention here"
    assert "enable_gqa" in one.failed[cached.SDPA] or "must match" in one.failed[cached.SDPA]
    assert not one.red


def test_a_window_that_flex_attention_refuses_stops_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(*_: object, **__: object) -> cached.Attend:
        raise NotImplementedError("no FlexAttention here")

    monkeypatch.setattr(local, "flex", refused)
    shape = Shape(1, 40, 6, 2, torch.float32, heads=2, d=12)
    flexible = local.Contender(FLEX, local._flex(shape, CPU), 16)
    usual = list(local._contenders(shape, CPU, compiled=True))
    monkeypatch.setattr(local, "_contenders", lambda *_, **__: [flexible, *usual])
    one = measure(shape, CPU)
    assert one.failed == {FLEX: "NotImplementedError: no FlexAttention here"}
    assert not one.red


def test_rivals_are_measured_with_one_kind_of_cache(monkeypatch: pytest.MonkeyPatch) -> None:
    of_int8, of_f16, *_ = results(cached.decode_section(asked(caches=("int8", "f16"))))
    assert (of_int8.case["cache"], of_f16.case["cache"]) == ("int8", "f16")
    assert of_f16.us[cached.SDPA] == of_int8.us[cached.SDPA]
    assert of_f16.us["ours"] != of_int8.us["ours"]
    of_int8, of_f16 = results(steps.prompt_section(asked(caches=("int8", "f16"))))
    assert {name: of_f16.us[name] for name in (EAGER, HF_EAGER)} == {
        name: of_int8.us[name] for name in (EAGER, HF_EAGER)
    }
    assert of_f16.us[GRAPH] != of_int8.us[GRAPH]


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
        assert relative_error(contender.call(), other[-1:]) > steps.LIMIT


class Steps:
    """A decoder of many steps a launch, as the persistent kernel is one; `wrong` is done to its logits."""

    wrong: Callable[[torch.Tensor], object]

    def __init__(self, w: object, cache: PagedCache) -> None:
        self.runner = ReferenceRunner(w, cache)  # type: ignore[arg-type]

    def begin(self, slot: int, token: int, position: int) -> None:
        self.token, self.at = token, (slot, position)

    def run(self, chosen: torch.Tensor, *, logits: torch.Tensor) -> None:
        slot, position = self.at
        for i in range(len(chosen)):
            row = np.array([self.token]), np.array([slot]), np.array([position + i])
            logits[i] = self.runner.decode(*row, np.array([0]))[0]
            chosen[i] = logits[i].argmax()
            self.token = int(chosen[i])
        Steps.wrong(logits)


@pytest.mark.parametrize(("wrong", "red"), [(lambda _: None, False), (lambda x: x[31].mul_(1.5), True)])
@pytest.mark.parametrize("kind", ["f16", "int8"])
def test_all_steps_of_a_launch_are_checked(
    kind: str, wrong: Callable[[torch.Tensor], object], red: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(contenders.llama_persistent, "PersistentDecoder", Steps)
    monkeypatch.setattr(contenders.llama_persistent, "why_not", lambda *_: None)
    monkeypatch.setattr(Steps, "wrong", wrong, raising=False)
    (one, *_) = results(steps.decode_section(asked(caches=(kind,), rows=(1,))))
    assert one.errors[PERSISTENT] < 1e-3 or red
    assert one.red == red


def test_the_worst_and_a_choice_by_hand() -> None:
    assert worst(0.5, 2.0, 1.0) == 2.0
    assert math.isnan(worst(0.5, math.nan, 1.0))
    logits = torch.tensor([[1.0, 3.0], [5.0, 3.0]])
    assert regret(torch.tensor([1, 0]), logits) == 0
    assert regret(torch.tensor([0, 0]), logits) == pytest.approx(2 / logits.std().item())
    assert regret(torch.tensor([1, -1]), logits) == regret(torch.tensor([1, 2]), logits) == 2.0


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


@pytest.mark.parametrize("m", [2, 20])
def test_attention_that_forgets_a_key_is_red(m: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of few rows, which are packed, and of many."""
    (first, *_) = cached.decode_section(asked(rows=(m,)))
    assert not first.red
    assert first.right(cached.SDPA)
    right = cached.paged_attention.reference

    def forgetful(
        q: torch.Tensor, cache: PagedCache, layer: int, rows: Rows, *, out: torch.Tensor | Packed, **_: object
    ) -> object:
        attended = right(q, cache, layer, replace(rows, positions=rows.positions - 1))
        return out.fill(attended) if isinstance(out, Packed) else out.copy_(attended)

    module = cached.few_attention if m == 2 else cached.paged_attention
    monkeypatch.setattr(module, module.__name__.split(".")[-1], forgetful)
    (wrong, *_) = cached.decode_section(asked(rows=(m,)))
    assert wrong.red
    assert wrong.right(cached.SDPA)


@pytest.mark.parametrize("m", [3, 20])
def test_a_product_that_is_not_written_is_red(m: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of few rows, which are packed, and of many."""
    right = [one for one in products.section(asked(rows=(), prompts=(m,))) if one.case["M"] == m]
    assert [(one.case["kernel"], one.red) for one in right] == [
        (name, False) for name in ("qkv", "out", "gate_up", "down")
    ]
    of_few = ((products.few_rows, "qkv"), (products.few_rows, "add"), (products.few_rows, "gate_up"))
    of_many = ((products.qkv, "qkv"), (products.linear, "linear"), (products.linear, "norm_gate_up"))
    for module, name in of_few if m == 3 else of_many:
        monkeypatch.setattr(module, name, lambda *_, **__: torch.empty(0))
    wrong = [one for one in products.section(asked(rows=(), prompts=(m,))) if one.case["M"] == m]
    assert [one.red for one in wrong] == [True] * 4


def test_packed_rows_are_nan_until_they_are_written() -> None:
    packed = unwritten(2, 64, CPU)
    assert packed.unpack().isnan().all()
    assert packed.fill(torch.ones(2, 64)).unpack() == pytest.approx(torch.ones(2, 64), abs=1e-4)


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(bench, "bandwidth", lambda _: 1e10)


@pytest.mark.usefixtures("small")
def test_without_a_gpu(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ["--only", "launch,products,attention,prompt_attention,local", "--frames", "16"]
    assert bench.main([*arguments, "--json", str(tmp_path / "out.json")]) == 0
    printed = capsys.readouterr().out
    assert "No CUDA GPU" in printed
    assert "All is green." in printed
    sections: dict[str, Any] = json.loads((tmp_path / "out.json").read_text())["sections"]
    assert list(sections) == ["launch", "products", "attention", "prompt_attention", "local"]
    assert {row["case"]["kernel"] for row in sections["products"]["results"]} == {
        "qkv",
        "out",
        "gate_up",
        "down",
    }
    assert [row["case"]["T"] for row in sections["local"]["results"]] == [16]
    assert all(row["us"][OURS] > 0 for row in sections["local"]["results"])


@pytest.mark.usefixtures("small")
def test_a_wrong_result_fails_the_bench(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(local, "local_attention", lambda q, *_, **__: torch.zeros_like(q))
    assert bench.main(["--only", "local", "--frames", "16"]) == 1
    printed = capsys.readouterr().out
    assert "No ratio is given in a section that is red" in printed
    assert "WRONG" in printed


@pytest.fixture
def scripted(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two sections: one yields a figure and then fails, one is well."""

    def fails(_: Bench) -> Iterator[Figure]:
        yield Figure("speed", 3.0, "m/s")
        raise KeyError("gone")

    def well(_: Bench) -> Iterator[Result]:
        one = Result({"M": 1}, 1e-3, us={"ours": 1.0}, errors={"ours": 0.0})
        yield one
        one.us["torch"], one.errors["torch"] = 2.0, 0.0
        yield one

    monkeypatch.setitem(sys.modules, "kernels.bench.scripted", SimpleNamespace(fails=fails, well=well))
    monkeypatch.setattr(run, "SECTIONS", {"fails": ("scripted", "fails"), "well": ("scripted", "well")})


@pytest.mark.usefixtures("scripted")
def test_a_section_that_fails_stops_no_other_and_keeps_what_it_had(tmp_path: Path) -> None:
    log = Log(tmp_path / "out.json")
    assert run.run(["fails", "well"], asked(), log, 60, []) == ["fails: KeyError: 'gone'"]
    sections = json.loads((tmp_path / "out.json").read_text())["sections"]
    assert sections["fails"]["figures"] == [{"name": "speed", "value": 3.0, "unit": "m/s"}]
    assert "KeyError: 'gone'" in sections["fails"]["failed"]
    assert [row["us"] for row in sections["well"]["results"]] == [{"ours": 1.0, "torch": 2.0}]
    assert Log.read(tmp_path / "out.json").wrong == ["fails: KeyError: 'gone'"]


class Clock:
    """Each look at it takes a second."""

    def __init__(self) -> None:
        self.now = 1000.0

    def monotonic(self) -> float:
        self.now += 1
        return self.now

    def time(self) -> float:
        return self.now


@pytest.mark.usefixtures("scripted")
def test_what_has_no_time_left_is_named_and_the_rest_is_printed(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def slow(_: Bench) -> Iterator[Result]:
        for m in range(100):
            yield Result({"M": m}, 1e-3, us={"ours": 1.0}, errors={"ours": 0.0})

    monkeypatch.setattr(sys.modules["kernels.bench.scripted"], "slow", slow, raising=False)
    for name, work in (("slow", "slow"), ("again", "slow"), ("last", "well")):
        monkeypatch.setitem(run.SECTIONS, name, ("scripted", work))
    monkeypatch.setattr(run, "time", Clock())
    log = Log(tmp_path / "out.json")
    assert run.run(["slow", "well", "again", "last"], asked(), log, 5.5, [], until=1011.5) == []
    # A second a result, and one to begin each: the third section has 1.5 left of all, the fourth nothing.
    assert log.cut == ["slow: stopped after 6 s", "again: stopped after 2 s", "last: not begun"]
    assert [len(log.data["sections"][name]["results"]) for name in ("slow", "well", "again")] == [6, 1, 2]
    printed = capsys.readouterr().out
    assert (printed.count("| 5 | 1.0 |"), printed.count("| 1 | 1.0 |"), "## last" in printed) == (1, 3, False)


class Replaced(BaseException):
    """The process would be another one now."""


@pytest.mark.usefixtures("scripted")
def test_after_a_section_that_loses_the_gpu_the_rest_runs_in_a_new_process(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def become(file: str, arguments: list[str]) -> None:
        raise Replaced(file, arguments)

    monkeypatch.setattr(os, "execv", become)
    monkeypatch.setattr(run, "_gpu_lives", lambda: False)
    on_gpu = Bench(torch.device("cuda"), 1e10, *((),) * 6)
    with pytest.raises(Replaced) as found:
        run.run(["fails", "well"], on_gpu, Log(tmp_path / "out.json"), 60, ["python", "--only"])
    assert found.value.args == ("python", ["python", "--only", "well"])
    assert "gone" in json.loads((tmp_path / "out.json").read_text())["sections"]["fails"]["failed"]
    assert not any(
        isinstance(thread, threading.Timer) and thread.is_alive() for thread in threading.enumerate()
    )


def test_a_section_that_hangs_is_given_up(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    replaced: list[list[str]] = []
    monkeypatch.setattr(os, "execv", lambda _, arguments: replaced.append(arguments))
    log = Log(tmp_path / "out.json")
    log.write("step", {"results": []})
    run._give_up("step", 240, log, ["python", "--only"], ["prefill", "local"])
    assert replaced == [["python", "--only", "prefill,local"]]
    assert log.wrong == ["step: took longer than 240 s"]


def test_the_new_process_is_asked_for_the_same(tmp_path: Path) -> None:
    arguments = ["--full", "--no-compile", "--rows", "1", "8", "--models", "8b", "--total-s", "100"]
    given = bench._arguments(["--json", str(tmp_path / "a"), *arguments])
    given.until = 1234.5
    _, _, module, *rest = bench._again(given)
    again = bench._arguments([*rest, "step,local"])
    assert module == "kernels.bench"
    assert (again.rows, again.models, again.full, again.json) == ([1, 8], ["8b"], True, tmp_path / "a")
    assert (again.only, again.go_on, again.limit_s) == (["step", "local"], True, 300)
    assert (again.compile, again.until) == (False, 1234.5)


def test_an_unknown_section_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        bench.main(["--only", "steps"])
    assert "no section 'steps'" in capsys.readouterr().err
