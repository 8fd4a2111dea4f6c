"""The ONNX graphs of the decoder: what it keeps of the audio, and a pass over new tokens.

Keys and values of the tokens are written in place by the attention; those of the audio are read where they
were put. The choice among the vocabulary is made inside, so that no logits leave. Each row of a pass chooses
as if it were read alone, from the same logits to the last bit: a draft changes no text.
"""

import math
from collections.abc import Mapping

import numpy as np
from onnx import TensorProto

from asr.moonshine.config import Heads, MoonshineConfig
from asr.moonshine.graph_ops import Array, GraphBuilder, Shape, WeightType, rotation, stacked
from asr.moonshine.quantize import BLOCK, quantize
from asr.onnx import OnnxGraph

LONGEST = 2048  # tokens: the table of rotations has a row for each
_ALIGN = 16  # channels: what the attention's rotary embedding wants a head to be a multiple of


def padded_head(config: MoonshineConfig) -> int:
    """Channels of a head in the keys and values of the tokens, the last of them zeros."""
    return config.head_dim + -config.head_dim % _ALIGN


def cross_graph(
    state: Mapping[str, Array], config: MoonshineConfig, weights: WeightType = "int8"
) -> OnnxGraph:
    """`hidden` [n, width] to `cross` [layers, 2, heads, n, head dim], keys and values of every layer."""
    graph, c = GraphBuilder("cross", weights), config
    graph.input("hidden", ["frames", c.width])
    parts = [stacked(state, f"layers.{i}.encoder_attn", "k_proj", "v_proj") for i in range(c.layers)]
    graph.linear("hidden", np.concatenate(parts), "rows")
    graph.add("Reshape", ["rows", graph.shape(-1, c.layers, 2, c.heads, c.head_dim)], "split")
    graph.add("Transpose", ["split"], "cross", perm=[1, 2, 3, 0, 4])
    graph.output("cross", [c.layers, 2, c.heads, "frames", c.head_dim])
    return graph.build()


def decode_graph(
    state: Mapping[str, Array], config: MoonshineConfig, alignment: Heads, weights: WeightType = "int8"
) -> OnnxGraph:
    """A pass over new tokens.

    Inputs: `tokens` int64 [1, new]; `last` int32 [1], their number with those before, and `total` int32 [],
    one more, because a row is added to the new ones (see `_own`); `rows_from` int64 [1], the first token
    whose successor is wanted; `watched` int64 [watched], tokens whose log-probabilities are wanted; `mask`
    [frames], 0 for a frame that is there and MASKED for one that is not; for each layer N
    `cross_key.N` and `cross_value.N` [heads, frames, head dim], and `key.N` and `value.N`
    [1, heads, capacity, padded head], to be bound to the buffers of outputs `new_key.N` and `new_value.N`.
    Other outputs: `best` int64 [rows] and its `log_prob` [rows]; `watched_log_prob`
    [rows, watched]; `attention` [rows, frames], of the heads `alignment`.
    """
    return _DecodeGraph(state, config, alignment, weights).build()


class _DecodeGraph:
    def __init__(
        self, state: Mapping[str, Array], config: MoonshineConfig, alignment: Heads, weights: WeightType
    ) -> None:
        self._state, self._config, self._alignment = state, config, alignment
        self._graph = GraphBuilder("decode", weights)
        self._int8 = weights == "int8"

    def build(self) -> OnnxGraph:
        graph, c = self._graph, self._config
        graph.input("tokens", [1, "new"], TensorProto.INT64)
        graph.input("last", [1], TensorProto.INT32)
        graph.input("total", [], TensorProto.INT32)
        graph.input("rows_from", [1], TensorProto.INT64)
        graph.input("watched", ["watched"], TensorProto.INT64)
        graph.input("mask", ["frames"])
        for name, table in zip(
            ("cos", "sin"), rotation(np.arange(LONGEST + 1), c, padded_head(c)), strict=True
        ):
            graph.constant(name, table)
        x = self._embedding()
        for i in range(c.layers):
            x = self._layer(i, x)
        self._choice(graph.norm(x, self._state["norm.weight"], "normed"))
        self._attention_of_rows()
        return graph.build()

    def _layer(self, i: int, x: str) -> str:
        graph, name = self._graph, f"layers.{i}"
        for part, branch in (
            ("input", self._own),
            ("post_attention", self._cross),
            ("final", self._mlp),
        ):
            normed = graph.norm(x, self._state[f"{name}.{part}_layernorm.weight"], f"{part}.{i}")
            x = graph.add("Add", [x, branch(i, normed)], f"{part}.{i}.sum")
        return x

    def _own(self, i: int, x: str) -> str:
        """Attention to the tokens, whose heads are filled up with zeros."""
        graph, c, name = self._graph, self._config, f"layers.{i}.self_attn"
        head, wide = c.head_dim, padded_head(c)
        qkv = stacked(self._state, name, "q_proj", "k_proj", "v_proj").reshape(3 * c.heads, head, c.width)
        filled = np.pad(qkv, ((0, 0), (0, wide - head), (0, 0)))
        graph.linear(x, filled.reshape(-1, c.width), f"qkv.{i}")
        cache: Shape = [1, c.heads, "capacity", wide]
        keys, values = graph.input(f"key.{i}", cache), graph.input(f"value.{i}", cache)
        # One row more, because the attention of a single row is computed in another way.
        graph.add("Pad", [f"qkv.{i}", graph.shape(0, 0, 0, 0, 1, 0)], f"padded.{i}")
        inputs = [f"padded.{i}", "", "", keys, values, "last", "total", "cos", "sin"]
        outputs = (f"own_padded.{i}", f"new_key.{i}", f"new_value.{i}")
        sizes = {"num_heads": c.heads, "kv_num_heads": c.heads, "scale": head**-0.5}
        graph.add("GroupQueryAttention", inputs, *outputs, do_rotary=1, rotary_interleaved=1, **sizes)
        for output in outputs[1:]:
            graph.output(output, cache)
        bounds = [graph.shape(size) for size in (0, -1, 1)]
        graph.add("Slice", [outputs[0], *bounds], f"own.{i}")
        merge = self._state[f"{name}.o_proj.weight"].reshape(c.width, c.heads, head)
        filled = np.pad(merge, ((0, 0), (0, 0), (0, wide - head)))
        return graph.linear(f"own.{i}", filled.reshape(c.width, -1), f"own_out.{i}")

    def _cross(self, i: int, x: str) -> str:
        """Attention to the audio; `weights.N` are [heads, new, frames]."""
        graph, c, name = self._graph, self._config, f"layers.{i}.encoder_attn"
        audio: Shape = [c.heads, "frames", c.head_dim]
        keys, values = graph.input(f"cross_key.{i}", audio), graph.input(f"cross_value.{i}", audio)
        graph.linear(x, self._state[f"{name}.q_proj.weight"], f"query.{i}")
        query = graph.add("Reshape", [f"query.{i}", graph.shape(-1, c.heads, c.head_dim)], f"query_heads.{i}")
        turned = {"transBatchA": 1, "transB": 1, "alpha": c.head_dim**-0.5}
        scores = graph.add("FusedMatMul", [query, keys], f"scores.{i}", **turned)
        scores = graph.add("Add", [scores, "mask"], f"masked_scores.{i}")
        shares = graph.add("Softmax", [scores], f"weights.{i}", axis=-1)
        # Twice as much, halved by the next matrix: a product of one row that is not scaled goes another way.
        found = graph.add("FusedMatMul", [shares, values], f"found.{i}", alpha=2.0)
        found = graph.add("Transpose", [found], f"found_rows.{i}", perm=[1, 0, 2])
        found = graph.add("Reshape", [found, graph.shape(1, -1, c.heads * c.head_dim)], f"found_flat.{i}")
        return graph.linear(found, self._state[f"{name}.o_proj.weight"] * np.float32(0.5), f"cross_out.{i}")

    def _mlp(self, i: int, x: str) -> str:
        graph, name = self._graph, f"layers.{i}.mlp"
        graph.linear(x, self._state[f"{name}.fc1.weight"], f"fc1.{i}", self._state[f"{name}.fc1.bias"])
        graph.add("Split", [f"fc1.{i}"], f"up.{i}", f"gate.{i}", axis=-1, num_outputs=2)
        graph.add("QuickGelu", [f"gate.{i}"], f"silu.{i}", alpha=1.0)
        graph.add("Mul", [f"silu.{i}", f"up.{i}"], f"gated.{i}")
        weight, bias = self._state[f"{name}.fc2.weight"], self._state[f"{name}.fc2.bias"]
        return graph.linear(f"gated.{i}", weight, f"mlp_out.{i}", bias)

    def _embedding(self) -> str:
        graph, table = self._graph, self._state["embed_tokens.weight"]
        if not self._int8:
            return graph.add("Gather", [graph.constant("table", table), "tokens"], "embedded", axis=0)
        blocks = quantize(table)
        codes = graph.constant("table.codes", blocks.codes.reshape(len(table), -1))
        inputs = [codes, "tokens", graph.constant("table.scales", blocks.scales)]
        layout = {"bits": 8, "block_size": BLOCK, "quantize_axis": 1, "gather_axis": 0}
        rows = graph.add("GatherBlockQuantized", inputs, "embedded", **layout)
        return graph.rows(rows, 0, blocks.k, "embedded.cut", axis=2) if blocks.k % BLOCK else rows

    def _choice(self, x: str) -> None:
        """The most likely token after each row and its log-probability."""
        graph = self._graph
        rows = graph.add("Slice", [x, "rows_from", graph.shape(LONGEST), graph.shape(1)], "rows")
        rows = graph.add("Reshape", [rows, graph.shape(-1, self._config.width)], "flat_rows")
        head = self._state["embed_tokens.weight" if self._config.tied else "proj_out.weight"]
        graph.linear(rows, head, "logits")
        self._arg_max("logits", "best")
        graph.output("best", ["rows"], TensorProto.INT64)
        # ReduceLogSumExp takes ten times as long.
        graph.add("Softmax", ["logits"], "probabilities", axis=1)
        graph.add("ReduceMax", ["probabilities", graph.shape(1)], "probability", keepdims=0)
        graph.add("Log", ["probability"], "log_prob")
        graph.output("log_prob", ["rows"])
        graph.add("Gather", ["probabilities", "watched"], "watched_probability", axis=1)
        graph.add("Log", ["watched_probability"], "watched_log_prob")
        graph.output("watched_log_prob", ["rows", "watched"])

    def _arg_max(self, x: str, out: str) -> None:
        """ArgMax of the rows of x, by parts: ArgMax is scalar code and ReduceMax is not; 9 times as fast."""
        graph, part = self._graph, math.gcd(self._config.vocabulary, 128)
        graph.add("Reshape", [x, graph.shape(-1, self._config.vocabulary // part, part)], "parts")
        graph.add("ReduceMax", ["parts", graph.shape(2)], "of_parts", keepdims=0)
        graph.add("ArgMax", ["of_parts"], "best_part", axis=1, keepdims=1)
        graph.add("GatherND", ["parts", "best_part"], "inside", batch_dims=1)
        graph.add("ArgMax", ["inside"], "best_inside", axis=1, keepdims=1)
        graph.add("Mul", ["best_part", graph.shape(part)], "part_begin")
        graph.add("Add", ["part_begin", "best_inside"], "best_column")
        graph.add("Squeeze", ["best_column", graph.shape(1)], out)

    def _attention_of_rows(self) -> None:
        """The weights of the alignment heads, averaged."""
        graph = self._graph
        sums = []
        for layer in sorted({layer for layer, _ in self._alignment}):
            heads = graph.shape(*sorted(head for at, head in self._alignment if at == layer))
            inputs = [f"weights.{layer}", "rows_from", graph.shape(LONGEST), graph.shape(1)]
            graph.add("Slice", inputs, f"row_weights.{layer}")
            graph.add("Gather", [f"row_weights.{layer}", heads], f"aligned.{layer}", axis=0)
            sums.append(f"aligned.{layer}")
        graph.add("Concat", sums, "aligned", axis=0)
        graph.add("ReduceMean", ["aligned", graph.shape(0)], "attention", keepdims=0)
        graph.output("attention", ["rows", "frames"])
