"""The ONNX graphs of the encoders: with full attention, and the layers of the streaming one.

What a streaming layer must remember is among its inputs and outputs, of a size that does not grow. Every
layer is a little behind the one before it, because its frames wait for those to their right.
"""

from collections.abc import Mapping
from itertools import accumulate

import numpy as np

from asr.moonshine.config import MoonshineConfig, Window, Windows, look_ahead
from asr.moonshine.graph_ops import NORM_EPSILON, Array, GraphBuilder, WeightType, stacked
from asr.moonshine.stem_graph import first_convolution, other_convolutions
from asr.onnx import OnnxGraph


def delays(windows: Windows) -> tuple[int, ...]:
    """How many frames the input of each layer, and the output of the last, is behind the convolutions."""
    return tuple(accumulate((window.right for window in windows), initial=0))


def full_graph(
    state: Mapping[str, Array], config: MoonshineConfig, weights: WeightType = "int8"
) -> OnnxGraph:
    """The encoder with full attention.

    Inputs: `audio` [samples]; `cos` and `sin` [frames, rotary dim / 2] of the positions. Output: `hidden` [1,
    frames, width].
    """
    graph, width = GraphBuilder("full", weights), config.width
    graph.input("audio", ["samples"])
    _inputs_of_rotation(graph, config)
    x = first_convolution(graph, state)
    flat = graph.add("Reshape", [x, graph.shape(1, 1, -1)], "flat")
    one, none = graph.constant("one", np.ones(1, np.float32)), graph.constant("none", np.zeros(1, np.float32))
    graph.add("InstanceNormalization", [flat, one, none], "normed.flat", epsilon=NORM_EPSILON)
    x = graph.add("Reshape", ["normed.flat", graph.shape(1, width, -1)], "conv2.new")
    x = other_convolutions(graph, state, x)
    x = graph.add("Transpose", [x], "frames", perm=[0, 2, 1])
    for i in range(config.layers):
        name = f"layers.{i}.self_attn"
        normed = graph.norm(x, state[f"layers.{i}.input_layernorm.weight"], f"in.{i}")
        graph.linear(normed, stacked(state, name, "q_proj", "k_proj", "v_proj"), f"qkv.{i}")
        parts = [f"{part}.{i}" for part in ("query", "key", "value")]
        graph.add("Split", [f"qkv.{i}"], *parts, axis=2, num_outputs=3)
        turned = [_turn(graph, config, part, 0) for part in parts[:2]]
        heads = {"num_heads": config.heads, "scale": config.head_dim**-0.5}
        graph.add("MultiHeadAttention", [*turned, parts[2]], f"attended.{i}", **heads)
        merged = graph.linear(f"attended.{i}", state[f"{name}.o_proj.weight"], f"merged.{i}")
        x = _mlp(graph, state, i, graph.add("Add", [x, merged], f"attended.{i}.sum"))
    graph.norm(x, state["layer_norm.weight"], "hidden")
    graph.output("hidden", [1, "frames", width])
    return graph.build()


def layers_graph(
    state: Mapping[str, Array], windows: Windows, config: MoonshineConfig, weights: WeightType = "int8"
) -> OnnxGraph:
    """The layers, on `new` frames of the convolutions; they give as many, look_ahead(windows) frames older.

    Inputs: `frames` [1, new, width]; `sinusoids` [new, position dim] of their positions, and
    `old_sinusoids` of those of the frames that come out; `cos` and `sin` [look ahead + new, rotary dim / 2]
    from the oldest of these positions to the newest; for each layer N `key.N` and `value.N` [1, left +
    right, heads * head dim] of the frames before, `waiting.N` [1, right, width], its inputs that could not
    attend yet, and `mask.N` [1, 1, new, left + right + new], which is added to the scores. What would be
    empty is left out. Outputs: `hidden` [1, new, width]; `next_key.N`, `next_value.N`, `next_waiting.N`.
    """
    graph = GraphBuilder("layers", weights)
    x = graph.input("frames", [1, "new", config.width])
    position_dim = state["position_in.weight"].shape[1]
    for name in ("sinusoids", "old_sinusoids"):
        graph.input(name, ["new", position_dim])
    _inputs_of_rotation(graph, config)
    graph.dense("sinusoids", state["position_in.weight"], "position_in", state["position_in.bias"])
    x = graph.add("Add", [x, "position_in"], "placed")
    ahead = look_ahead(windows)
    for i, (window, delay) in enumerate(zip(windows, delays(windows), strict=False)):
        x, rows = _attend(graph, state, config, i, window, x, ahead - delay)
        x = _mlp(graph, state, i, graph.add("Add", [rows, x], f"attended.{i}.sum"))
    normed = graph.norm(x, state["layer_norm.weight"], "normed")
    graph.dense("old_sinusoids", state["position_out.weight"], "position_out", state["position_out.bias"])
    graph.add("Add", [normed, "position_out"], "hidden")
    graph.output("hidden", [1, "new", config.width])
    return graph.build()


def _attend(
    graph: GraphBuilder,
    state: Mapping[str, Array],
    config: MoonshineConfig,
    i: int,
    window: Window,
    x: str,
    position: int,
) -> tuple[str, str]:
    """The attention of layer `i` to new inputs `x`, whose first rotation is row `position` of the table.

    Returns what it gives for the rows whose right side is known by now, and those rows.
    """
    right, width, name = window.right, config.width, f"layers.{i}.self_attn"
    if right:
        graph.input(f"waiting.{i}", [1, right, width])
        x = graph.add("Concat", [f"waiting.{i}", x], f"rows.{i}", axis=1)
        _keep_rows(graph, x, right, f"next_waiting.{i}", width)
    normed = graph.norm(x, state[f"layers.{i}.input_layernorm.weight"], f"in.{i}")
    old, new = normed, normed
    if right:
        x = graph.rows(x, 0, -right, f"old_rows.{i}")
        old, new = graph.rows(normed, 0, -right, f"old.{i}"), graph.rows(normed, right, None, f"new.{i}")
    graph.linear(old, state[f"{name}.q_proj.weight"], f"query.{i}")
    graph.linear(new, stacked(state, name, "k_proj", "v_proj"), f"key_value.{i}")
    graph.add("Split", [f"key_value.{i}"], f"new_key.{i}", f"new_value.{i}", axis=2, num_outputs=2)
    query = _turn(graph, config, f"query.{i}", position - right)
    keys, values = _turn(graph, config, f"new_key.{i}", position), f"new_value.{i}"
    if window.left + right:
        keys = _remember(graph, keys, f"key.{i}", window, config)
        values = _remember(graph, values, f"value.{i}", window, config)
    graph.input(f"mask.{i}", [1, 1, "new", f"seen.{window.left + right}"])
    inputs = [query, keys, values, "", "", f"mask.{i}"]
    heads = {"num_heads": config.heads, "scale": config.head_dim**-0.5}
    graph.add("MultiHeadAttention", inputs, f"attended.{i}", **heads)
    return graph.linear(f"attended.{i}", state[f"{name}.o_proj.weight"], f"merged.{i}"), x


def _inputs_of_rotation(graph: GraphBuilder, config: MoonshineConfig) -> None:
    for name in ("cos", "sin"):
        graph.input(name, ["positions", config.rotary_dim // 2])


def _turn(graph: GraphBuilder, config: MoonshineConfig, x: str, position: int) -> str:
    """Rotate the heads of x by the table's rows from `position` on."""
    sizes = {"num_heads": config.heads, "rotary_embedding_dim": config.rotary_dim}
    inputs = [x, graph.shape(position), "cos", "sin"]
    return graph.add("RotaryEmbedding", inputs, f"{x}.turned", interleaved=1, **sizes)


def _remember(graph: GraphBuilder, x: str, name: str, window: Window, config: MoonshineConfig) -> str:
    """The rows of the input `name` and then x; the last of them are kept."""
    span, width = window.left + window.right, config.heads * config.head_dim
    graph.input(name, [1, span, width])
    joined = graph.add("Concat", [name, x], f"{name}.all", axis=1)
    _keep_rows(graph, joined, span, f"next_{name}", width)
    return joined


def _keep_rows(graph: GraphBuilder, x: str, count: int, out: str, width: int) -> None:
    graph.rows(x, -count, None, out)
    graph.output(out, [1, count, width])


def _mlp(graph: GraphBuilder, state: Mapping[str, Array], i: int, x: str) -> str:
    """Layer `i` of an encoder from behind its attention: x and its MLP."""
    name = f"layers.{i}.mlp"
    normed = graph.norm(x, state[f"layers.{i}.post_attention_layernorm.weight"], f"mlp_in.{i}")
    graph.linear(normed, state[f"{name}.fc1.weight"], f"fc1.{i}", state[f"{name}.fc1.bias"])
    graph.add("Gelu", [f"fc1.{i}"], f"gelu.{i}")
    graph.linear(f"gelu.{i}", state[f"{name}.fc2.weight"], f"fc2.{i}", state[f"{name}.fc2.bias"])
    return graph.add("Add", [x, f"fc2.{i}"], f"layer.{i}")
