"""The ONNX Runtime graph of a llama-like model, built from the tensors of its GGUF file.

A block is ten nodes: fused norms, packed QKV, grouped-query attention with rotary embedding that writes the
new keys and values in place, and a gated MLP. Several sequences are read in one pass, and the head is
computed only for the rows that are asked for.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from onnx import ModelProto, NodeProto, StringStringEntryProto, TensorProto, ValueInfoProto, helper

from llm.cpu.weights import Packed, pack
from llm.gguf.config import LlamaConfig
from llm.gguf.file import GgufError, GgufFile
from llm.gguf.rope import rope_frequencies

WeightType = Literal["quantized", "f32"]

WEIGHTS_FILE = "weights"
"""What the graph calls the file that its weights are in."""

_ALIGNMENT = 64
_MICROSOFT = "com.microsoft"


@dataclass(frozen=True)
class CpuGraph:
    """A serialized ONNX model, and the bytes of `WEIGHTS_FILE` that it refers to.

    `kv_scales`, of int8 keys and values, is [layers, 2, kv heads, 1, head dim]; no layers where they are
    float32.
    """

    model: bytes
    weights: NDArray[np.uint8]
    kv_scales: NDArray[np.float32]


def build_graph(
    gguf: GgufFile,
    config: LlamaConfig,
    *,
    context: int,
    weights: WeightType = "quantized",
    kv_scales: NDArray[np.float32] | None = None,
) -> CpuGraph:
    """The graph for sequences of up to `context` tokens; with `kv_scales` its keys and values are int8.

    `weights="f32"` keeps every matrix dequantized: the reference. Raises GgufError for weights that are not
    finite and for heads whose size is not a multiple of 16.

    Inputs: `tokens` int64 [batch, new]; `lengths` int32 [batch], tokens held after the pass, less one;
    `longest` int32 [], the largest number held after it; `query_lengths` int32 [batch], new, or 0 for an idle
    sequence; `rows` int64 [logits], of batch * new; for each layer N `key.N` and `value.N` [batch, kv heads,
    context, head dim], and if these are int8 `key_scale.N` and `value_scale.N` float32 [kv heads, 1, head
    dim]. Outputs: `logits` [logits, vocabulary]; `new_key.N`, `new_value.N`, to be bound to the inputs'
    buffers.
    """
    check_heads(gguf, config)
    return _Builder(gguf, config, context, weights, kv_scales).build()


class _Builder:
    def __init__(
        self,
        gguf: GgufFile,
        config: LlamaConfig,
        context: int,
        weights: WeightType,
        kv_scales: NDArray[np.float32] | None,
    ) -> None:
        self._gguf, self._config, self._context = gguf, config, context
        self._kv_scales, self._dense = kv_scales, weights == "f32"
        self._nodes: list[NodeProto] = []
        self._constants: list[TensorProto] = []
        self._pieces: list[NDArray[np.uint8]] = []
        self._size = 0

    def build(self) -> CpuGraph:
        c = self._config
        embedding = self._embedding("tokens", "embedded")
        self._rotation()
        stream, branch = embedding, None  # the residual stream, and what is to be added to it
        for i in range(c.layers):
            stream, branch = self._block(i, stream, branch)
        assert branch is not None, "a model has at least one layer"
        self._add("Add", [stream, branch], ["last"])
        self._add("Reshape", ["last", self._constant("flat", np.array([-1, c.width]))], ["flat_rows"])
        self._add("Gather", ["flat_rows", "rows"], ["wanted"], axis=0)
        self._norm("wanted", None, "output_norm.weight", "normed")
        self._linear("normed", [self._head], "logits")
        graph = helper.make_graph(self._nodes, "llama", self._inputs(), self._outputs(), self._constants)
        opsets = [helper.make_opsetid("", 21), helper.make_opsetid(_MICROSOFT, 1)]
        model: ModelProto = helper.make_model(graph, opset_imports=opsets, ir_version=10)
        no_layers = np.zeros((0, 2, c.kv_heads, 1, c.head_dim), np.float32)
        scales = no_layers if self._kv_scales is None else self._kv_scales
        return CpuGraph(model.SerializeToString(), _concatenate(self._pieces, self._size), scales)

    @property
    def _head(self) -> str:
        return "output.weight" if "output.weight" in self._gguf.tensors else "token_embd.weight"

    def _block(self, i: int, stream: str, branch: str | None) -> tuple[str, str]:
        """Block `i`; returns the residual stream and the MLP's output, which the next norm adds to it."""
        stream = self._norm(stream, branch, f"blk.{i}.attn_norm.weight", f"attn_in.{i}")
        self._attention(i, f"attn_in.{i}", f"attn.{i}")
        self._linear(f"attn.{i}", [f"blk.{i}.attn_output.weight"], f"attn_out.{i}")
        stream = self._norm(stream, f"attn_out.{i}", f"blk.{i}.ffn_norm.weight", f"ffn_in.{i}")
        self._linear(f"ffn_in.{i}", [f"blk.{i}.ffn_{part}.weight" for part in ("gate", "up")], f"gate_up.{i}")
        self._add("Split", [f"gate_up.{i}"], [f"gate.{i}", f"up.{i}"], axis=-1, num_outputs=2)
        self._add("QuickGelu", [f"gate.{i}"], [f"silu.{i}"], domain=_MICROSOFT, alpha=1.0)
        self._add("Mul", [f"silu.{i}", f"up.{i}"], [f"gated.{i}"])
        self._linear(f"gated.{i}", [f"blk.{i}.ffn_down.weight"], f"ffn_out.{i}")
        return stream, f"ffn_out.{i}"

    def _attention(self, i: int, x: str, out: str) -> None:
        c = self._config
        names = [f"blk.{i}.attn_{part}" for part in "qkv"]
        bias = None
        if c.qkv_bias:
            bias = np.concatenate([self._tensor(f"{name}.bias") for name in names])
        self._linear(x, [f"{name}.weight" for name in names], f"qkv.{i}", bias)
        query = [f"qkv.{i}", "", ""]
        if c.qk_norm:
            query = self._qk_norm(i)
        inputs = [*query, f"key.{i}", f"value.{i}", "lengths", "longest", "cos", "sin", "", "", ""]
        inputs += [f"key_scale.{i}", f"value_scale.{i}"] if self._kv_scales is not None else ["", ""]
        quantized = {"k_quant_type": "PER_CHANNEL", "v_quant_type": "PER_CHANNEL", "kv_cache_bit_width": 8}
        self._add(
            "GroupQueryAttention",
            [*inputs, "", "", "query_lengths"],
            [out, f"new_key.{i}", f"new_value.{i}"],
            domain=_MICROSOFT,
            num_heads=c.heads,
            kv_num_heads=c.kv_heads,
            do_rotary=1,
            rotary_interleaved=int(c.rotary == "interleaved"),
            **(quantized if self._kv_scales is not None else {}),
        )

    def _qk_norm(self, i: int) -> list[str]:
        """Split QKV and normalise each head of q and k (the attention's own norm is for GPUs only)."""
        c = self._config
        sizes = np.array([c.heads * c.head_dim, c.kv_heads * c.head_dim, c.kv_heads * c.head_dim])
        parts = [f"q.{i}", f"k.{i}", f"v.{i}"]
        self._add("Split", [f"qkv.{i}", self._constant(f"qkv_sizes.{i}", sizes)], parts, axis=-1)
        for part, heads in (("q", c.heads), ("k", c.kv_heads)):
            name = f"{part}.{i}"
            split = self._constant(f"{name}.heads", np.array([0, 0, heads, c.head_dim]))
            flat = self._constant(f"{name}.flat", np.array([0, 0, heads * c.head_dim]))
            self._add("Reshape", [name, split], [f"{name}.split"])
            self._norm(f"{name}.split", None, f"blk.{i}.attn_{part}_norm.weight", f"{name}.unit")
            self._add("Reshape", [f"{name}.unit", flat], [f"{name}.normed"])
        return [f"q.{i}.normed", f"k.{i}.normed", f"v.{i}"]

    def _norm(self, stream: str, branch: str | None, weight: str, out: str) -> str:
        """RMS norm of stream + branch; returns that sum's name."""
        gamma = self._constant(weight, self._tensor(weight))
        eps = self._config.norm_eps
        if branch is None:
            self._add("SimplifiedLayerNormalization", [stream, gamma], [out], axis=-1, epsilon=eps)
            return stream
        outputs = [out, "", "", f"{out}.sum"]
        inputs = [stream, branch, gamma]
        self._add("SkipSimplifiedLayerNormalization", inputs, outputs, domain=_MICROSOFT, epsilon=eps)
        return f"{out}.sum"

    def _linear(
        self, x: str, names: Sequence[str], out: str, bias: NDArray[np.float32] | None = None
    ) -> None:
        """out = x @ concatenated matrices^T + bias."""
        bias_name = "" if bias is None else self._constant(f"{out}.bias", bias)
        if self._dense:
            matrix = np.concatenate([self._tensor(name) for name in names]).T
            product = out if bias is None else f"{out}.product"
            self._add("MatMul", [x, self._constant(f"{out}.weight", matrix)], [product])
            if bias is not None:
                self._add("Add", [product, bias_name], [out])
            return
        packed = self._pack(names)
        inputs = [
            x,
            self._constant(f"{out}.codes", packed.codes),
            self._constant(f"{out}.scales", packed.scales),
        ]
        self._add(
            "MatMulNBits",
            [*inputs, "", "", bias_name] if bias_name else inputs,
            [out],
            domain=_MICROSOFT,
            N=packed.n,
            K=packed.k,
            bits=packed.bits,
            block_size=packed.block,
            accuracy_level=4,  # int8 activations with a scale for each block
        )

    def _embedding(self, tokens: str, out: str) -> str:
        name = "token_embd.weight"
        if self._dense:
            self._add("Gather", [self._constant(name, self._tensor(name)), tokens], [out], axis=0)
            return out
        packed = self._pack([name])
        rows = self._constant(f"{name}.codes", packed.codes.reshape(packed.n, -1))
        scales = self._constant(f"{name}.scales", packed.scales)
        self._add(
            "GatherBlockQuantized",
            [rows, tokens, scales],
            [out if packed.k == packed.codes.shape[1] * packed.block else f"{out}.padded"],
            domain=_MICROSOFT,
            bits=packed.bits,
            block_size=packed.block,
            quantize_axis=1,
            gather_axis=0,
        )
        if packed.k != packed.codes.shape[1] * packed.block:
            bounds = [
                self._constant(f"{out}.{k}", np.array([v]))
                for k, v in (("from", 0), ("to", packed.k), ("axis", -1))
            ]
            self._add("Slice", [f"{out}.padded", *bounds], [out])
        return out

    def _rotation(self) -> None:
        """cos and sin [context, head dim / 2]."""
        frequencies = rope_frequencies(self._gguf, self._config)
        angles = np.arange(self._context)[:, None] * frequencies
        self._constant("cos", np.cos(angles).astype(np.float32))
        self._constant("sin", np.sin(angles).astype(np.float32))

    def _pack(self, names: Sequence[str]) -> Packed:
        packed = pack(self._gguf, names)
        if not np.isfinite(packed.scales).all():
            for name in names:
                self._tensor(name)  # raises GgufError for the one that is not finite
        return packed

    def _tensor(self, name: str) -> NDArray[np.float32]:
        tensor = self._gguf.tensor(name)
        if not np.isfinite(tensor).all():
            raise GgufError(self._gguf.path, None, f"weights of {name!r} are not finite")
        return tensor

    def _add(self, op: str, inputs: list[str], outputs: list[str], **attributes: Any) -> None:  # noqa: ANN401  # what ONNX attributes can be
        self._nodes.append(helper.make_node(op, inputs, outputs, name=outputs[0], **attributes))

    def _constant(self, name: str, array: NDArray) -> str:  # type: ignore[type-arg]  # any element type
        """Put `array` into the weights file; shapes, which the runtime must see early, into the model."""
        raw = np.ascontiguousarray(array)
        if raw.dtype == np.int64:
            self._constants.append(helper.make_tensor(name, TensorProto.INT64, raw.shape, raw.tolist()))
            return name
        tensor = TensorProto(name=name, data_type=helper.np_dtype_to_tensor_dtype(raw.dtype), dims=raw.shape)
        tensor.data_location = TensorProto.EXTERNAL
        for key, value in (("location", WEIGHTS_FILE), ("offset", self._size), ("length", raw.nbytes)):
            tensor.external_data.append(StringStringEntryProto(key=key, value=str(value)))
        self._constants.append(tensor)
        self._pieces.append(raw.reshape(-1).view(np.uint8))
        self._size += raw.nbytes + -raw.nbytes % _ALIGNMENT
        return name

    def _inputs(self) -> list[ValueInfoProto]:
        info = helper.make_tensor_value_info
        c = self._config
        inputs = [
            info("tokens", TensorProto.INT64, ["batch", "new"]),
            info("lengths", TensorProto.INT32, ["batch"]),
            info("longest", TensorProto.INT32, []),
            info("query_lengths", TensorProto.INT32, ["batch"]),
            info("rows", TensorProto.INT64, ["logits"]),
        ]
        inputs += [self._cache_info(f"{part}.{i}") for i in range(c.layers) for part in ("key", "value")]
        if self._kv_scales is not None:
            scale = [c.kv_heads, 1, c.head_dim]
            inputs += [
                info(f"{part}_scale.{i}", TensorProto.FLOAT, scale)
                for i in range(c.layers)
                for part in ("key", "value")
            ]
        return inputs

    def _outputs(self) -> list[ValueInfoProto]:
        layers = range(self._config.layers)
        logits = helper.make_tensor_value_info(
            "logits", TensorProto.FLOAT, ["logits", self._config.vocabulary]
        )
        return [logits, *(self._cache_info(f"new_{part}.{i}") for i in layers for part in ("key", "value"))]

    def _cache_info(self, name: str) -> ValueInfoProto:
        kind = TensorProto.INT8 if self._kv_scales is not None else TensorProto.FLOAT
        shape: list[str | int | None] = ["batch", self._config.kv_heads, self._context, self._config.head_dim]
        return helper.make_tensor_value_info(name, kind, shape)


def check_heads(gguf: GgufFile, config: LlamaConfig) -> None:
    """Raise GgufError for heads that no kernel here takes, the compiled one included."""
    if config.head_dim % 16:  # of the attention's vectorised rotary embedding
        raise GgufError(gguf.path, None, f"heads of {config.head_dim} channels are not supported, only 16s")


def _concatenate(pieces: list[NDArray[np.uint8]], size: int) -> NDArray[np.uint8]:
    out = np.zeros(size, np.uint8)
    offset = 0
    for piece in pieces:
        out[offset : offset + piece.size] = piece
        offset += piece.size + -piece.size % _ALIGNMENT
    return out
