"""What serves the operations of the GPU engine: Triton's kernels, or plain torch where there is no GPU."""

from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType
from typing import NamedTuple

from kernels.formats import SMALL_BATCH, Weights
from kernels.llama.supported import unsupported_reason
from llm.decode.served import Operation
from llm.gguf.config import LlamaConfig
from llm.serve.operations import Name, shapes


class Form(NamedTuple):
    """Of passes that have the same operations: rows at most, and whether they are of one prompt.

    `ahead`: steps that follow each other on the device.
    """

    rows: int
    prompt: bool
    ahead: bool = False


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

_FEW: Mapping[Name, str] = MappingProxyType(
    {
        "embedding": "embed",
        "qkv": "small_batch.qkv",
        "attention": "small_batch_attention",
        "out": "small_batch.add",
        "gate_up": "small_batch.gate_up",
        "down": "small_batch.add",
        "head": "small_batch.head",
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

    odd = unsupported_reason(weights.shape, weights.head.codes.device) is not None

    def few(form: Form) -> bool:
        return form.rows <= SMALL_BATCH and not form.prompt and not odd

    def kernel(name: Name, form: Form) -> str:
        if not triton and not form.ahead:
            return "torch"
        if form.ahead or few(form):
            return f"Triton, {_FEW[name]}"
        return f"Triton, {_TRITON[name]}"

    def dtype(name: Name, form: Form) -> str:
        activations = "float16" if triton or form.ahead else "float32"
        if name == "embedding":
            return f"{bits[name]} bits"
        if name == "attention":
            return f"{activations} x {'int8' if kv == 'int8' else 'float16'}"
        return f"{activations} x {bits[name]} bits"

    def operations(form: Form) -> Sequence[Operation]:
        return [
            Operation(name, kernel(name, form), shape, dtype(name, form))
            for name, shape in shapes(config, context, form.rows).items()
        ]

    return operations
