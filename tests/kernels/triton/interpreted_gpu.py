"""Triton's interpreter as these tests use it: with inline assembly, products to the bit, and faster."""

import gc
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import numpy as np
import ptx_in_numpy
import triton.language as tl
from triton.runtime import interpreter

from kernels.formats.fragments_triton import DESCENDING

LANES = -1 if DESCENDING else 0
"""The dimension of a tile, but for its words, along which a warp's lanes lie: see `fragments_triton.py`."""


def install() -> None:
    """Change the interpreter of this process, before the first kernel runs."""
    interpreter.InterpreterBuilder.create_inline_asm = _inline_asm
    interpreter.InterpreterBuilder.create_dot = _dot
    _do_once_what_each_call_does()
    gc.freeze()  # what has been imported stays


class _Results(list[interpreter.TensorHandle]):
    get_result = list.__getitem__


def _inline_asm(
    _: object, assembly: str, constraints: str, given: list[Any], types: list[Any], pure: bool, pack: int
) -> _Results:
    """Inline assembly in numpy; `pack` neighbours of each operand, and of each result, are a thread's."""
    assert constraints.count("=") == len(types) * pack
    registers = [part for x in given for part in _parts(x.data, pack)]
    found = ptx_in_numpy.run(assembly, registers, len(types) * pack)
    results = _Results()
    for i, its_type in enumerate(types):
        parts = [np.moveaxis(x, -1, LANES) for x in found[i * pack : (i + 1) * pack]]
        words = np.stack(parts, -1) if pack > 1 else parts[0]
        dtype = interpreter._get_np_dtype(its_type.scalar)
        results.append(interpreter.TensorHandle(words.view(dtype), its_type.scalar))
    return results


def _parts(x: np.ndarray[Any, Any], pack: int) -> list[np.ndarray[Any, Any]]:
    """Each thread's words, one after the other, lanes last."""
    words = x.view(np.dtype(f"u{x.itemsize}"))
    parts = [words[..., i] for i in range(pack)] if pack > 1 else [words]
    return [np.moveaxis(part, LANES, -1) for part in parts]


def _dot(_: object, a: Any, b: Any, d: Any, *_options: object) -> interpreter.TensorHandle:  # noqa: ANN401
    """A product that adds up each element in the same order, whatever is beside it, as a GPU's does.

    The interpreter's own is numpy's, whose order depends on the processor and on how many rows there are.
    """
    total, left, right = d.data, a.data.astype(d.data.dtype), b.data.astype(d.data.dtype)
    for k in range(left.shape[-1]):
        total = total + left[..., k, None] * right[..., k, None, :]
    return interpreter.TensorHandle(total, d.dtype.scalar)


def _do_once_what_each_call_does() -> None:
    """Most of the time went into this."""
    # Each call of a function looked through Triton's whole language, to change it as it has been changed.
    for function in (lambda: tl, tl.sum.fn):  # what such a function knows it by, and what `tl` itself does
        interpreter._patch_lang(function)
    interpreter._patch_lang = lambda _: SimpleNamespace(restore=lambda: None)
    # Sums of integers were compared with those in 64 bits, and the answer left unread: it is for debugging.
    builder = interpreter.interpreter_builder
    assert not builder.options.debug
    builder.options = replace(builder.options, sanitize_overflow=False)
    # Types and shapes were looked up, checked and named again for each value.
    dtypes: dict[str, Any] = {}
    blocks: dict[tuple[object, ...], dict[str, Any]] = {}
    shapes: dict[tuple[int, ...], tuple[Any, Any]] = {}
    look_up, make_block, make_tensor = (
        interpreter._get_np_dtype,
        tl.block_type.__init__,
        tl.tensor.__init__,
    )

    def known_dtype(its_type: Any) -> Any:  # noqa: ANN401
        if its_type.name not in dtypes:
            dtypes[its_type.name] = look_up(its_type)
        return dtypes[its_type.name]

    def known_block(block: Any, element: Any, shape: Any) -> None:  # noqa: ANN401
        key = (element.name, *map(int, shape))
        if key not in blocks:
            make_block(block, element, shape)
            blocks[key] = dict(vars(block))
        vars(block).update(blocks[key])

    def known_tensor(tensor: Any, handle: Any, its_type: Any) -> None:  # noqa: ANN401
        shape = tuple(its_type.shape) if its_type.is_block() else ()
        if shape not in shapes:
            make_tensor(tensor, handle, its_type)
            shapes[shape] = tensor.shape, tensor.numel
        tensor.handle, tensor.type, tensor.dtype = handle, its_type, its_type.scalar
        tensor.shape, tensor.numel = shapes[shape]

    interpreter._get_np_dtype = known_dtype
    tl.block_type.__init__, tl.tensor.__init__ = known_block, known_tensor
