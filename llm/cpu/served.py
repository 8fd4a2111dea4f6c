"""What serves the operations of the CPU engine: the compiled kernel, or nodes of an ONNX Runtime graph."""

from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType

from kernels.cpu import instructions
from llm.cpu.weights import packing_of
from llm.decode.served import Operation
from llm.gguf.blocks import bits_of
from llm.gguf.config import LlamaConfig
from llm.gguf.file import GgufFile
from llm.serve.kv_type import Kernel, KvType
from llm.serve.operations import Name, operations

_TENSORS: Mapping[Name, Sequence[str]] = MappingProxyType(  # of a layer
    {
        "qkv": ("attn_q", "attn_k", "attn_v"),
        "out": ("attn_output",),
        "gate_up": ("ffn_gate", "ffn_up"),
        "down": ("ffn_down",),
    }
)


def describe(
    gguf: GgufFile, config: LlamaConfig, *, context: int, kernel: Kernel, kv: KvType, dense: bool
) -> Callable[[int], Sequence[Operation]]:
    """A function from the rows of a pass to its operations. `dense`: weights are float32."""
    names: tuple[Name, ...] = ("embedding", *_TENSORS, "head")
    weights = dict.fromkeys(names, "float32") if dense else _bits(gguf, config, kernel)
    activations = "float32" if dense else "int8"
    dtypes = {name: f"{activations} x {held}" for name, held in weights.items()}
    dtypes["embedding"] = weights["embedding"]
    dtypes["attention"] = f"float32 x {'int8' if kv == 'int8' else 'float32'}"
    if kernel == "compiled":
        kernels = dict.fromkeys(dtypes, f"compiled, {instructions()}")
    else:
        kernels = dict.fromkeys(dtypes, f"ONNX Runtime, {'MatMul' if dense else 'MatMulNBits'}")
        kernels["embedding"] = f"ONNX Runtime, {'Gather' if dense else 'GatherBlockQuantized'}"
        kernels["attention"] = "ONNX Runtime, GroupQueryAttention"
    return lambda rows: operations(config, context, rows, kernels, dtypes)


def _bits(gguf: GgufFile, config: LlamaConfig, kernel: Kernel) -> dict[Name, str]:
    """Bits of the weights of each product; those of the layers may differ."""
    head = "output" if "output.weight" in gguf.tensors else "token_embd"
    groups: dict[Name, list[list[str]]] = {"embedding": [["token_embd"]], "head": [[head]]}
    for name, parts in _TENSORS.items():
        groups[name] = [[f"blk.{i}.{part}" for part in parts] for i in range(config.layers)]

    def held(group: Sequence[str]) -> set[int]:
        types = [gguf.tensors[f"{name}.weight"].type for name in group]
        return {packing_of(types).bits} if kernel == "onnxruntime" else set(map(bits_of, types))

    found = {name: set[int]().union(*map(held, several)) for name, several in groups.items()}
    return {name: f"{' and '.join(map(str, sorted(bits)))} bits" for name, bits in found.items()}
