"""Inline assembly in numpy, an instruction after the other: Triton's interpreter runs none.

A register is a word of each thread: uint32 [..., 32 lanes], or of all threads the same: uint32 []. What an
instruction does is taken from the PTX ISA (https://docs.nvidia.com/cuda/parallel-thread-execution), section
9.7; the operands of `mma.m16n8k16` from its figures.
"""

import functools
import re
from typing import Any

import numpy as np
from numpy.typing import NDArray

Words = NDArray[np.uint32]
Halves = NDArray[np.float16]
Floats = NDArray[np.float32]


def run(assembly: str, given: list[NDArray[Any]], results: int) -> list[Words]:
    """What it leaves in $0 and the next ones, so many; the operands behind them are `given`."""
    registers = {f"${results + i}": words for i, words in enumerate(given)}
    for name, targets, operands in _instructions(assembly):
        found = _MEANING[name](*(_value(operand, registers) for operand in operands))
        registers |= zip(targets, found if isinstance(found, tuple) else (found,), strict=True)
    return [registers[f"${i}"] for i in range(results)]


@functools.cache
def _instructions(assembly: str) -> list[tuple[str, list[str], list[str]]]:
    """Instructions: of each its name, the registers it writes to, and its operands."""
    found = []
    for line in assembly.strip().removeprefix("{").removesuffix("}").split(";"):
        name, _, rest = line.strip().partition(" ")
        if name and name != ".reg":
            target, *operands = re.findall(r"\{.*?\}|[^\s,]+", rest)
            found.append((name, _each(target), operands))
    return found


def _each(operand: str) -> list[str]:
    return re.findall(r"[^\s,{}]+", operand)


def _value(operand: str, registers: dict[str, Any]) -> Any:  # noqa: ANN401
    if operand.startswith("{"):
        return [registers[name] for name in _each(operand)]
    if operand in registers:
        return registers[operand]
    return np.uint32(int(operand[2:], 16) if operand.startswith("0f") else int(operand, 0))


def _halves(words: Words) -> Halves:
    """[..., 2], the low one first."""
    return np.ascontiguousarray(words).view(np.float16).reshape(*np.shape(words), 2)


def _words(halves: Halves) -> Words:
    return np.ascontiguousarray(halves).view(np.uint32)[..., 0]


def _permute_bytes(a: Words, b: Words, select: np.uint32) -> Words:
    """Each half byte of `select` is the number of a byte: of `a` from 0 on, of `b` from 4 on."""
    numbers = [int(select) >> shift & 15 for shift in (0, 4, 8, 12)]
    assert max(numbers) < 8, "copies of a sign are not imitated"
    both = np.stack(np.broadcast_arrays(a, b), -1).view(np.uint8)
    return np.ascontiguousarray(both[..., numbers]).view(np.uint32)[..., 0]


def _logic(a: Words, b: Words, c: Words, table: np.uint32) -> Words:
    assert table == 0xF0 & 0xCC | 0xAA, "only (a & b) | c is imitated"
    return a & b | c


def _fused(a: Words, b: Words, c: Words) -> Words:
    """a b + c of halves, rounded once."""
    wide = [_halves(x).astype(np.float64) for x in (a, b, c)]
    return _words((wide[0] * wide[1] + wide[2]).astype(np.float16))


def _both(high: Words, low: Words) -> Words:
    return _words(np.stack([low.view(np.float32), high.view(np.float32)], -1).astype(np.float16))


def _exchange(x: Words, distance: np.uint32, clamp: np.uint32, members: np.uint32) -> Words:
    assert (clamp, members) == (31, 0xFFFFFFFF), "only exchanges of a whole warp are imitated"
    return x[..., np.arange(32) ^ distance]


def _quarters(words: Words) -> Floats:
    """A register of halves: lane 4 i + t has 2 t and 2 t + 1 of row i: [..., 8, 8]."""
    halves = _halves(words)
    return halves.reshape(*halves.shape[:-2], 8, 8).astype(np.float32)


def _mma(a: list[Words], b: list[Words], c: list[Words]) -> tuple[Words, ...]:
    """a [16, 16] times b [16, 8], and c [16, 8], of each warp, in float32.

    Each element is added up in the same order, whatever is beside it, as a GPU's are.
    """
    shape = np.broadcast_shapes(*(np.shape(x) for x in (*a, *b, *c)))
    assert shape[-1] == 32
    upper, lower, upper_right, lower_right, first, second = (
        _quarters(np.broadcast_to(x, shape)) for x in (*a, *b)
    )
    columns = [np.concatenate(x, -2) for x in ((upper, lower), (upper_right, lower_right))]
    left = np.concatenate(columns, -1)
    right = np.concatenate([first, second], -1)  # of each column its 16 rows
    products = left[..., :, None, :] * right[..., None, :, :]
    while (half := products.shape[-1] // 2) > 0:
        products = products[..., :half] + products[..., half:]
    # Lane 4 i + t has columns 2 t and 2 t + 1 of rows i and i + 8.
    lanes = products.reshape(*shape[:-1], 2, 32, 2)
    sums = [lanes[..., i // 2, :, i % 2] + np.asarray(x).view(np.float32) for i, x in enumerate(c)]
    return tuple(x.view(np.uint32) for x in sums)


_MEANING = {
    "mov.b32": lambda x: x,
    "mov.f32": lambda x: x,
    "mov.b64": lambda x: (x.astype(np.uint32), (x >> np.uint64(32)).astype(np.uint32)),
    "xor.b32": np.bitwise_xor,
    "shr.b32": np.right_shift,
    "lop3.b32": _logic,
    "prmt.b32": _permute_bytes,
    "sub.rn.f16x2": lambda a, b: _words(_halves(a) - _halves(b)),
    "mul.rn.f16x2": lambda a, b: _words(_halves(a) * _halves(b)),
    "fma.rn.f16x2": _fused,
    "cvt.rn.f16x2.f32": _both,
    "max.f32": lambda a, b: np.fmax(a.view(np.float32), b.view(np.float32)).view(np.uint32),
    "add.f32": lambda a, b: (a.view(np.float32) + b.view(np.float32)).view(np.uint32),
    "shfl.sync.bfly.b32": _exchange,
    "mma.sync.aligned.m16n8k16.row.col.f32.f16.f16.f32": _mma,
}
