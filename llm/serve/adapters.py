"""Which adapter a session has: the one it names, or its model's."""

from typing import Literal

from llm.decode.served import Operation
from llm.lora.adapter import Adapter

Choice = Adapter | Literal["default"] | None
"""default: the one that the model was loaded with, if it was with any. None: the model as it is."""


class AdapterMerged(ValueError):  # noqa: N818  # a condition with a name of its own
    """A session asked for an adapter, or for none, of a model whose weights have another in them, or none."""

    def __init__(self, where: str) -> None:
        super().__init__(
            f"{where} has an adapter for all sessions, in its weights: load the model with another"
        )
        self.where = where


def chosen(choice: Choice, default: Adapter | None, *, merged: str | None = None) -> Adapter | None:
    """The adapter of a session; raises AdapterMerged.

    `merged` names an engine which has `default` in its weights.
    """
    adapter = default if choice == "default" else choice
    if merged is not None and adapter is not default:
        raise AdapterMerged(merged)
    return adapter


def operation_of(adapter: Adapter) -> Operation:
    """The adapter as something that served a pass: its digest, and what it adds to."""
    ranks = sorted({len(pair.a) for pair in adapter.pairs.values()})
    shape = f"rank {' and '.join(map(str, ranks))}, {len(adapter.pairs)} matrices"
    return Operation("adapter", f"LoRA, sha256 {adapter.sha256}", shape, "float32")
