"""The small-batch kernels compile for an H100 without one, and ask for weights before they wait.

Triton chooses layouts by itself, in each version in another way, and a product is wrong in any but one (see
`fragments_triton.py`): so that is looked at, and that nothing a thread multiplies goes through shared memory.
"""

import contextlib
import re
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import replace
from itertools import product
from threading import Lock
from typing import Any

import pytest
import torch
from torch import Tensor

from kernels.attention.small_batch import fewest_tiles, keys_at_once, make_scratch
from kernels.bench.models import MODELS, matrices, sequences, unwritten, weights, with_layers
from kernels.formats.quantized import Quantized

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
    """Stands for a kernel: what it is launched with is compiled, in another thread."""

    def __init__(self, kernel: Any, capability: int, compilers: ThreadPoolExecutor) -> None:  # noqa: ANN401
        self._kernel, self._capability, self._compilers = kernel, capability, compilers
        self._made: Future[Any] | None = None
        self.constants: dict[str, Any] = {}  # what it was compiled for, by name

    def __getitem__(self, grid: tuple[int, ...]) -> Callable[..., None]:
        def launch(*given: object, **options: object) -> None:
            from triton.backends.compiler import GPUTarget  # noqa: PLC0415
            from triton.compiler import ASTSource  # noqa: PLC0415

            names = self._kernel.arg_names
            arguments = dict(zip(names, given, strict=False))
            arguments |= {name: x for name, x in options.items() if name in names}
            self.constants = options
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
            target = GPUTarget("cuda", self._capability, 32)
            self._made = self._compilers.submit(triton.compile, source, target=target, options=wanted)

        return launch

    @property
    def launched(self) -> bool:
        return self._made is not None

    @property
    def ptx(self) -> str:
        return self._code("ptx")

    @property
    def ttgir(self) -> str:
        return self._code("ttgir")

    def _code(self, kind: str) -> str:
        assert self._made is not None
        code = self._made.result().asm[kind]
        assert isinstance(code, str)
        return code


@pytest.fixture(scope="module")
def compilers() -> Iterator[ThreadPoolExecutor]:
    """Two at a time: Triton lets go of Python's lock for three quarters of the time that it compiles.

    But one at a time is parsed: Python 3.11 counts how deep a tree is for all threads together.
    """
    from triton.runtime.jit import JITFunction  # noqa: PLC0415

    parse, parsing = JITFunction.parse, Lock()

    def alone(kernel: Any) -> Any:  # noqa: ANN401
        with parsing:
            return parse(kernel)

    with pytest.MonkeyPatch.context() as patch, ThreadPoolExecutor(2) as pool:
        patch.setattr(JITFunction, "parse", alone)
        yield pool


@contextlib.contextmanager
def recorded(
    compilers: ThreadPoolExecutor,
    module: Any,  # noqa: ANN401
    *names: str,
    capability: int = 90,
) -> Iterator[list[Recorded]]:
    """In the kernels' places, for compute capability 9.0 or an earlier one."""
    from kernels.attention import small_batch_triton as small_batch_attention_triton  # noqa: PLC0415
    from kernels.products import small_batch_tiles  # noqa: PLC0415

    there = capability >= 90
    with pytest.MonkeyPatch.context() as patch:
        for launcher in (small_batch_tiles, small_batch_attention_triton):
            patch.setattr(launcher, "pdl", lambda _: {"PDL": there, "launch_pdl": there})
        made = [Recorded(getattr(module, name), capability, compilers) for name in names]
        for name, kernel in zip(names, made, strict=True):
            patch.setattr(module, name, kernel)
        yield made


def chosen(request: pytest.FixtureRequest, test: str) -> list[tuple[Any, ...]]:
    """The cases that a test of this file is to run with: all are compiled before it looks at the first."""
    items = [item for item in request.session.items if isinstance(item, pytest.Function)]
    return [tuple(x.callspec.params.values()) for x in items if x.originalname == test]


def loads(ptx: str, kind: str = r"v4\.b32") -> tuple[int, int]:
    """Loads, by default of 16 bytes, before the wait for the kernel before, and behind it."""
    before, after = ptx.split("griddepcontrol.wait;")
    assert "griddepcontrol.launch_dependents" in after
    count = [len(re.findall(rf"ld\.global\S*\.{kind}", part)) for part in (before, after)]
    return count[0], count[1]


def misplaced(ttgir: str, warp: int) -> list[str]:
    """Layouts of what is multiplied, or is the result, that are not as the kernels' assembly takes them.

    Four words of each thread, the lanes along the dimension of 32, and the warps along dimension `warp`.
    """
    layouts = dict(re.findall(r"^(#\w+) = (.*)$", ttgir, re.MULTILINE))
    used = {
        one
        for line in ttgir.splitlines()
        if "elementwise_inline_asm" in line and "mma.sync" in line
        for one in re.findall(r"tensor<([\dx]+)x[fi]32, (#\w+)>", line)
    }
    assert used
    wrong = []
    for size, name in used:
        shape = [int(n) for n in size.split("x")]
        last = len(shape) - 1
        meant = {
            "sizePerThread": [1] * last + [4],
            "threadsPerWarp": [n if n == 32 else 1 for n in shape],
            "warpsPerCTA": [n if i == warp else 1 for i, n in enumerate(shape)],
        }
        wanted = [f"{key} = {value}" for key, value in meant.items()]
        if not all(part in layouts[name] for part in [*wanted, f"order = [{last}, "]):
            wrong.append(f"{size}: {layouts[name]}")
    return wrong


def parts(ptx: str) -> tuple[list[str], str]:
    """Lines that use shared memory up to the last product, or the end of its loop, and what is behind."""
    lines = ptx.split("{", 1)[1].splitlines()
    end = max(i for i, line in enumerate(lines) if "mma.sync" in line)
    labels = {line.split(":")[0] for line in lines[:end] if re.match(r"\$L__BB\w+:", line)}
    for i, line in enumerate(lines[end:], end):
        jump = re.search(r"\bbra(?:\.uni)?\s+(\$\w+);", line)
        if jump and jump[1] in labels:
            end = i
    where, found = "", []
    for line in lines[: end + 1]:
        where = line if ".loc" in line else where  # which line of which file what follows is from
        if re.search(r"\.shared|bar\.sync|matrix", line):
            found.append(f"{line.strip()} {where.strip()}")
    return found, "\n".join(lines[end + 1 :])


# One step of columns, or four. The last: 14 steps, in a loop; many rows a program; and 8 bits.
PRODUCTS = [
    *product(("135m",), ("qkv", "out", "gate_up", "down", "head"), (1,)),
    *product(("8b",), ("qkv", "out", "gate_up", "head"), (64,)),
    *product(("8b",), ("long", "norms of heads"), (1, 64)),
    ("8b", "8 bits", 1),
]


@pytest.fixture(scope="module")
def products(
    request: pytest.FixtureRequest, compilers: ThreadPoolExecutor
) -> dict[tuple[str, str, int], tuple[Recorded, Quantized]]:
    return {case: launch_product(compilers, *case) for case in chosen(request, "test_products")}


def launch_product(
    compilers: ThreadPoolExecutor, model: str, name: str, tokens: int
) -> tuple[Recorded, Quantized]:
    from kernels.products import small_batch_qkv_triton  # noqa: PLC0415
    from kernels.products import small_batch_triton as kernels  # noqa: PLC0415

    device = torch.device("cpu")
    shape = with_layers(MODELS[model], 1)
    # Only as many rows as there must be: a kernel does not look at how many there are.
    small = {"135m": shape, "8b": type(shape)(1, 4096, 2, 1, 128, 64, 64)}[model]
    small = replace(small, vocabulary=64)
    w = weights(small, device, context=64)
    x = unwritten(tokens, small.width, device)
    if name in ("qkv", "norms of heads"):
        if name == "norms of heads":
            w = replace(w, q_norm=torch.ones(1, small.head_dim), k_norm=torch.ones(1, small.head_dim))
        kind = "int8" if tokens == 1 else "f16"
        there = sequences(small, kind, slots=1, context=8, new=tokens, device=device, room=0)
        q = torch.zeros(tokens, small.heads, small.head_dim, dtype=torch.float16)
        with recorded(compilers, small_batch_qkv_triton, "_project") as (kernel,):
            small_batch_qkv_triton.launch(q, x, w, 0, there.cache, there.rows)
        return kernel, w.qkv
    if name in ("gate_up", "8 bits"):
        matrix = w.gate_up if name == "gate_up" else matrices(1, 2 * small.hidden, small.width, 8, device)
        with recorded(compilers, kernels, "_gate_up") as (kernel,):
            kernels.launch_gate_up(unwritten(tokens, small.hidden, device), x, matrix, 0, 1e-5)
        return kernel, matrix
    if name == "head":
        with recorded(compilers, kernels, "_head") as (kernel,):
            kernels.launch_head(torch.zeros(tokens, small.vocabulary), x, w.head, 1e-5, None, None)
        return kernel, w.head
    matrix = {"out": w.out, "down": w.down, "long": matrices(1, 64, 14336, 4, device)}[name]
    given, out = (unwritten(tokens, n, device) for n in (matrix.columns, matrix.rows))
    stream, norm = torch.zeros(tokens, matrix.rows), torch.ones(matrix.rows)
    with recorded(compilers, kernels, "_add") as (kernel,):
        kernels.launch_add(stream, out, given, norm, matrix, 0)
    return kernel, matrix


@pytest.mark.parametrize(("model", "name", "tokens"), PRODUCTS)
def test_products(
    model: str,
    name: str,
    tokens: int,
    products: dict[tuple[str, str, int], tuple[Recorded, Quantized]],
) -> None:
    from kernels.formats import fragments_triton  # noqa: PLC0415

    kernel, matrix = products[model, name, tokens]
    before, after = loads(kernel.ptx)
    # Before the wait the first steps' codes, 16 bytes of two rows of each 16, of 8 bits twice as many; behind
    # it, four times 16 bytes of each token.
    tile, warps = kernel.constants["TILE"], kernel.constants["WARPS"]
    steps = min(4 if tile // 8 * (matrix.bits + 1) <= 20 else 2, -(-(matrix.columns // 32) // (4 * warps)))
    assert before >= 2 * steps * matrix.bits // 4 * tile // 16
    assert after >= 4 * steps
    assert "dp4a" not in kernel.ptx
    assert misplaced(kernel.ttgir, fragments_triton.WARP.value) == []
    # Only results meet in shared memory, and what they are added to or turned by, of many a thread.
    shared, end = parts(kernel.ptx)
    if name == "norms of heads" or (tokens > 1 and name in ("out", "down", "long")):
        shared = [line for line in shared if "// fragments_triton" in line]
    assert shared == []
    assert end.count("bar.sync") <= (24 if name == "norms of heads" else 10)


# All but the last with one step of keys: that takes 2 seconds to compile, and not 10.
ATTENTION = [
    ("tiny", "f16", 1, 64),
    ("135m", "f16", 1, 64),
    ("135m", "int8", 3, 64),
    ("8b", "f16", 3, 64),
    ("8b", "int8", 1, 64),
    ("tiny", "int8", 3, keys_at_once(32)),
]


@pytest.fixture(scope="module")
def attention(
    request: pytest.FixtureRequest, compilers: ThreadPoolExecutor
) -> dict[tuple[str, str, int, int], list[Recorded]]:
    return {case: launch_attention(compilers, *case) for case in chosen(request, "test_attention")}


def launch_attention(
    compilers: ThreadPoolExecutor, model: str, kind: str, splits: int, keys: int
) -> list[Recorded]:
    from kernels.attention import small_batch_triton as kernels  # noqa: PLC0415

    device = torch.device("cpu")
    shape = with_layers(MODELS[model], 1)
    d = shape.head_dim
    there = sequences(shape, kind, slots=1, context=8, new=2, device=device, room=0)
    q = torch.zeros(2, shape.heads, d, dtype=torch.float16)
    scratch = make_scratch(shape, 2, splits, device)
    buffers = (scratch.sums, scratch.peaks, scratch.totals)
    out = unwritten(2, shape.heads * d, device)
    with recorded(compilers, kernels, "_attend", "_combine") as made:
        kernels.launch(out, q, there.cache, 0, there.rows, splits, keys, fewest_tiles(d), buffers)
    return made


@pytest.mark.parametrize(("model", "kind", "splits", "keys"), ATTENTION)
def test_attention(
    model: str,
    kind: str,
    splits: int,
    keys: int,
    attention: dict[tuple[str, str, int, int], list[Recorded]],
) -> None:
    from kernels.attention import small_batch_triton as kernels  # noqa: PLC0415
    from kernels.formats import fragments_triton  # noqa: PLC0415

    attend, combine = attention[model, kind, splits, keys]
    d = MODELS[model].head_dim
    # A thread has eight channels of two keys, of each 32, and of four values, of each 64. It asks for what
    # is old before the wait, and behind it for what is new, and queries; then in a loop for later tiles.
    tile = keys // (16 * kernels.WARPS) * (2 * d // 32 + 4 * max(1, d // 64))
    queries = d // 32
    if kind == "f16":
        assert loads(attend.ptx) == (tile, queries + 2 * tile)
    else:
        assert loads(attend.ptx) == (0, queries)
        assert loads(attend.ptx, r"b64 ") == (tile, 2 * tile)
    assert misplaced(attend.ttgir, 0 if fragments_triton.DESCENDING else 1) == []
    shared, end = parts(attend.ptx)
    assert shared == []
    assert end.count("bar.sync") <= 20
    assert combine.launched == (splits > 1)
    if splits > 1:
        assert loads(combine.ptx, "b32")[0] == 1  # of a position: all else is what the kernel before finds
        assert combine.ptx.count("bar.sync") <= 6


def test_before_hopper_nothing_starts_early(compilers: ThreadPoolExecutor) -> None:
    from kernels.products import small_batch_triton as kernels  # noqa: PLC0415

    device = torch.device("cpu")
    w = weights(with_layers(MODELS["135m"], 1), device, context=64)
    x, out = unwritten(1, w.out.columns, device), unwritten(1, w.shape.width, device)
    with recorded(compilers, kernels, "_add", capability=80) as (kernel,):
        kernels.launch_add(torch.zeros(1, w.shape.width), out, x, torch.ones(w.shape.width), w.out, 0)
    assert "mma.sync" in kernel.ptx
    assert "griddepcontrol" not in kernel.ptx


@pytest.mark.parametrize("kind", ["f16", "int8"])
def test_queries_keys_and_values_of_a_prompt(kind: str, compilers: ThreadPoolExecutor) -> None:
    """They end in the code that those of a small batch end in."""
    from kernels.products import qkv_triton as kernels  # noqa: PLC0415

    device = torch.device("cpu")
    shape = with_layers(MODELS["135m"], 1)
    w = weights(shape, device, context=64)
    there = sequences(shape, kind, slots=1, context=0, new=64, device=device, room=0)
    q = torch.zeros(64, shape.heads, shape.head_dim, dtype=torch.float16)
    with recorded(compilers, kernels, "_project") as (kernel,):
        kernels.launch(q, torch.zeros(64, shape.width), w, 0, there.cache, there.rows)
    assert "mma.sync" in kernel.ptx or "wgmma" in kernel.ptx
    assert ("st.global.b8" in kernel.ptx or ".s8" in kernel.ptx) == (kind == "int8")
