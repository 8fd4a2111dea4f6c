"""What serves the operations of the GPU engine: Triton's kernels, or plain torch where there is no GPU."""

from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType
from typing import NamedTuple

from kernels.llama_gpu import Weights
from llm.config import LlamaConfig
from llm.operations import Name, shapes
from llm.served import Operation


class Form(NamedTuple):
    """Of passes that have the same operations: rows at most, and whether they are of one prompt."""

    rows: int
    prompt: bool


_TRITON: Mapping[Name, str] = MappingProxyType(
    {
        "embedding": "embed",
        "qkv": "qkv",
        "attention": "paged_attention",
        "out": "linear",
        "gate_up": "norm_gate_up",
        "down": "linear",
        "head": "head",
    }
)


def describe(
    weights: Weights, config: LlamaConfig, *, context: int, kv: str, triton: bool
) -> Callable[[Form], Sequence[Operation]]:
    """A function from a pass's form to its operations."""
    bits = {
        "embedding": weights.embedding.bits,
        "qkv": weights.qkv.bits,
        "out": weights.out.bits,
        "gate_up": weights.gate_up.bits,
        "down": weights.down.bits,
        "head": weights.head.bits,
    }
    activations = "float16" if triton else "float32"

    def kernel(name: Name, form: Form) -> str:
        if not triton:
            return "torch"
        return f"Triton, {'prompt_attention' if name == 'attention' and form.prompt else _TRITON[name]}"

    def dtype(name: Name) -> str:
        if name == "embedding":
            return f"{bits[name]} bits"
        if name == "attention":
            return f"{activations} x {'int8' if kv == 'int8' else 'float16'}"
        return f"{activations} x {bits[name]} bits"

    def operations(form: Form) -> Sequence[Operation]:
        return [
            Operation(name, kernel(name, form), shape, dtype(name))
            for name, shape in shapes(config, context, form.rows).items()
        ]

    return operations
