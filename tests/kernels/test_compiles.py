"""The persistent kernel compiles for an H100 on a machine without one: Triton's interpreter accepts more."""

from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor

from kernels import llama_persistent
from kernels.bench.models import MODELS, weights
from kernels.llama_gpu import Weights, empty_cache
from kernels.llama_persistent import PersistentDecoder
from kernels.persistent_arguments import Sizes

pytest.importorskip("triton")
TYPES = {
    torch.float32: "fp32",
    torch.float16: "fp16",
    torch.int8: "i8",
    torch.int32: "i32",
    torch.int64: "i64",
}
Path = tuple[int, ...]


def signature(x: Any, at: Path, constants: dict[Path, Any], alike: dict[Path, Any]) -> Any:  # noqa: ANN401
    """Triton's name of an argument's type, of a tuple's parts in a tuple; `at`: their places in the tuples.

    Fills in constants, and which pointers are multiples of 16: all, as torch's are.
    """
    if isinstance(x, tuple):
        parts = [signature(part, (*at, i), constants, alike) for i, part in enumerate(x)]
        return type(x)(*parts) if hasattr(x, "_fields") else tuple(parts)
    if x is None or isinstance(x, Sizes):
        constants[at] = x
        return "constexpr"
    if isinstance(x, Tensor):
        alike[at] = [["tt.divisibility", 16]]
        return f"*{TYPES[x.dtype]}"
    return "i32"


def compiled(arguments: tuple[Any, ...]) -> str:
    """The kernel's PTX for compute capability 9.0."""
    import triton  # noqa: PLC0415
    from triton.backends.compiler import GPUTarget  # noqa: PLC0415
    from triton.compiler import ASTSource  # noqa: PLC0415

    from kernels.llama_persistent_triton import decode  # noqa: PLC0415

    constants: dict[Path, Any] = {}
    alike: dict[Path, Any] = {}
    types = signature(arguments, (), constants, alike)
    names = dict(zip(decode.arg_names, types, strict=True))
    source = ASTSource(decode, signature=names, constexprs=constants, attrs=alike)
    options = {"num_warps": 8, "launch_cooperative_grid": True}
    ptx: str = triton.compile(source, target=GPUTarget("cuda", 90, 32), options=options).asm["ptx"]
    return ptx


def without_minima(w: Weights) -> Weights:
    """As in Q4_0."""
    layers = ("qkv", "out", "gate_up", "down")
    return replace(w, **{name: replace(getattr(w, name), minima=None) for name in layers})


@pytest.mark.parametrize("kind", ["int8", "f16", "Q4_0"])
def test_for_the_default_model(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(llama_persistent, "why_not", lambda *_: None)
    # Of the vocabulary only a part is made here; the kernel does not look at how large it is.
    shape = replace(MODELS["135m"], layers=2, vocabulary=4096)
    device = torch.device("cpu")
    scales = torch.ones(2, 2, shape.kv_heads, shape.head_dim) if kind == "int8" else None
    cache = empty_cache(shape, slots=1, context=64, pages=2, device=device, scales=scales)
    w = weights(shape, device, context=64)
    decoder = PersistentDecoder(without_minima(w) if kind == "Q4_0" else w, cache, programs=128)
    tokens = torch.zeros(4, dtype=torch.int32)
    logits = torch.zeros(4, shape.vocabulary) if kind == "Q4_0" else None
    seen = None if kind == "Q4_0" else torch.zeros(shape.vocabulary, dtype=torch.int8)
    ptx = compiled(decoder.arguments(tokens, logits, seen))
    assert "dp4a.u32.s32" in ptx
    assert "cp.async.bulk.prefetch.L2" in ptx
    # Each wait is there once: the input of q, k and v, of attention, of gate and up, of down, of the head,
    # and the choice. Triton repeats what it takes to be cheap; a wait is a way through the L2 cache.
    assert ptx.count("again:") == 6
