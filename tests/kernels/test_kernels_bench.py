"""The kernels' bench: its ratios by hand, none while a check is red, and a run without a GPU."""

import json
import math
import os
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from bench_cases import CPU, asked, one_thread
from torch import Tensor

from kernels.bench import __main__ as bench
from kernels.bench import attention, local, products, run
from kernels.bench.local import FLEX, MASKED, Shape
from kernels.bench.models import MODELS, matrices, sequences, unwritten
from kernels.bench.report import line, table
from kernels.bench.results import OURS, Bench, Figure, Result, regret, relative_error, worst
from kernels.bench.run import Log
from kernels.bench.timing import in_a_loop
from kernels.formats.fragments import Fragments
from kernels.formats.llama import PagedCache, Rows

SHAPE = Shape(1, 1000, 64, 4, torch.float16)
TIMES = {OURS: 10.0, MASKED: 40.0, FLEX: 25.0}
GOOD = dict.fromkeys(TIMES, 1e-4)
__all__ = ["one_thread"]  # a fixture for all tests here


def result(us: dict[str, float] = TIMES, errors: dict[str, float] = GOOD, **rest: object) -> Result:
    named: dict[str, Any] = {"ours": (OURS,)} | rest
    return Result(SHAPE.case, 2e-3, 2_500_000, us=dict(us), errors=dict(errors), **named)


def cells(row: Result, *, ratios: bool = True) -> dict[str, str]:
    """The only row of the table by column, with a bandwidth of a million bytes a microsecond."""
    head, _, only = table([row], 1e12, ratios=ratios).splitlines()
    return dict(
        zip(*([cell.strip() for cell in text.strip("|").split("|")] for text in (head, only)), strict=True)
    )


def test_ratios_are_against_the_fastest_that_is_right() -> None:
    found = cells(result())
    assert (found["times"], found["MB"], found["% of memory"]) == ("2.5", "2.5", "25")
    assert (found["B"], found["T"], found["window"], found["type"]) == ("1", "1000", "64, 4", "float16")
    assert cells(result(errors=GOOD | {FLEX: math.nan}))["times"] == "4.0"
    wrong = cells(result(errors=GOOD | {MASKED: 0.5, FLEX: math.nan}))
    assert wrong["times"] == ""
    assert wrong[MASKED] == "40.0, WRONG (0.5)"


@pytest.mark.parametrize("error", [0.1, math.nan])
def test_no_ratio_while_ours_is_wrong(error: float) -> None:
    wrong = result(errors=GOOD | {OURS: error})
    found = cells(wrong)
    assert (found["times"], found["% of memory"]) == ("", "")
    assert "WRONG" in found[OURS]
    assert wrong.red
    assert "% of the memory" not in line(wrong, 1e12)


def test_no_ratio_while_another_check_is_red() -> None:
    found = cells(result(), ratios=False)
    assert (found["times"], found["% of memory"]) == ("", "")


def test_what_fails_is_named() -> None:
    times = {name: us for name, us in TIMES.items() if name != MASKED}
    failed = result(times, failed={MASKED: "OutOfMemoryError: too much\nof it"})
    assert (cells(failed)[MASKED], cells(failed)["times"], failed.red) == ("fails", "2.5", False)
    assert line(failed, 1e12).endswith(f"{MASKED}: OutOfMemoryError: too much")


def test_ours_that_fails_or_never_came_is_red() -> None:
    rest = {name: us for name, us in TIMES.items() if name != OURS}
    assert result(rest, failed={OURS: "ValueError: no"}).red
    assert result(rest, dict.fromkeys(rest, 1e-4)).red


def test_two_forms_of_ours_are_both_checked_and_the_faster_counts() -> None:
    us, errors = {"graph": 30.0, "multi": 20.0, "torch": 100.0}, {"graph": 1e-4, "multi": 1e-4}
    both = Result({}, 1e-3, ours=("graph", "multi"), rival_limit=0.1, us=us, errors=errors)
    both.errors["torch"] = 0.05  # bfloat16: further off than ours may be
    assert (both.ratio, both.red) == (5.0, False)
    both.errors["graph"] = 0.05
    assert (both.ratio, both.red) == (None, True)


def test_tokens_a_second() -> None:
    row = Result({"M": 4}, 1e-3, tokens=4, us={"ours": 200.0}, errors={"ours": 0.0})
    assert cells(row)["tokens/s"] == "20000"


def test_one_unwritten_element_is_an_error() -> None:
    right = torch.ones(2, 2)
    assert relative_error(right, right) == 0
    assert relative_error(torch.full((2, 2), 1.5), right) == 0.5
    assert math.isnan(relative_error(torch.tensor([[1.0, torch.nan], [1.0, 1.0]]), right))


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


def test_the_worst_and_a_choice_by_hand() -> None:
    assert worst(0.5, 2.0, 1.0) == 2.0
    assert math.isnan(worst(0.5, math.nan, 1.0))
    logits = torch.tensor([[1.0, 3.0], [5.0, 3.0]])
    assert regret(torch.tensor([1, 0]), logits) == 0
    assert regret(torch.tensor([0, 0]), logits) == pytest.approx(2 / logits.std().item())
    assert regret(torch.tensor([1, -1]), logits) == regret(torch.tensor([1, 2]), logits) == 2.0


@pytest.mark.parametrize("m", [2, 65])
def test_attention_that_forgets_a_key_is_red(m: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """A small batch, and many rows."""
    (first, *_) = attention.decode_section(asked(rows=(m,)))
    assert not first.red
    assert first.right(attention.SDPA)
    right = attention.paged.reference

    def forgetful(
        q: Tensor, cache: PagedCache, layer: int, *rows: Rows | Tensor, out: Tensor | Fragments, **_: object
    ) -> object:
        slots, starts = (rows[0].slots, rows[0].positions) if isinstance(rows[0], Rows) else rows
        attended = right(q, cache, layer, slots, starts - 1)
        return out.fill(attended) if isinstance(out, Fragments) else out.copy_(attended)

    where, name = (attention, "small_batch_attention") if m == 2 else (attention.paged, "paged_attention")
    monkeypatch.setattr(where, name, forgetful)
    (wrong, *_) = attention.decode_section(asked(rows=(m,)))
    assert wrong.red
    assert wrong.right(attention.SDPA)


@pytest.mark.parametrize("m", [3, 65])
def test_a_product_that_is_not_written_is_red(m: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """A small batch, and many rows."""
    right = [one for one in products.section(asked(rows=(), prompts=(m,))) if one.case["M"] == m]
    assert [(one.case["kernel"], one.red) for one in right] == [
        (name, False) for name in ("qkv", "out", "gate_up", "down", *(["head"] if m == 3 else []))
    ]
    small = [(products.small_batch, name) for name in ("qkv", "add", "gate_up", "head")]
    many = [(products.qkv, "qkv"), (products.linear, "linear"), (products.linear, "norm_gate_up")]
    for module, name in small if m == 3 else many:
        monkeypatch.setattr(module, name, lambda *_, **__: torch.empty(0))
    wrong = [one for one in products.section(asked(rows=(), prompts=(m,))) if one.case["M"] == m]
    assert [one.red for one in wrong] == [True] * len(right)


def test_fragments_are_nan_until_they_are_written() -> None:
    rows = unwritten(2, 64, CPU)
    assert rows.unpack().isnan().all()
    assert rows.fill(torch.ones(2, 64)).unpack() == pytest.approx(torch.ones(2, 64), abs=1e-4)


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
        "head",
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
