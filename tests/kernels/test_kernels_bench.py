"""The kernels' bench: its ratios by hand, none while a check is red, and a run without a GPU."""

import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from kernels.bench import __main__ as bench
from kernels.bench import attention
from kernels.bench.attention import FLEX, MASKED, MASKED_PADDED, OURS, Row, Shape, measure
from kernels.bench.report import table
from kernels.bench.timing import relative_error

SHAPE = Shape(1, 1000, 64, 4, torch.float16)
TIMES = {OURS: 10.0, MASKED_PADDED: 40.0, MASKED: 90.0, FLEX: 25.0}
GOOD = dict.fromkeys(TIMES, 1e-4)


def cells(row: Row, *, ratios: bool = True) -> dict[str, str]:
    """The only row of the table by column, with a bandwidth of a million bytes a microsecond."""
    head, _, line = table([row], 1e12, ratios=ratios).splitlines()
    return dict(
        zip(*([cell.strip() for cell in text.strip("|").split("|")] for text in (head, line)), strict=True)
    )


def test_ratios_are_against_the_fastest_that_is_right() -> None:
    found = cells(Row(SHAPE, TIMES, GOOD, {}, 2_500_000))
    assert (found["x mask"], found["x Flex"], found["MB"], found["% of copy"]) == ("4.0", "2.5", "2.5", "25")
    assert (found["B"], found["T"], found["window"], found["type"]) == ("1", "1000", "64, 4", "float16")
    wrong = cells(Row(SHAPE, TIMES, GOOD | {MASKED_PADDED: 0.5, FLEX: math.nan}, {}, 2_500_000))
    assert (wrong["x mask"], wrong["x Flex"]) == ("9.0", "")
    assert wrong[MASKED_PADDED] == "40.0, WRONG (0.5)"


@pytest.mark.parametrize("error", [0.1, math.nan])
def test_no_ratio_while_ours_is_wrong(error: float) -> None:
    found = cells(Row(SHAPE, TIMES, GOOD | {OURS: error}, {}, 1))
    assert (found["x mask"], found["x Flex"], found["% of copy"]) == ("", "", "")
    assert "WRONG" in found[OURS]


def test_no_ratio_while_another_check_is_red() -> None:
    found = cells(Row(SHAPE, TIMES, GOOD, {}, 1), ratios=False)
    assert (found["x mask"], found["x Flex"], found["% of copy"]) == ("", "", "")


def test_what_fails_is_named() -> None:
    times = {name: us for name, us in TIMES.items() if name != MASKED}
    found = cells(Row(SHAPE, times, GOOD, {MASKED: "OutOfMemoryError"}, 1))
    assert (found[MASKED], found["x mask"]) == ("fails", "4.0")


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
    assert measure(shape, torch.device("cpu"), training=True).ours_is_right

    def wrong_gradient(
        q: torch.Tensor, k: torch.Tensor, v: torch.Tensor, left: int, right: int
    ) -> torch.Tensor:
        return attention.reference(q, wrong(k) + 0 * k, v, left, right)

    monkeypatch.setattr(attention, "local_attention", wrong_gradient)
    assert measure(shape, torch.device("cpu")).ours_is_right
    assert not measure(shape, torch.device("cpu"), training=True).ours_is_right


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(bench, "bandwidth", lambda _: 1e10)


@pytest.mark.usefixtures("small")
def test_without_a_gpu(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert bench.main(["--frames", "16", "--json", str(tmp_path / "out.json")]) == 0
    printed = capsys.readouterr().out
    assert "No CUDA GPU" in printed
    assert "All checks are green." in printed
    results: dict[str, Any] = json.loads((tmp_path / "out.json").read_text())
    assert [row["shape"]["left"] for row in results["forward"]] == [64, 128]
    assert all(row["us"][OURS] > 0 for row in results["forward"])


@pytest.mark.usefixtures("small")
def test_a_wrong_result_fails_the_bench(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(attention, "local_attention", lambda q, *_, **__: torch.zeros_like(q))
    assert bench.main(["--frames", "16"]) == 1
    printed = capsys.readouterr().out
    assert "A check is red, so no ratio is given" in printed
    assert "WRONG" in printed
