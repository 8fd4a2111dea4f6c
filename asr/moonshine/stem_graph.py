"""The ONNX graph of the encoder's convolutions on a stream; the full encoder shares the convolutions.

What the graph must remember is among its inputs and outputs, of a size that does not grow.
"""

from collections.abc import Mapping

import numpy as np
from onnx import TensorProto

from asr.moonshine.config import MoonshineConfig
from asr.moonshine.graph_ops import NORM_EPSILON, Array, GraphBuilder
from asr.onnx import OnnxGraph

_DOUBLE = TensorProto.DOUBLE


def stem_graph(state: Mapping[str, Array], config: MoonshineConfig) -> OnnxGraph:
    """The convolutions, in float32, with the statistics of the audio so far.

    Inputs: `audio` [samples], the overlap and what is new; `features` [1, width, 4] and `middle`
    [1, 2 width, 1], the frames that the other two convolutions need again (none in the first call); `seen`
    double [3, 1], frames of the first convolution so far, the sum of their values and of their squares.
    Outputs: `frames` [1, new, width], and the last three for the next call, called `next_...`.
    """
    graph, width = GraphBuilder("stem"), config.width
    graph.input("audio", ["samples"])
    graph.input("features", [1, width, "features"])
    graph.input("middle", [1, 2 * width, "middle"])
    graph.input("seen", [3, 1], _DOUBLE)
    new = _running_norm(graph, first_convolution(graph, state), width)
    out = other_convolutions(graph, state, new, ("features", "middle"))
    graph.add("Transpose", [out], "frames", perm=[0, 2, 1])
    graph.output("frames", [1, "frames", width])
    graph.output(graph.rows("conv2.in", -4, None, "next_features", axis=2), [1, width, 4])
    graph.output(graph.rows("conv3.in", -1, None, "next_middle", axis=2), [1, 2 * width, 1])
    graph.output(graph.rows("so_far", -1, None, "next_seen"), [3, 1], _DOUBLE)
    return graph.build()


def first_convolution(graph: GraphBuilder, state: Mapping[str, Array]) -> str:
    """[1, width, T] of the input `audio` [samples]."""
    shaped = graph.add("Unsqueeze", ["audio", graph.shape(0, 1)], "channel")
    graph.add("Conv", [shaped, graph.constant("conv1", state["conv1.weight"])], "conv1.out", strides=[64])
    return graph.add("Tanh", ["conv1.out"], "tanh")


def other_convolutions(
    graph: GraphBuilder, state: Mapping[str, Array], x: str, before: tuple[str, str] | None = None
) -> str:
    """Convolve x [1, width, T], normalised, twice; the input of each begins with the overlap."""
    # The affine part of the norm is a part of the convolution after it, which pads nothing.
    weight = state["conv2.weight"] * state["groupnorm.weight"][:, None]
    bias = state["conv2.bias"] + np.einsum("ock,c->o", state["conv2.weight"], state["groupnorm.bias"])
    x = graph.add("Concat", [before[0], x], "conv2.in", axis=2) if before else x
    x = _convolution(graph, x, "conv2", weight, bias, 3)
    x = graph.add("Concat", [before[1], x], "conv3.in", axis=2) if before else x
    return _convolution(graph, x, "conv3", state["conv3.weight"], state["conv3.bias"], 2)


def _convolution(graph: GraphBuilder, x: str, name: str, weight: Array, bias: Array, stride: int) -> str:
    inputs = [x, graph.constant(f"{name}.weight", weight), graph.constant(f"{name}.bias", bias)]
    graph.add("Conv", inputs, f"{name}.sum", strides=[stride])
    return graph.add("Gelu", [f"{name}.sum"], f"{name}.out")


def _running_norm(graph: GraphBuilder, x: str, width: int) -> str:
    """x [1, width, T] less the mean of the frames so far, by their deviation.

    `so_far` is [3, T]: frames, sum and sum of squares, of double precision because they grow with the audio.
    """
    double = graph.add("Cast", [x], "double", to=_DOUBLE)
    graph.add("Mul", [double, double], "squared")
    graph.add("ReduceSum", [double, graph.shape(1)], "sum", keepdims=0)
    graph.add("ReduceSum", ["squared", graph.shape(1)], "square_sum", keepdims=0)
    graph.add("Sub", ["sum", "sum"], "zeros")
    graph.add("Add", ["zeros", graph.constant("one", np.array(1.0))], "ones")
    graph.add("Concat", ["ones", "sum", "square_sum"], "of_frames", axis=0)
    graph.add("CumSum", ["of_frames", graph.constant("axis", np.array(1))], "of_new")
    graph.add("Add", ["of_new", "seen"], "so_far")
    graph.add("Split", ["so_far"], "count", "total", "square_total", axis=0, num_outputs=3)
    graph.add("Mul", ["count", graph.constant("width", np.array(float(width)))], "values")
    graph.add("Div", ["total", "values"], "mean")
    graph.add("Div", ["square_total", "values"], "mean_square")
    graph.add("Mul", ["mean", "mean"], "squared_mean")
    graph.add("Sub", ["mean_square", "squared_mean"], "difference")
    graph.add("Max", ["difference", graph.constant("nothing", np.array(0.0))], "variance")
    graph.add("Add", ["variance", graph.constant("epsilon", np.array(NORM_EPSILON))], "positive")
    graph.add("Sqrt", ["positive"], "deviation")
    for name in ("mean", "deviation"):
        graph.add("Cast", [name], f"{name}.float", to=TensorProto.FLOAT)
    graph.add("Sub", [x, "mean.float"], "centred")
    return graph.add("Div", ["centred", "deviation.float"], "conv2.new")
