"""What serves the operations of the GPU engine: Triton's kernels, or plain torch where there is no GPU."""

from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType
from typing import NamedTuple

from kernels.formats import SMALL_BATCH, Weights
from kernels.llama.supported import unsupported_reason
from llm.decode.served import Operation
from llm.gguf.config import LlamaConfig
from llm.serve.operations import Name, operations


class Form(NamedTuple):
    """What passes that have the same operations have in common: their most rows, and whether it is a prompt.

    `ahead`: steps that follow each other on the device.
    """

    rows: int
    prompt: bool
    ahead: bool = False


_KERNELS: Mapping[Name, tuple[str, str]] = MappingProxyType(  # for few rows, and for more
    {
        "embedding": ("embed", "embed"),
        "qkv": ("small_batch.qkv", "qkv"),
        "attention": ("small_batch_attention", "paged_attention"),
        "out": ("small_batch.add", "linear"),
        "gate_up": ("small_batch.gate_up", "norm_gate_up"),
        "down": ("small_batch.add", "linear"),
        "head": ("small_batch.head", "head"),
    }
)


def describe(
    weights: Weights, config: LlamaConfig, *, context: int, kv: str, triton: bool
) -> Callable[[Form], Sequence[Operation]]:
    """A function from a pass's form to its operations."""
    w = weights
    bits: dict[Name, int] = {
        "qkv": w.qkv.bits,
        "out": w.out.bits,
        "gate_up": w.gate_up.bits,
        "down": w.down.bits,
        "head": w.head.bits,
    }
    takes_few = unsupported_reason(w.shape, w.head.codes.device) is None

    def of_form(form: Form) -> Sequence[Operation]:
        few = form.ahead or (form.rows <= SMALL_BATCH and not form.prompt and takes_few)
        on_triton = triton or form.ahead
        kernels = {name: f"Triton, {few_many[not few]}" for name, few_many in _KERNELS.items()}
        if form.prompt:
            kernels["attention"] = "Triton, prompt_attention"
        if not on_triton:
            kernels = dict.fromkeys(_KERNELS, "torch")
        activations = "float16" if on_triton else "float32"
        dtypes = {name: f"{activations} x {held} bits" for name, held in bits.items()}
        dtypes["embedding"] = f"{w.embedding.bits} bits"
        dtypes["attention"] = f"{activations} x {'int8' if kv == 'int8' else 'float16'}"
        return operations(config, context, form.rows, kernels, dtypes)

    return of_form
