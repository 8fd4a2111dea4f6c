"""Keys and values on a CPU: buffers of several sequences, and a store of prefixes that were read before."""

import hashlib
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass
from threading import Lock
from typing import Any

import numpy as np
from numpy.typing import NDArray

from llm.gguf.config import LlamaConfig

Kv = NDArray[Any]  # float32 or int8

BLOCK = 32
"""Tokens of a stored prefix that are kept or dropped together."""


@dataclass(frozen=True)
class KvLayout:
    """What keys and values look like; `scales` [layers, 2, kv heads, 1, head dim] if they are int8."""

    config: LlamaConfig
    scales: NDArray[np.float32] | None

    @property
    def dtype(self) -> np.dtype[Any]:
        """The type of an element."""
        return np.dtype(np.float32 if self.scales is None else np.int8)

    @property
    def token_bytes(self) -> int:
        """Keys and values of one token in all layers."""
        c = self.config
        return c.layers * 2 * c.kv_heads * c.head_dim * self.dtype.itemsize


class KvSlots:
    """Buffers for `slots` sequences of up to `capacity` tokens. Memory is taken as it is first written to."""

    def __init__(self, layout: KvLayout, slots: int, capacity: int) -> None:
        c = layout.config
        shape = (slots, c.kv_heads, capacity, c.head_dim)
        self.layout, self.slots, self.capacity = layout, slots, capacity
        self.layers: list[tuple[Kv, Kv]] = [
            (np.zeros(shape, layout.dtype), np.zeros(shape, layout.dtype)) for _ in range(c.layers)
        ]

    def read(self, slot: int, start: int, stop: int) -> Kv:
        """A copy of tokens start to stop, [layers, 2, kv heads, tokens, head dim]."""
        return np.stack([np.stack([part[slot, :, start:stop] for part in layer]) for layer in self.layers])

    def write(self, slot: int, start: int, kv: Kv) -> None:
        """Put back what `read` gave, to the same position."""
        stop = start + kv.shape[3]
        for layer, held in zip(self.layers, kv, strict=True):
            for part, tokens in zip(layer, held, strict=True):
                part[slot, :, start:stop] = tokens

    def shift(self, slot: int, start: int, stop: int, length: int, frequencies: NDArray[np.float64]) -> None:
        """Take tokens start to stop out of `length`; the keys behind them turn back by as many positions.

        `frequencies` [head dim / 2] are radians a position.
        """
        moved = length - stop
        angles = (start - stop) * frequencies
        for i, (keys, values) in enumerate(self.layers):
            scale = None if self.layout.scales is None else self.layout.scales[i, 0]
            behind = keys[slot, :, stop:length]
            turned = _turn(behind if scale is None else behind * scale, angles, self.layout.config.rotary)
            if scale is not None:
                turned = np.clip(np.rint(turned / scale), -128, 127)
            keys[slot, :, start : start + moved] = turned
            values[slot, :, start : start + moved] = values[slot, :, stop:length].copy()


def _turn(keys: Kv, angles: NDArray[np.float64], rotary: str) -> Kv:
    """Rotary embedding of keys [kv heads, tokens, head dim] by the same angles [head dim / 2] each."""
    cos, sin = np.cos(angles).astype(np.float32), np.sin(angles).astype(np.float32)
    half = keys.shape[-1] // 2
    first, second = (
        (slice(0, None, 2), slice(1, None, 2))
        if rotary == "interleaved"
        else (slice(half), slice(half, None))
    )
    out = np.empty(keys.shape, np.float32)
    out[..., first] = keys[..., first] * cos - keys[..., second] * sin
    out[..., second] = keys[..., second] * cos + keys[..., first] * sin
    return out


class BudgetTooSmall(ValueError):  # noqa: N818  # a condition with a name of its own
    """A byte budget in which not even the smallest piece fits."""

    def __init__(self, budget: int, needed: int, what: str) -> None:
        super().__init__(f"{budget} bytes are too few for {what}, which takes {needed}")
        self.budget, self.needed = budget, needed


class PrefixStore:
    """Keys and values of token prefixes in blocks of `BLOCK`, the least recently used dropped first.

    A block's name is a digest of the adapter and of all tokens up to its end, so that sequences with a common
    beginning share it. May be used from several threads. A budget of 0 bytes stores nothing; one that is
    smaller than a block raises BudgetTooSmall.
    """

    def __init__(self, budget: int, block_bytes: int) -> None:
        if 0 < budget < block_bytes:
            raise BudgetTooSmall(budget, block_bytes, f"a prefix of {BLOCK} tokens")
        self.budget = budget
        self.used = 0
        self._most = budget // block_bytes  # blocks
        self._blocks: OrderedDict[bytes, Kv] = OrderedDict()
        self._lock = Lock()

    def match(self, tokens: Sequence[int], adapter: str = "") -> list[Kv]:
        """The stored blocks with which `tokens` begin, in order."""
        found: list[tuple[bytes, Kv]] = []
        with self._lock:
            for name in block_names(tokens, adapter):
                if (kv := self._blocks.get(name)) is None:
                    break
                found.append((name, kv))
            self._touch([name for name, _ in found])
        return [kv for _, kv in found]

    def missing(self, tokens: Sequence[int], adapter: str = "") -> list[int]:
        """Which of the whole blocks of `tokens`, of as many as fit the budget, are not stored, by index."""
        names = block_names(tokens[: self._most * BLOCK], adapter)
        with self._lock:
            return [i for i, name in enumerate(names) if name not in self._blocks]

    def add(self, tokens: Sequence[int], kv: dict[int, Kv], adapter: str = "") -> None:
        """Store blocks of `tokens` by index, each [layers, 2, kv heads, BLOCK, head dim]."""
        if not self.budget:
            return
        names = block_names(tokens, adapter)
        with self._lock:
            for i, block in kv.items():
                if names[i] not in self._blocks:
                    self._blocks[names[i]] = block
                    self.used += block.nbytes
            self._touch([name for name in names if name in self._blocks])
            while self.used > self.budget:
                _, dropped = self._blocks.popitem(last=False)
                self.used -= dropped.nbytes

    def _touch(self, names: list[bytes]) -> None:
        # The first block last: without it those behind it cannot be reached.
        for name in reversed(names):
            self._blocks.move_to_end(name)


def block_names(tokens: Sequence[int], adapter: str = "") -> list[bytes]:
    """A name for each whole block of `tokens`, of everything up to its end.

    `adapter` is the SHA-256 of the one with which keys and values are computed; "" is none.
    """
    ids = np.asarray(tokens, np.int64)
    digest, names = hashlib.blake2b(bytes.fromhex(adapter), digest_size=16), []
    for end in range(BLOCK, len(ids) + 1, BLOCK):
        digest.update(ids[end - BLOCK : end].tobytes())
        names.append(digest.digest())
    return names
