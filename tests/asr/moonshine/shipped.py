"""The graphs that Moonshine ships, as they are, and with their activations left in floats.

The shipped graphs round the activations before each product to 8 bits, with one scale a tensor. A
difference of 1e-5 changes some roundings, and six layers make 5 % of it, so no other implementation comes
closer. Hence the same graphs with float products, where only rounding errors of floats are left.
"""

import tempfile
from collections.abc import Iterator, Sequence
from functools import cache
from pathlib import Path

import numpy as np
import onnx
import onnxruntime as ort
from numpy.typing import NDArray
from onnx import helper, numpy_helper

LAYERS, HEADS, HEAD_DIM = 6, 8, 36
BOS, EOS = 1, 2
# Where each product keeps its codes, scale, zero point and bias
_OPERANDS = {"MatMulIntegerToFloat": (1, 3, 5, 6), "DynamicQuantizeMatMul": (1, 2, 3, 4)}

Array = NDArray[np.float32]


@cache
def as_onnx(path: Path) -> onnx.ModelProto:
    """The model of an `.ort` file."""
    options = ort.SessionOptions()
    options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_DISABLE_ALL
    options.add_session_config_entry("session.save_model_format", "ONNX")
    with tempfile.TemporaryDirectory() as folder:
        options.optimized_model_filepath = str(Path(folder) / "model.onnx")
        ort.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
        return onnx.load(options.optimized_model_filepath)


def open_model(model: onnx.ModelProto | Path) -> ort.InferenceSession:
    """A session with one thread."""
    content = model.read_bytes() if isinstance(model, Path) else model.SerializeToString()
    options = ort.SessionOptions()
    options.intra_op_num_threads = 1
    return ort.InferenceSession(content, options, providers=["CPUExecutionProvider"])


def open_floats(path: Path) -> ort.InferenceSession:
    """The same graph with float products in place of the 8-bit ones."""
    model = onnx.ModelProto()
    model.CopyFrom(as_onnx(path))
    graphs = _graphs(model)
    values = {t.name: numpy_helper.to_array(t) for graph in graphs for t in graph.initializer}
    nodes = [node for graph in graphs for node in graph.node]
    rounded = {n.output[0]: n.input[0] for n in nodes if n.op_type == "DynamicQuantizeLinear"}
    for graph in graphs:
        graph.name = graph.name or "branch"  # ONNX wants names, and the .ort format keeps none
        nodes = [copy for node in graph.node for copy in _in_floats(graph, node, values, rounded)]
        del graph.node[:]
        graph.node.extend(nodes)
    return open_model(model)


def products(model: onnx.ModelProto) -> Iterator[tuple[onnx.NodeProto, dict[str, Array]]]:
    """The products with 8-bit weights, each with the values that it may name; branches repeat some."""
    outer = {tensor.name: numpy_helper.to_array(tensor) for tensor in model.graph.initializer}
    for graph in _graphs(model):
        values = outer | {tensor.name: numpy_helper.to_array(tensor) for tensor in graph.initializer}
        for node in graph.node:
            if node.op_type in _OPERANDS:
                yield node, values


def operands(node: onnx.NodeProto) -> tuple[str, ...]:
    """The names of a product's codes, scale, zero point and, if it is not empty, bias."""
    inputs = [*node.input, "", ""]
    return tuple(inputs[place] for place in _OPERANDS[node.op_type])


def _graphs(model: onnx.ModelProto) -> list[onnx.GraphProto]:
    """The branches before the graph that has them, whose nodes can then be copied with their branches."""
    return [*(a.g for node in model.graph.node for a in node.attribute if a.HasField("g")), model.graph]


def _in_floats(
    graph: onnx.GraphProto, node: onnx.NodeProto, values: dict[str, Array], rounded: dict[str, str]
) -> list[onnx.NodeProto]:
    if node.op_type not in _OPERANDS:
        return [node]
    codes, scale, zero, bias = operands(node)
    weight = (values[codes].astype(np.float64) - values[zero]) * values[scale]
    product, out = f"{node.name}_floats", node.output[0]
    graph.initializer.append(numpy_helper.from_array(weight.astype(np.float32), f"{product}_weight"))
    x = rounded.get(node.input[0], node.input[0])
    if not bias:
        return [helper.make_node("MatMul", [x, f"{product}_weight"], [out], product)]
    multiply = helper.make_node("MatMul", [x, f"{product}_weight"], [product], product)
    return [multiply, helper.make_node("Add", [product, bias], [out], f"{product}_add")]


def encode(session: ort.InferenceSession, audio: Array) -> Array:
    """Hidden states [1, frames, 288] of `audio` [n]."""
    hidden: Array = session.run(
        None, {"input_values": audio[None], "attention_mask": np.ones((1, len(audio)), np.int64)}
    )[0]
    return hidden


def logits(session: ort.InferenceSession, hidden: Array, tokens: Sequence[int]) -> Array:
    """The logits after each of `tokens`, read in one pass: [tokens, vocabulary]."""
    frames = hidden.shape[1]
    feeds = {
        "input_ids": np.array([tokens]),
        "encoder_hidden_states": hidden,
        "encoder_attention_mask": np.ones((1, frames * 384), np.int64),
        "use_cache_branch": np.array([False]),
    }
    for layer in range(LAYERS):
        for kind in ("key", "value"):
            for side, positions in (("decoder", 0), ("encoder", frames)):
                past = np.zeros((1, HEADS, positions, HEAD_DIM), np.float32)
                feeds[f"past_key_values.{layer}.{side}.{kind}"] = past
    found: Array = session.run(["logits"], feeds)[0][0]
    return found


def read(session: ort.InferenceSession, hidden: Array, limit: int = 60) -> list[int]:
    """The tokens of `hidden`, chosen greedily; every step reads all of them again."""
    tokens = [BOS]
    while len(tokens) <= limit and (best := int(logits(session, hidden, tokens)[-1].argmax())) != EOS:
        tokens.append(best)
    return tokens[1:]
