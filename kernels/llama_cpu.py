"""The checked launcher of `llama_cpu.c`: a whole pass of a llama-like model on an x86 CPU with AVX512-VNNI.

The extension is compiled when the package is installed, if there is a C compiler; `supported()` says whether it
is there and this processor can run it.
"""

import ctypes
import weakref
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

try:
    from kernels import _llama_cpu
except ImportError:  # no compiler when the package was installed
    _library = None
else:
    _library = ctypes.CDLL(_llama_cpu.__file__)

LANES = 16
"""Rows of a matrix that lie together; the head size and the width are multiples of it."""

BLOCK = 32
"""Columns that share a scale."""

_Array = NDArray[Any]


@dataclass(frozen=True)
class Matrix:
    """A matrix [n, k] in groups of 16 rows by 32 columns; rows are padded to whole groups.

    4 bits: weight = code * scale + minimum. 8 bits: weight = (code - 128) * scale. `codes` uint8 [groups, k / 32,
    16 * bits / 32 * 64]: columns 4j .. 4j + 3 of the 16 rows together, of 4 bits columns c and c + 16 in one byte.
    `scales` float16 [groups, k / 32, 16], with 4 bits [groups, k / 32, 2, 16]: scales and minima.
    """

    n: int
    k: int
    bits: int
    codes: NDArray[np.uint8]
    scales: NDArray[np.float16]


@dataclass(frozen=True)
class Layer:
    """Weights of a block, and where its keys and values are kept: [slots, kv heads, context, head dim] each.

    `key_scales` and `value_scales` float32 [kv heads, head dim] belong to int8 keys and values.
    """

    q: Matrix
    k: Matrix
    v: Matrix
    out: Matrix
    gate: Matrix
    up: Matrix
    down: Matrix
    attn_norm: NDArray[np.float32]
    ffn_norm: NDArray[np.float32]
    keys: _Array
    values: _Array
    key_scales: NDArray[np.float32] | None = None
    value_scales: NDArray[np.float32] | None = None
    q_bias: NDArray[np.float32] | None = None
    k_bias: NDArray[np.float32] | None = None
    v_bias: NDArray[np.float32] | None = None
    q_norm: NDArray[np.float32] | None = None
    k_norm: NDArray[np.float32] | None = None


@dataclass(frozen=True)
class Model:
    """Everything a pass reads. `cos` and `sin` float32 [context, head dim / 2]."""

    heads: int
    kv_heads: int
    interleaved: bool
    norm_eps: float
    layers: Sequence[Layer]
    embedding: Matrix
    head: Matrix
    output_norm: NDArray[np.float32]
    cos: NDArray[np.float32]
    sin: NDArray[np.float32]
    context: int = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "context", len(self.cos))


class _Matrix(ctypes.Structure):
    _fields_ = [
        ("codes", ctypes.c_void_p),
        ("scales", ctypes.c_void_p),
        ("n", ctypes.c_int32),
        ("k", ctypes.c_int32),
        ("bits", ctypes.c_int32),
    ]


_MATRICES = ("q", "k", "v", "out", "gate", "up", "down")
_ARRAYS = (
    *("attn_norm", "ffn_norm", "q_bias", "k_bias", "v_bias", "q_norm", "k_norm"),
    *("keys", "values", "key_scales", "value_scales"),
)


class _Layer(ctypes.Structure):
    _fields_ = [(name, _Matrix) for name in _MATRICES] + [(name, ctypes.c_void_p) for name in _ARRAYS]


_SIZES = (
    *("layers", "width", "heads", "kv_heads", "head_dim", "hidden", "vocabulary", "context"),
    *("interleaved", "int8_kv", "max_rows"),
)


class _Model(ctypes.Structure):
    _fields_ = [
        *((name, ctypes.c_int32) for name in _SIZES),
        ("norm_eps", ctypes.c_float),
        ("layer", ctypes.POINTER(_Layer)),
        ("embedding", _Matrix),
        ("head", _Matrix),
        ("output_norm", ctypes.c_void_p),
        ("cos", ctypes.c_void_p),
        ("sin", ctypes.c_void_p),
    ]


def supported() -> bool:
    """Whether the extension was compiled and this processor has what it needs."""
    return _library is not None and bool(_library.llama_supported())


class LlamaPass:
    """A model ready to run, with threads of its own. Used from one thread at a time."""

    def __init__(self, model: Model, *, threads: int, max_rows: int) -> None:
        """Raises ValueError for arrays that do not fit together, and MemoryError."""
        assert _library is not None, "supported() was not asked"
        self._model = model  # holds the arrays
        self._max_rows = max_rows
        slots, kv_heads, context, head_dim = model.layers[0].keys.shape
        self._slots = slots
        _check(model, (slots, kv_heads, context, head_dim))
        self._layers = (_Layer * len(model.layers))(*(_layer(layer) for layer in model.layers))
        self._struct = _Model(
            layers=len(model.layers),
            width=model.embedding.k,
            heads=model.heads,
            kv_heads=model.kv_heads,
            head_dim=head_dim,
            hidden=model.layers[0].gate.n,
            vocabulary=model.head.n,
            context=model.context,
            interleaved=model.interleaved,
            int8_kv=model.layers[0].keys.dtype == np.int8,
            max_rows=max_rows,
            norm_eps=model.norm_eps,
            layer=self._layers,
            embedding=_matrix(model.embedding),
            head=_matrix(model.head),
            output_norm=model.output_norm.ctypes.data,
            cos=model.cos.ctypes.data,
            sin=model.sin.ctypes.data,
        )
        _library.llama_open.restype = ctypes.c_void_p
        self._state = ctypes.c_void_p(_library.llama_open(ctypes.byref(self._struct), threads))
        if not self._state:
            raise MemoryError(f"a pass of {max_rows} rows on {threads} threads cannot be set up")
        self.close = weakref.finalize(self, _library.llama_close, self._state)

    def run(
        self,
        tokens: NDArray[np.int64],
        slots: NDArray[np.int32],
        positions: NDArray[np.int32],
        wanted: NDArray[np.int32],
    ) -> NDArray[np.float32]:
        """Read tokens [rows] at `positions` of `slots`; logits [wanted, vocabulary] of these rows, ascending.

        A row attends to all positions of its slot up to its own, so that of several rows of a slot the earlier
        ones must be there already or come in the same pass. Raises ValueError.
        """
        assert _library is not None and self.close.alive
        rows = len(tokens)
        if not 1 <= rows <= self._max_rows or not rows == len(slots) == len(positions):
            raise ValueError(f"1 to {self._max_rows} rows can be read, not {rows}")
        _check_range("token", tokens, self._struct.vocabulary)
        _check_range("slot", slots, self._slots)
        _check_range("position", positions, self._struct.context)
        _check_range("wanted row", wanted, rows)
        if (np.diff(wanted) <= 0).any():
            raise ValueError("wanted rows must ascend")
        logits = np.empty((len(wanted), self._struct.vocabulary), np.float32)
        arrays = (
            np.ascontiguousarray(tokens, np.int64),
            np.ascontiguousarray(slots, np.int32),
            np.ascontiguousarray(positions, np.int32),
        )
        which = np.ascontiguousarray(wanted, np.int32)
        _library.llama_pass(
            self._state,
            rows,
            *(ctypes.c_void_p(array.ctypes.data) for array in arrays),
            len(which),
            ctypes.c_void_p(which.ctypes.data),
            ctypes.c_void_p(logits.ctypes.data),
        )
        return logits


def _check_range(what: str, values: _Array, end: int) -> None:
    if len(values) and not (values.min() >= 0 and values.max() < end):
        raise ValueError(f"a {what} is not in 0 to {end - 1}")


def _matrix(matrix: Matrix) -> _Matrix:
    return _Matrix(
        matrix.codes.ctypes.data, matrix.scales.ctypes.data, matrix.n, matrix.k, matrix.bits
    )


def _layer(layer: Layer) -> _Layer:
    arrays = {name: getattr(layer, name) for name in _ARRAYS}
    return _Layer(
        *(_matrix(getattr(layer, name)) for name in _MATRICES),
        **{name: None if array is None else array.ctypes.data for name, array in arrays.items()},
    )


def _check(model: Model, cache: tuple[int, ...]) -> None:
    """Shapes, types and order in memory: the C code believes them."""
    _, kv_heads, context, d = cache
    width, hidden = model.embedding.k, model.layers[0].gate.n
    if d % LANES or width % BLOCK or hidden % BLOCK or model.heads * d % BLOCK:
        raise ValueError(f"heads of {d}, {width} channels and {hidden} hidden ones are not whole blocks")
    if kv_heads != model.kv_heads or model.heads % kv_heads or context != model.context:
        raise ValueError(f"a cache of {cache} does not fit {model.kv_heads} heads and {model.context} tokens")
    q, kv = model.heads * d, kv_heads * d
    _check_matrix(model.embedding, model.head.n, width)
    _check_matrix(model.head, model.head.n, width)
    _check_floats(output_norm=(model.output_norm, (width,)))
    _check_floats(cos=(model.cos, (context, d // 2)), sin=(model.sin, (context, d // 2)))
    for layer in model.layers:
        for matrix, n, k in (
            (layer.q, q, width),
            (layer.k, kv, width),
            (layer.v, kv, width),
            (layer.out, width, q),
            (layer.gate, hidden, width),
            (layer.up, hidden, width),
            (layer.down, width, hidden),
        ):
            _check_matrix(matrix, n, k)
        _check_floats(attn_norm=(layer.attn_norm, (width,)), ffn_norm=(layer.ffn_norm, (width,)))
        _check_floats(q_bias=(layer.q_bias, (q,)), k_bias=(layer.k_bias, (kv,)), v_bias=(layer.v_bias, (kv,)))
        _check_floats(q_norm=(layer.q_norm, (d,)), k_norm=(layer.k_norm, (d,)))
        scales = ((layer.key_scales, (kv_heads, d)), (layer.value_scales, (kv_heads, d)))
        _check_floats(key_scales=scales[0], value_scales=scales[1])
        dtype = np.float32 if layer.key_scales is None else np.int8
        for part in (layer.keys, layer.values):
            if part.shape != cache or part.dtype != dtype or not part.flags.c_contiguous:
                raise ValueError(f"keys or values are {part.dtype}{part.shape}, not {np.dtype(dtype)}{cache}")


def _check_matrix(matrix: Matrix, n: int, k: int) -> None:
    groups, blocks = -(-n // LANES), k // BLOCK
    codes = (groups, blocks, LANES * BLOCK * matrix.bits // 8)
    scales = (groups, blocks, 2, LANES) if matrix.bits == 4 else (groups, blocks, LANES)
    found = (matrix.n, matrix.k, matrix.codes.shape, matrix.scales.shape)
    if matrix.bits not in (4, 8) or found != (n, k, codes, scales):
        raise ValueError(f"a matrix is {found}, not {(n, k, codes, scales)}")
    _contiguous("codes", matrix.codes, np.uint8)
    _contiguous("scales", matrix.scales, np.float16)


def _check_floats(**arrays: tuple[NDArray[np.float32] | None, tuple[int, ...]]) -> None:
    for name, (array, shape) in arrays.items():
        if array is not None:
            _contiguous(name, array, np.float32)
            if array.shape != shape:
                raise ValueError(f"{name} is {array.shape}, not {shape}")


def _contiguous(name: str, array: _Array, dtype: type) -> None:
    if array.dtype != dtype or not array.flags.c_contiguous:
        raise ValueError(f"{name} is {array.dtype}, or not contiguous")
