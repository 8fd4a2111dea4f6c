"""Local attention against its definition in float64: in blocks, and the kernel in Triton's interpreter."""

import functools
import importlib.util
import os
import subprocess
import sys
import warnings
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from kernels import device
from kernels.attention import local as module
from kernels.attention.local import blocked, local_attention, reference

ROOT = Path(__file__).parents[3]
TOLERANCE = {torch.float64: 1e-12, torch.float32: 2e-6, torch.float16: 2e-3, torch.bfloat16: 1.5e-2}


@dataclass(frozen=True)
class Case:
    """Sizes to test; keys are those of the queries' frames and `before`, `after` them."""

    t: int
    left: int
    right: int
    d: int = 36
    lengths: tuple[int, ...] | None = None
    before: int = 0
    after: int = 0
    dtype: torch.dtype = torch.float32
    heads: int = 2
    tile: tuple[int, int, int, int] = (64, 32, 4, 2)

    def __str__(self) -> str:
        parts = [f"{name}={value}" for name, value in asdict(self).items() if value]
        return " ".join(parts).replace("torch.", "")


CASES = [
    Case(1, 0, 0),
    Case(1, 64, 4, before=64, after=4),
    Case(5, 4, 1),
    Case(5, 16, 16, lengths=(5, 3)),
    Case(63, 64, 4),
    Case(64, 16, 0, d=64),
    Case(64, 0, 16, tile=(16, 32, 4, 2)),
    Case(65, 64, 64, lengths=(65, 64)),
    Case(65, 4, 4, d=64, before=40),
    Case(130, 64, 4, lengths=(130, 1)),
    Case(130, 16, 1, lengths=(70, 0), tile=(32, 64, 4, 2)),
    Case(130, 1, 64, d=5, heads=1),
    Case(63, 16, 4, before=70, after=20, lengths=(153, 90)),
    Case(64, 10_000, 10_000, d=128, heads=1, before=3),
    Case(65, 64, 4, dtype=torch.float16),
    Case(65, 16, 4, dtype=torch.bfloat16, lengths=(40, 65)),
]

# The interpreter has no bfloat16: test_local_on_gpu.py has.
INTERPRETED = [case for case in CASES if case.dtype != torch.bfloat16]


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    """A pool of threads costs more than these sizes, many times more on a busy machine."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def tensors(case: Case, seed: int = 0) -> dict[str, Any]:
    """q, k and v as slices of one projection, as a model has them; what lies past a length is NaN."""
    make = torch.Generator().manual_seed(seed)
    t_k = case.before + case.t + case.after
    joint = torch.randn(2, t_k, 3, case.heads, case.d, generator=make).to(case.dtype)
    for row, length in zip(joint, case.lengths or (), strict=False):
        row[length:] = torch.nan
    q, k, v = joint.permute(2, 0, 3, 1, 4)  # [B, H, T, D] each
    return {
        "q": q[:, :, case.before : case.before + case.t],
        "k": k,
        "v": v,
        "window": (min(case.left, t_k), min(case.right, t_k)),
        "lengths": None if case.lengths is None else torch.tensor(case.lengths, dtype=torch.int32),
        "offset": case.before,
        "scale": case.d**-0.5,
        "tile": case.tile,
        "grad": torch.randn(2, case.heads, case.t, case.d, generator=make).to(case.dtype),
    }


@functools.cache
def expected(case: Case) -> Tensor:
    """By the definition: one query at a time over the list of its keys, in float64."""
    given = tensors(case)
    q, k, v = (given[name].double() for name in "qkv")
    out = torch.zeros_like(q)
    for row in range(q.shape[0]):
        length = case.lengths[row] if case.lengths else k.shape[2]
        for i in range(case.t):
            frame = case.before + i
            if frame >= length:
                continue
            seen = slice(max(0, frame - case.left), min(length, frame + case.right + 1))
            scores = torch.einsum("hd,hkd->hk", q[row, :, i], k[row, :, seen]) / case.d**0.5
            out[row, :, i] = torch.einsum("hk,hkd->hd", scores.softmax(-1), v[row, :, seen])
    return out


def error(out: Tensor, right: Tensor) -> float:
    """The relative error of the whole; NaN if any part of it is."""
    return ((out.double() - right).norm() / right.norm().clamp_min(1e-30)).item()


def named(given: dict[str, Any]) -> dict[str, Any]:
    return {"lengths": given["lengths"], "offset": given["offset"]}


@pytest.mark.parametrize("case", CASES, ids=str)
@pytest.mark.parametrize("implementation", [reference, blocked, local_attention])
def test_in_torch(implementation: Callable[..., Tensor], case: Case) -> None:
    given = tensors(case)
    out = implementation(given["q"], given["k"], given["v"], case.left, case.right, **named(given))
    assert out.dtype == case.dtype
    assert out.shape == given["q"].shape
    assert error(out, expected(case)) < TOLERANCE[case.dtype]


GRADIENTS = Case(37, 16, 4, lengths=(60, 31), before=20, after=7)


@pytest.fixture(scope="module")
def interpreted(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    if importlib.util.find_spec("triton") is None:
        pytest.skip("triton is not installed")
    folder = tmp_path_factory.mktemp("interpreted")
    torch.save(
        {"cases": [tensors(case) for case in INTERPRETED], "gradients": tensors(GRADIENTS)}, folder / "in"
    )
    command = [sys.executable, str(Path(__file__).with_name("interpreted.py")), folder / "in", folder / "out"]
    env = {**os.environ, "TRITON_INTERPRET": "1", "PYTHONPATH": str(ROOT)}
    done = subprocess.run(command, env=env, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    results: dict[str, Any] = torch.load(folder / "out")
    return results


@pytest.mark.parametrize("number", range(len(INTERPRETED)), ids=lambda number: str(INTERPRETED[number]))
def test_the_kernel(interpreted: dict[str, Any], number: int) -> None:
    case, out = INTERPRETED[number], interpreted["outputs"][number]
    assert error(out, expected(case)) < TOLERANCE[case.dtype]


def right_gradients(case: Case) -> list[Tensor]:
    given = tensors(case)
    inputs = [given[name].double().requires_grad_() for name in "qkv"]
    out = reference(*inputs, case.left, case.right, **named(given))
    return list(torch.autograd.grad(out, inputs, given["grad"].double()))


@pytest.mark.parametrize("case", [GRADIENTS, *CASES[1:10:2]], ids=str)
def test_gradients_in_blocks(case: Case) -> None:
    given = tensors(case)
    inputs = [given[name].double().requires_grad_() for name in "qkv"]
    out = blocked(*inputs, case.left, case.right, **named(given))
    for ours, right in zip(
        torch.autograd.grad(out, inputs, given["grad"].double()), right_gradients(case), strict=True
    ):
        assert error(ours, right) < TOLERANCE[torch.float64]


def test_gradients_through_the_kernel(interpreted: dict[str, Any]) -> None:
    out, *gradients = interpreted["gradients"]
    assert error(out, expected(GRADIENTS)) < TOLERANCE[torch.float32]
    for ours, right in zip(gradients, right_gradients(GRADIENTS), strict=True):
        assert error(ours, right) < TOLERANCE[torch.float32]


@settings(deadline=None, max_examples=25)
@given(st.data())
def test_chunks_are_the_whole(data: st.DataObject) -> None:
    """Whatever the chunks, with only the keys that they can see, and a chunk of nothing."""
    t, left, right = (data.draw(st.integers(low, high)) for low, high in ((1, 90), (0, 40), (0, 20)))
    cuts = sorted(data.draw(st.lists(st.integers(0, t), max_size=6)))
    given = tensors(Case(t, left, right, d=4, dtype=torch.float32))
    q, k, v = given["q"], given["k"], given["v"]
    parts = []
    for start, end in zip([0, *cuts], [*cuts, t], strict=True):
        first = max(0, start - left)
        keys, values = (x[:, :, first : max(end + right, first)] for x in (k, v))
        parts.append(local_attention(q[:, :, start:end], keys, values, left, right, offset=start - first))
    whole = reference(q.double(), k.double(), v.double(), left, right)
    assert error(torch.cat(parts, 2), whole) < TOLERANCE[torch.float32]


def test_memory_grows_with_the_window_and_not_with_the_square() -> None:
    """A mask of all pairs would be 10^10 here."""
    x = torch.ones(1, 1, 100_000, 1)
    out = local_attention(x, x, x, 4, 1)
    assert torch.equal(out, x)


@pytest.fixture
def forget_warnings() -> Iterator[None]:
    module._warn_once.cache_clear()
    device.unsupported_reason.cache_clear()
    yield
    device.unsupported_reason.cache_clear()


@pytest.mark.usefixtures("forget_warnings")
@pytest.mark.parametrize("installed", [True, False])
def test_a_kernel_that_cannot_run_is_replaced_with_one_warning(
    installed: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    if not installed:
        monkeypatch.setattr(device, "TRITON", False)
    x = torch.randn(1, 1, 5, 4)
    with pytest.warns(RuntimeWarning, match="without its kernel: (Triton makes no code|triton is not inst)"):
        out = local_attention(x, x, x, 1, 1, implementation="triton")
    assert error(out, reference(x.double(), x.double(), x.double(), 1, 1)) < TOLERANCE[torch.float32]
    with warnings.catch_warnings(record=True) as again:
        warnings.simplefilter("always")
        local_attention(x, x, x, 1, 1, implementation="triton")
    assert again == []


X = torch.zeros(2, 3, 8, 4)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"q": X[0]}, r"q is \(3, 8, 4\): must be \[batch, heads, frames, head dim\]"),
        ({"k": X.half()}, "k is torch.float16 and q torch.float32: convert all three to one of"),
        ({name: X.double() for name in "qkv"}, "q is torch.float64"),
        ({"v": X.to("meta")}, "v is on meta and q on cpu"),
        ({"k": X[:, :2]}, "k and v must be alike, and differ from q in frames only"),
        ({"k": X[..., :2], "v": X[..., :2]}, "differ from q in frames only"),
        ({"v": X[:, :, :5]}, "k and v must be alike"),
        ({"k": X.mT.contiguous().mT}, r"k has strides .*: the last must be 1; call .contiguous\(\)"),
        ({name: torch.zeros(1, 1, 2, 129) for name in "qkv"}, "q has a head of 129: must be 1 to 128"),
        ({"left": -1}, r"window \(-1, 2\): both must be 0 or more"),
        ({"right": -3}, r"window \(4, -3\): both must be 0 or more"),
        ({"offset": 1}, "8 queries from frame 1 on, and keys of 8 frames: each query must be one of them"),
        ({"offset": -1}, "8 queries from frame -1 on"),
        ({"scale": float("nan")}, "scale nan: must be above 0"),
        ({"scale": 0.0}, "scale 0.0: must be above 0"),
        (
            {"lengths": torch.tensor([8, 8])},
            r"lengths is torch.int64 \(2,\) .*: must be contiguous torch.int32 \(2,\)",
        ),
        ({"lengths": torch.tensor([8], dtype=torch.int32)}, r"must be contiguous torch.int32 \(2,\)"),
        (
            {"lengths": torch.zeros(2, dtype=torch.int32, device="meta")},
            "lengths is on meta and the rest on cpu",
        ),
    ],
)
def test_what_does_not_fit_is_refused(change: dict[str, Any], message: str) -> None:
    given = {"q": X, "k": X, "v": X, "left": 4, "right": 2} | change
    with pytest.raises(ValueError, match=message):
        local_attention(**given)


def test_no_frames_and_no_rows() -> None:
    assert local_attention(X[:, :, :0], X, X, 4, 2, offset=8).shape == (2, 3, 0, 4)
    assert local_attention(X[:0], X[:0], X[:0], 4, 2).shape == (0, 3, 8, 4)
