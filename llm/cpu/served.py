"""What serves the operations of the CPU engine: the compiled kernel, or nodes of an ONNX Runtime graph."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from types import MappingProxyType

from kernels.cpu import instructions
from llm.cpu.weights import packing_of
from llm.decode.served import Operation
from llm.gguf.blocks import bits_of
from llm.gguf.config import LlamaConfig
from llm.gguf.file import GgufFile
from llm.serve.kv_type import Kernel, KvType
from llm.serve.operations import Name, shapes

_NODES: Mapping[Name, tuple[str, str]] = MappingProxyType(  # with quantized weights, and with float32 ones
    {
        "embedding": ("GatherBlockQuantized", "Gather"),
        "attention": ("GroupQueryAttention", "GroupQueryAttention"),
    }
)


def describe(
    gguf: GgufFile, config: LlamaConfig, *, context: int, kernel: Kernel, kv: KvType, dense: bool
) -> Callable[[int], Sequence[Operation]]:
    """A function from the rows of a pass to its operations. `dense`: weights are float32."""
    bits = {} if dense else _bits(gguf, config, kernel)

    def dtype(name: Name) -> str:
        if name == "attention":
            return f"float32 x {'int8' if kv == 'int8' else 'float32'}"
        if name == "embedding":
            return "float32" if dense else bits[name]
        return "float32 x float32" if dense else f"int8 x {bits[name]}"

    def operations(rows: int) -> Sequence[Operation]:
        return [
            Operation(name, _kernel(name, kernel, dense=dense), shape, dtype(name))
            for name, shape in shapes(config, context, rows).items()
        ]

    return operations


def _kernel(name: Name, kernel: Kernel, *, dense: bool) -> str:
    if kernel == "compiled":
        return f"compiled, {instructions()}"
    return f"ONNX Runtime, {_NODES.get(name, ('MatMulNBits', 'MatMul'))[dense]}"


def _bits(gguf: GgufFile, config: LlamaConfig, kernel: Kernel) -> dict[Name, str]:
    """Of the weights of each product; those of the layers may differ."""
    head = "output" if "output.weight" in gguf.tensors else "token_embd"
    of_layer: dict[Name, Sequence[str]] = {
        "qkv": ("attn_q", "attn_k", "attn_v"),
        "out": ("attn_output",),
        "gate_up": ("ffn_gate", "ffn_up"),
        "down": ("ffn_down",),
    }

    def held(names: Iterable[str]) -> set[int]:
        types = [gguf.tensors[f"{name}.weight"].type for name in names]
        return {packing_of(types).bits} if kernel == "onnxruntime" else set(map(bits_of, types))

    sets: dict[Name, set[int]] = {"embedding": held(["token_embd"]), "head": held([head])}
    for name, parts in of_layer.items():
        layers = [held(f"blk.{i}.{part}" for part in parts) for i in range(config.layers)]
        sets[name] = set().union(*layers)
    return {name: f"{' and '.join(map(str, sorted(found)))} bits" for name, found in sets.items()}
