"""The persistent kernel compiles for an H100 on a machine without one: Triton's interpreter accepts more."""

from dataclasses import replace
from typing import Any

import pytest
import torch

from kernels import llama_persistent
from kernels.bench.models import MODELS, weights
from kernels.llama_gpu import empty_cache
from kernels.llama_persistent import PersistentDecoder

pytest.importorskip("triton")
TYPES = {
    torch.float32: "fp32",
    torch.float16: "fp16",
    torch.int8: "i8",
    torch.int32: "i32",
    torch.int64: "i64",
}


def compiled(decoder: PersistentDecoder, arguments: list[Any]) -> str:
    """The kernel's PTX for compute capability 9.0; pointers are multiples of 16, as torch's are."""
    import triton  # noqa: PLC0415
    from triton.backends.compiler import GPUTarget  # noqa: PLC0415
    from triton.compiler import ASTSource  # noqa: PLC0415

    from kernels.llama_persistent_triton import decode  # noqa: PLC0415

    constants = decoder.constants | {"INTERPRET": False}
    names = decode.arg_names
    signature = dict.fromkeys(names, "constexpr")
    values: dict[Any, Any] = {(names.index(name),): value for name, value in constants.items()}
    alike: dict[Any, Any] = {}
    for i, (name, x) in enumerate(zip(names, arguments, strict=False)):
        if x is None:
            values[(i,)] = None
        elif isinstance(x, int):
            signature[name] = "i32"
        else:
            signature[name] = f"*{TYPES[x.dtype]}"
            alike[(i,)] = [["tt.divisibility", 16]]
    source = ASTSource(decode, signature=signature, constexprs=values, attrs=alike)
    options = {"num_warps": 8, "launch_cooperative_grid": True}
    ptx: str = triton.compile(source, target=GPUTarget("cuda", 90, 32), options=options).asm["ptx"]
    return ptx


@pytest.mark.parametrize("kind", ["int8", "f16"])
def test_for_the_default_model(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(llama_persistent, "why_not", lambda *_: None)
    # Of the vocabulary only a part is made here; the kernel does not look at how large it is.
    shape = replace(MODELS["135m"], layers=2, vocabulary=4096)
    device = torch.device("cpu")
    scales = torch.ones(2, 2, shape.kv_heads, shape.head_dim) if kind == "int8" else None
    cache = empty_cache(shape, slots=1, context=64, pages=2, device=device, scales=scales)
    decoder = PersistentDecoder(weights(shape, device, context=64), cache, programs=128)
    tokens = torch.zeros(4, dtype=torch.int32)
    seen = torch.zeros(shape.vocabulary, dtype=torch.int8)
    ptx = compiled(decoder, decoder.arguments(tokens, None, seen))
    assert "dp4a.u32.s32" in ptx
    assert "cp.async.bulk.prefetch.L2" in ptx
    # Each wait is there once: the input of q, k and v, of attention, of gate and up, of down, of the head,
    # and the choice. Triton repeats what it takes to be cheap; a wait is a way through the L2 cache.
    assert ptx.count("again:") == 6
