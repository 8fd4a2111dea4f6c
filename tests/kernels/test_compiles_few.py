"""The kernels for few rows compile for an H100 without one, and ask for weights before they wait."""

import re
from collections.abc import Callable
from typing import Any, Protocol

import pytest
import torch
from torch import Tensor

from kernels.bench.models import MODELS, sequences, unwritten, weights, with_layers
from kernels.few_attention import keys_at_once
from kernels.llama_gpu import Weights
from kernels.paged_attention import make_scratch
from kernels.quantized import Quantized

triton = pytest.importorskip("triton")
TYPES = {
    torch.float32: "*fp32",
    torch.float16: "*fp16",
    torch.int8: "*i8",
    torch.uint8: "*u8",
    torch.int32: "*i32",
    torch.int64: "*i64",
}


class Recorded:
    """Stands for a kernel: what it is launched with is compiled."""

    def __init__(self, kernel: Any, capability: int) -> None:  # noqa: ANN401
        self._kernel, self._capability, self.ptx = kernel, capability, ""

    def __getitem__(self, grid: tuple[int, ...]) -> Callable[..., None]:
        def launch(*given: object, **options: object) -> None:
            from triton.backends.compiler import GPUTarget  # noqa: PLC0415
            from triton.compiler import ASTSource  # noqa: PLC0415

            names = self._kernel.arg_names
            arguments = dict(zip(names, given, strict=False))
            arguments |= {name: x for name, x in options.items() if name in names}
            types, constants, alike = {}, {}, {}
            for i, name in enumerate(names):
                x = arguments[name]
                if isinstance(x, Tensor):
                    types[name], alike[(i,)] = TYPES[x.dtype], [["tt.divisibility", 16]]
                elif x is None or name in options:
                    types[name], constants[(i,)] = "constexpr", x
                else:
                    types[name] = "fp32" if isinstance(x, float) else "i32"
            source = ASTSource(self._kernel, signature=types, constexprs=constants, attrs=alike)
            wanted = {name: x for name, x in options.items() if name not in names and name != "launch_pdl"}
            self.ptx = triton.compile(
                source, target=GPUTarget("cuda", self._capability, 32), options=wanted
            ).asm["ptx"]

        return launch


class StandIn(Protocol):
    """Puts a `Recorded` in a kernel's place, for compute capability 9.0 or an earlier one."""

    def __call__(self, module: Any, name: str, capability: int = 90) -> Recorded: ...  # noqa: ANN401


@pytest.fixture
def recorded(monkeypatch: pytest.MonkeyPatch) -> StandIn:
    from kernels import few_attention_triton, few_cut_triton  # noqa: PLC0415

    def stand_in(module: Any, name: str, capability: int = 90) -> Recorded:  # noqa: ANN401
        made, there = Recorded(getattr(module, name), capability), capability >= 90
        monkeypatch.setattr(module, name, made)
        for launcher in (few_cut_triton, few_attention_triton):
            monkeypatch.setattr(launcher, "pdl", lambda _: {"PDL": there, "launch_pdl": there})
        return made

    return stand_in


def vector_loads(ptx: str) -> tuple[int, int]:
    """Loads of 16 bytes before the wait for the kernel before, and behind it."""
    before, after = ptx.split("griddepcontrol.wait;")
    assert "griddepcontrol.launch_dependents" in after
    count = [len(re.findall(r"ld\.global[^;]*\.v4\.b32", part)) for part in (before, after)]
    return count[0], count[1]


def matrix_of(name: str, w: Weights) -> Quantized:
    """What a product multiplies with."""
    return {"qkv": w.qkv, "out": w.out, "gate_up": w.gate_up, "down": w.down, "head": w.head}[name]


def warps_of(ptx: str) -> int:
    """Of a program."""
    found = re.search(r"\.reqntid (\d+)", ptx)
    assert found is not None
    return int(found[1]) // 32


@pytest.mark.parametrize("tokens", [1, 64])
@pytest.mark.parametrize("name", ["qkv", "out", "gate_up", "down", "head"])
@pytest.mark.parametrize("model", ["135m", "8b"])
def test_products(model: str, name: str, tokens: int, recorded: StandIn) -> None:
    from kernels import few_qkv_triton  # noqa: PLC0415
    from kernels import few_rows_triton as kernels  # noqa: PLC0415

    device = torch.device("cpu")
    shape = with_layers(MODELS[model], 1)
    # Only as many rows as there must be: a kernel does not look at how many there are.
    small = {"135m": shape, "8b": type(shape)(1, 4096, 2, 1, 128, 64, 64)}[model]
    small = type(shape)(1, small.width, small.heads, small.kv_heads, small.head_dim, small.hidden, 64)
    w = weights(small, device, context=64)
    x, out = unwritten(tokens, small.width, device), torch.zeros(tokens, small.width)
    if name == "qkv":
        kernel = recorded(few_qkv_triton, "_project")
        there = sequences(
            small, "int8" if tokens == 1 else "f16", slots=1, context=8, new=tokens, device=device, room=0
        )
        q = torch.zeros(tokens, small.heads, small.head_dim, dtype=torch.float16)
        few_qkv_triton.launch(q, x, w, 0, there.cache, there.rows)
    elif name == "gate_up":
        kernel = recorded(kernels, "_gate_up")
        kernels.launch_gate_up(unwritten(tokens, small.hidden, device), x, w.gate_up, 0, 1e-5)
    elif name == "head":
        kernel = recorded(kernels, "_head")
        kernels.launch_head(torch.zeros(tokens, small.vocabulary), x, w.head, 1e-5, None, None)
    else:
        kernel = recorded(kernels, "_add")
        matrix = w.out if name == "out" else w.down
        given = unwritten(tokens, matrix.columns, device)
        kernels.launch_add(out, x, given, torch.ones(small.width), matrix, 0)
    before, after = vector_loads(kernel.ptx)
    # Before the wait, codes of the first steps, 16 bytes of two rows each; behind it, four times as many of a token.
    steps = min(4, -(-(matrix_of(name, w).columns // 32) // (4 * warps_of(kernel.ptx))))
    assert before >= 2 * steps
    assert after >= 4 * steps
    # Results meet in shared memory, and are stored: what is loaded and multiplied stays in its thread. Triton
    # chooses layouts by itself, in each version in another way; see packed_triton.py.
    products, end = kernel.ptx.split("mma.sync", 1)[0], kernel.ptx.rsplit("mma.sync", 1)[1]
    assert "shared" not in products.split("{", 1)[1]
    assert end.count("bar.sync") <= 8


@pytest.mark.parametrize("kind", ["f16", "int8"])
@pytest.mark.parametrize("model", ["135m", "8b"])
def test_attention(model: str, kind: str, recorded: StandIn) -> None:
    from kernels import few_attention_triton as kernels  # noqa: PLC0415

    device = torch.device("cpu")
    shape = with_layers(MODELS[model], 1)
    there = sequences(shape, kind, slots=1, context=8, new=2, device=device, room=0)
    q = torch.zeros(2, shape.heads, shape.head_dim, dtype=torch.float16)
    scratch = make_scratch(shape, 2, 512, device, few=(2, 4))
    buffers = (scratch.sums, scratch.peaks, scratch.totals, scratch.counters)
    kernel = recorded(kernels, "_attend")
    out = unwritten(2, shape.heads * shape.head_dim, device)
    kernels.launch(out, q, there.cache, 0, there.rows, 4, keys_at_once(shape.head_dim), buffers)
    before, _ = vector_loads(kernel.ptx)
    assert before >= 8  # keys and values of two tiles, a part of them each thread


def test_before_hopper_nothing_starts_early(recorded: StandIn) -> None:
    from kernels import few_rows_triton as kernels  # noqa: PLC0415

    device = torch.device("cpu")
    w = weights(with_layers(MODELS["135m"], 1), device, context=64)
    kernel = recorded(kernels, "_add", 80)
    x, out = unwritten(1, w.out.columns, device), unwritten(1, w.shape.width, device)
    kernels.launch_add(torch.zeros(1, w.shape.width), out, x, torch.ones(w.shape.width), w.out, 0)
    assert "mma.sync" in kernel.ptx
    assert "griddepcontrol" not in kernel.ptx


@pytest.mark.parametrize("kind", ["f16", "int8"])
def test_queries_keys_and_values_of_a_prompt(kind: str, recorded: StandIn) -> None:
    """They end in the code that those of few rows end in."""
    from kernels import qkv_triton as kernels  # noqa: PLC0415

    device = torch.device("cpu")
    shape = with_layers(MODELS["135m"], 1)
    w = weights(shape, device, context=64)
    there = sequences(shape, kind, slots=1, context=0, new=64, device=device, room=0)
    kernel = recorded(kernels, "_project")
    q = torch.zeros(64, shape.heads, shape.head_dim, dtype=torch.float16)
    kernels.launch(q, torch.zeros(64, shape.width), w, 0, there.cache, there.rows)
    assert "mma.sync" in kernel.ptx or "wgmma" in kernel.ptx
    assert ("st.global.b8" in kernel.ptx or ".s8" in kernel.ptx) == (kind == "int8")
