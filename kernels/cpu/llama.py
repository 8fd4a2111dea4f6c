"""The checked launcher of `llama_cpu.h`: a whole pass of a llama-like model on an x86 CPU.

Its extensions, one for processors with AVX512-VNNI and one for those with AVX2, are compiled when the package
is installed, if there is a C compiler; `supported()` says whether this processor can run one of them.
"""

import ctypes
import importlib.util
import weakref
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kernels.cpu.adapter import Adapter, product_shapes
from kernels.cpu.matrix import BLOCK, LANES, Matrix, MatrixStruct, check_array, check_matrix, matrix_struct

# The fastest first.
_EXTENSIONS = (("AVX512-VNNI", "kernels.cpu._llama_avx512"), ("AVX2", "kernels.cpu._llama_avx2"))


def _find() -> Mapping[str, ctypes.CDLL]:
    found = ((name, importlib.util.find_spec(extension)) for name, extension in _EXTENSIONS)
    compiled = {name: spec.origin for name, spec in found if spec is not None}
    return MappingProxyType({name: ctypes.CDLL(path) for name, path in compiled.items() if path is not None})


_compiled = _find()  # empty without a C compiler when the package was installed
AVAILABLE: Mapping[str, ctypes.CDLL] = MappingProxyType(
    {name: library for name, library in _compiled.items() if library.llama_supported()}
)
"""What this processor can run, by the instructions that it takes; the fastest first."""

_library = next(iter(AVAILABLE.values()), None)

_Array = NDArray[Any]


@dataclass(frozen=True)
class Layer:
    """Weights of a block; biases and the norms of q and k where the architecture has them."""

    q: Matrix
    k: Matrix
    v: Matrix
    out: Matrix
    gate: Matrix
    up: Matrix
    down: Matrix
    attn_norm: NDArray[np.float32]
    ffn_norm: NDArray[np.float32]
    q_bias: NDArray[np.float32] | None = None
    k_bias: NDArray[np.float32] | None = None
    v_bias: NDArray[np.float32] | None = None
    q_norm: NDArray[np.float32] | None = None
    k_norm: NDArray[np.float32] | None = None


@dataclass(frozen=True)
class Model:
    """The weights. `cos` and `sin` float32 [context, head dim / 2]."""

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


@dataclass(frozen=True)
class Cache:
    """Where keys and values are kept, of each layer: [slots, kv heads, context, head dim] both.

    float32, or int8 with `scales` float32 [layers, 2, kv heads, head dim], of keys and of values.
    """

    layers: Sequence[tuple[_Array, _Array]]
    scales: NDArray[np.float32] | None = None


_MATRICES = ("q", "k", "v", "out", "gate", "up", "down")
_FLOATS = ("attn_norm", "ffn_norm", "q_bias", "k_bias", "v_bias", "q_norm", "k_norm")
_CACHE = ("keys", "values", "key_scales", "value_scales")


class _Layer(ctypes.Structure):
    _fields_ = [(name, MatrixStruct) for name in _MATRICES] + [
        (name, ctypes.c_void_p) for name in (*_FLOATS, *_CACHE)
    ]


_SIZES = (
    *("layers", "width", "heads", "kv_heads", "head_dim", "hidden", "vocabulary", "context"),
    *("interleaved", "int8_kv", "max_rows"),
)


class _Model(ctypes.Structure):
    _fields_ = [
        *((name, ctypes.c_int32) for name in _SIZES),
        ("norm_eps", ctypes.c_float),
        ("layer", ctypes.POINTER(_Layer)),
        ("embedding", MatrixStruct),
        ("head", MatrixStruct),
        ("output_norm", ctypes.c_void_p),
        ("cos", ctypes.c_void_p),
        ("sin", ctypes.c_void_p),
    ]


def compiled() -> bool:
    """Whether there are extensions."""
    return bool(_compiled)


def instructions() -> str | None:
    """Those that passes run on, `AVX512-VNNI` or `AVX2`; None if there is no extension for this processor."""
    return next((name for name, library in AVAILABLE.items() if library is _library), None)


def supported() -> bool:
    """Whether there is an extension that this processor can run."""
    return _library is not None


class LlamaPass:
    """A model ready to run, with threads of its own. Used from one thread at a time."""

    def __init__(self, model: Model, cache: Cache, *, threads: int, max_rows: int) -> None:
        """Raises ValueError for arrays that do not fit together, and MemoryError."""
        assert _library is not None, "supported() was not asked"
        self._library = _library
        _check(model, cache)
        self._arrays = model, cache  # the kernel has only their addresses
        self._max_rows = max_rows
        self._slots, _, context, head_dim = cache.layers[0][0].shape
        self._layers = (_Layer * len(model.layers))(
            *(_layer(model.layers[i], cache, i) for i in range(len(model.layers)))
        )
        width, heads_wide, kv_wide = model.embedding.k, model.heads * head_dim, model.kv_heads * head_dim
        self._sizes = width, heads_wide, kv_wide, model.layers[0].gate.n
        self._struct = _Model(
            layers=len(model.layers),
            width=model.embedding.k,
            heads=model.heads,
            kv_heads=model.kv_heads,
            head_dim=head_dim,
            hidden=model.layers[0].gate.n,
            vocabulary=model.head.n,
            context=context,
            interleaved=model.interleaved,
            int8_kv=cache.scales is not None,
            max_rows=max_rows,
            norm_eps=model.norm_eps,
            layer=self._layers,
            embedding=matrix_struct(model.embedding),
            head=matrix_struct(model.head),
            output_norm=model.output_norm.ctypes.data,
            cos=model.cos.ctypes.data,
            sin=model.sin.ctypes.data,
        )
        self._library.llama_open.restype = ctypes.c_void_p
        self._state = ctypes.c_void_p(self._library.llama_open(ctypes.byref(self._struct), threads))
        if not self._state:
            raise MemoryError(f"a pass of {max_rows} rows on {threads} threads cannot be set up")
        self._adapters: weakref.WeakSet[Adapter] = weakref.WeakSet()  # that fit the model
        self.close = weakref.finalize(self, self._library.llama_close, self._state)

    def run(
        self,
        tokens: NDArray[np.int64],
        slots: NDArray[np.int32],
        positions: NDArray[np.int32],
        wanted: NDArray[np.int32],
        adapters: Sequence[Adapter | None] | None = None,
    ) -> NDArray[np.float32]:
        """Read tokens [rows] at `positions` of `slots`; logits [wanted, vocabulary] of these rows, ascending.

        A row attends to all positions of its slot up to its own, so that of several rows of a slot the
        earlier ones must be there already or come in the same pass. `adapters` has one for each row, or None.
        Raises ValueError.
        """
        assert self.close.alive
        rows = len(tokens)
        if not 1 <= rows <= self._max_rows or not rows == len(slots) == len(positions):
            raise ValueError(f"1 to {self._max_rows} rows can be read, not {rows}")
        _check_range("token", tokens, self._struct.vocabulary)
        _check_range("slot", slots, self._slots)
        _check_range("position", positions, self._struct.context)
        _check_range("wanted row", wanted, rows)
        if (np.diff(wanted) <= 0).any():
            raise ValueError("wanted rows must ascend")
        addresses = None if adapters is None else self._addresses(adapters, rows)
        logits = np.empty((len(wanted), self._struct.vocabulary), np.float32)
        arrays = (
            np.ascontiguousarray(tokens, np.int64),
            np.ascontiguousarray(slots, np.int32),
            np.ascontiguousarray(positions, np.int32),
        )
        which = np.ascontiguousarray(wanted, np.int32)
        self._library.llama_pass(
            self._state,
            rows,
            *(ctypes.c_void_p(array.ctypes.data) for array in arrays),
            None if addresses is None else ctypes.c_void_p(addresses.ctypes.data),
            len(which),
            ctypes.c_void_p(which.ctypes.data),
            ctypes.c_void_p(logits.ctypes.data),
        )
        return logits

    def _addresses(self, adapters: Sequence[Adapter | None], rows: int) -> NDArray[np.uintp]:
        """Of each row's adapter, 0 for none; raises ValueError for one that does not fit the model."""
        if len(adapters) != rows:
            raise ValueError(f"{len(adapters)} adapters for {rows} rows")
        for adapter in {one for one in adapters if one is not None} - set(self._adapters):
            adapter.check(len(self._layers), product_shapes(*self._sizes))
            self._adapters.add(adapter)
        return np.array([0 if one is None else one.address for one in adapters], np.uintp)


def _check_range(what: str, values: _Array, end: int) -> None:
    if len(values) and not (values.min() >= 0 and values.max() < end):
        raise ValueError(f"a {what} is not in 0 to {end - 1}")


def _layer(layer: Layer, cache: Cache, i: int) -> _Layer:
    arrays = {name: getattr(layer, name) for name in _FLOATS}
    arrays["keys"], arrays["values"] = cache.layers[i]
    if cache.scales is not None:
        arrays["key_scales"], arrays["value_scales"] = cache.scales[i]
    return _Layer(
        *(matrix_struct(getattr(layer, name)) for name in _MATRICES),
        **{name: None if array is None else array.ctypes.data for name, array in arrays.items()},
    )


def _check(model: Model, cache: Cache) -> None:
    """Shapes, types and order in memory: the C code believes them."""
    shape = cache.layers[0][0].shape
    _, kv_heads, context, d = shape
    width, hidden = model.embedding.k, model.layers[0].gate.n
    if d % LANES or width % BLOCK or hidden % BLOCK or model.heads * d % BLOCK:
        raise ValueError(f"heads of {d}, {width} channels and {hidden} hidden ones are not whole blocks")
    if kv_heads != model.kv_heads or model.heads % kv_heads or len(cache.layers) != len(model.layers):
        raise ValueError(f"keys and values of {shape} do not fit {model.kv_heads} of {model.heads} heads")
    for matrix in (model.embedding, model.head):
        check_matrix(matrix, model.head.n, width)
    check_array("output_norm", model.output_norm, np.float32, (width,))
    for name, table in (("cos", model.cos), ("sin", model.sin)):
        check_array(name, table, np.float32, (context, d // 2))
    for layer in model.layers:
        _check_layer(layer, width, hidden, model.heads * d, kv_heads * d, d)
    for part in (part for layer in cache.layers for part in layer):
        check_array("keys or values", part, np.float32 if cache.scales is None else np.int8, shape)
    if cache.scales is not None:
        check_array("scales", cache.scales, np.float32, (len(cache.layers), 2, kv_heads, d))


def _check_layer(layer: Layer, width: int, hidden: int, q: int, kv: int, head_dim: int) -> None:
    sizes = {"q": (q, width), "k": (kv, width), "v": (kv, width), "out": (width, q)}
    sizes |= {"gate": (hidden, width), "up": (hidden, width), "down": (width, hidden)}
    for name, (n, k) in sizes.items():
        check_matrix(getattr(layer, name), n, k)
    lengths = {"attn_norm": width, "ffn_norm": width, "q_bias": q, "k_bias": kv, "v_bias": kv}
    for name, length in (lengths | {"q_norm": head_dim, "k_norm": head_dim}).items():
        if (array := getattr(layer, name)) is not None:
            check_array(name, array, np.float32, (length,))
