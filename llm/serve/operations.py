"""The operations of a pass of a llama-like model: what computes each, on which shape and type."""

from collections.abc import Mapping
from typing import Literal

from llm.decode.served import Operation
from llm.gguf.config import LlamaConfig

Name = Literal["embedding", "qkv", "attention", "out", "gate_up", "down", "head"]


def operations(
    config: LlamaConfig, context: int, rows: int, kernels: Mapping[Name, str], dtypes: Mapping[Name, str]
) -> list[Operation]:
    """One call of each operation, in a pass of up to `rows` rows of sequences of up to `context` tokens."""
    return [
        Operation(name, kernels[name], shape, dtypes[name])
        for name, shape in shapes(config, context, rows).items()
    ]


def shapes(config: LlamaConfig, context: int, rows: int) -> dict[Name, str]:
    """The shape of one call each. A matrix is [out, in], as in the file; q, k and v are one, and gate and up.

    The head may be computed for fewer rows.
    """
    c = config
    r = "1" if rows == 1 else f"<={rows}"
    q, kv = c.heads * c.head_dim, c.kv_heads * c.head_dim

    def product(out: int, into: int) -> str:
        return f"[{r}, {into}] x [{out}, {into}]"

    return {
        "embedding": f"[{r}] of [{c.vocabulary}, {c.width}]",
        "qkv": product(q + 2 * kv, c.width),
        "attention": f"[{r}, {c.heads}, {c.head_dim}] over [<={context}, {c.kv_heads}, {c.head_dim}]",
        "out": product(c.width, q),
        "gate_up": product(2 * c.hidden, c.width),
        "down": product(c.width, c.hidden),
        "head": product(c.vocabulary, c.width),
    }
