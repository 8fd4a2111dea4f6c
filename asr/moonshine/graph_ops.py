"""A builder of ONNX graphs: nodes that are named by what they give, and weights in a file of their own."""

from collections.abc import Mapping, Sequence
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from onnx import NodeProto, StringStringEntryProto, TensorProto, ValueInfoProto, helper

from asr.moonshine.config import MoonshineConfig
from asr.moonshine.quantize import BLOCK, Blocks, quantize
from asr.onnx import WEIGHTS_FILE, OnnxGraph

Array = NDArray[np.float32]
Shape = Sequence[int | str]
WeightType = Literal["int8", "float32"]

NORM_EPSILON = 1e-5
MASKED = -1e9  # added to the score of a frame that is not attended to: its weight becomes exactly 0
_MICROSOFT = "com.microsoft"
_OF_MICROSOFT = {
    "FusedMatMul",
    "GatherBlockQuantized",
    "Gelu",
    "GroupQueryAttention",
    "MatMulNBits",
    "MultiHeadAttention",
    "QuickGelu",
    "RotaryEmbedding",
}
_END = 2**31  # in a Slice: as far as there is anything
_SHORTEST_PERIOD, _LONGEST_PERIOD = 8.0, 4096.0  # frames; as in `asr.moonshine.local`
_ALIGNMENT = 64  # bytes, for the runtime's vector loads


class GraphBuilder:
    """Collects nodes, constants, inputs and outputs; `build` makes a model of them."""

    def __init__(self, name: str, weights: WeightType = "int8") -> None:
        self._name, self._weights = name, weights
        self._nodes: list[NodeProto] = []
        self._constants: dict[str, TensorProto] = {}
        self._pieces: list[NDArray[np.uint8]] = []
        self._size = 0
        self._inputs: list[ValueInfoProto] = []
        self._outputs: list[ValueInfoProto] = []

    def input(self, name: str, shape: Shape, kind: int = TensorProto.FLOAT) -> str:
        """Declare an input; returns its name."""
        self._inputs.append(helper.make_tensor_value_info(name, kind, shape))
        return name

    def output(self, name: str, shape: Shape, kind: int = TensorProto.FLOAT) -> None:
        """Declare that what is called `name` leaves the graph."""
        self._outputs.append(helper.make_tensor_value_info(name, kind, shape))

    def add(self, op: str, inputs: Sequence[str], *outputs: str, **attributes: Any) -> str:  # noqa: ANN401  # what ONNX attributes can be
        """Append a node; returns the first of its `outputs`."""
        domain = _MICROSOFT if op in _OF_MICROSOFT else ""
        node = helper.make_node(op, inputs, outputs, name=outputs[0], domain=domain, **attributes)
        self._nodes.append(node)
        return outputs[0]

    def constant(self, name: str, array: NDArray[Any]) -> str:
        """Keep `array` under `name`: integers, which are shapes, in the model, others in the weights."""
        raw = np.ascontiguousarray(array).reshape(np.shape(array))
        assert name not in self._constants, f"two constants called {name!r}"
        if raw.dtype == np.int64:
            values = raw.ravel().tolist()
            self._constants[name] = helper.make_tensor(name, TensorProto.INT64, raw.shape, values)
            return name
        tensor = TensorProto(name=name, data_type=helper.np_dtype_to_tensor_dtype(raw.dtype), dims=raw.shape)
        tensor.data_location = TensorProto.EXTERNAL
        for key, value in (("location", WEIGHTS_FILE), ("offset", self._size), ("length", raw.nbytes)):
            tensor.external_data.append(StringStringEntryProto(key=key, value=str(value)))
        self._constants[name] = tensor
        padded = np.zeros(raw.nbytes + -raw.nbytes % _ALIGNMENT, np.uint8)
        padded[: raw.nbytes] = raw.reshape(-1).view(np.uint8)
        self._pieces.append(padded)
        self._size += padded.size
        return name

    def shape(self, *sizes: int) -> str:
        """A constant list of integers."""
        name = f"ints.{'.'.join(map(str, sizes))}"
        return name if name in self._constants else self.constant(name, np.array(sizes, np.int64))

    def linear(self, x: str, weight: Array, out: str, bias: Array | None = None) -> str:
        """out = x @ weight^T + bias, `weight` [n, k]."""
        if self._weights == "int8":
            return self.linear_blocks(x, quantize(weight), out, bias)
        return self.dense(x, weight, out, bias)

    def dense(self, x: str, weight: Array, out: str, bias: Array | None = None) -> str:
        """The same in float32 whatever the other weights are."""
        matrix = self.constant(f"{out}.weight", weight.T)
        if bias is None:
            return self.add("MatMul", [x, matrix], out)
        product = self.add("MatMul", [x, matrix], f"{out}.product")
        return self.add("Add", [product, self.constant(f"{out}.bias", bias)], out)

    def linear_blocks(self, x: str, blocks: Blocks, out: str, bias: Array | None = None) -> str:
        """The same with a matrix of 8-bit blocks; x is rounded to 8 bits too, by blocks of its rows."""
        codes = self.constant(f"{out}.codes", blocks.codes)
        scales = self.constant(f"{out}.scales", blocks.scales)
        inputs = [x, codes, scales, "", "", "" if bias is None else self.constant(f"{out}.bias", bias)]
        sizes = {"N": len(blocks.codes), "K": blocks.k, "bits": 8, "block_size": BLOCK, "accuracy_level": 4}
        return self.add("MatMulNBits", inputs, out, **sizes)

    def rows(self, x: str, begin: int, end: int | None, out: str, axis: int = 1) -> str:
        """out = x[begin:end] along `axis`."""
        bounds = [self.shape(begin), self.shape(_END if end is None else end), self.shape(axis)]
        return self.add("Slice", [x, *bounds], out)

    def norm(self, x: str, weight: Array, out: str) -> str:
        """Layer norm without a bias."""
        inputs = [x, self.constant(f"{out}.gamma", weight)]
        return self.add("LayerNormalization", inputs, out, axis=-1, epsilon=NORM_EPSILON)

    def build(self) -> OnnxGraph:
        """The model, which runs on ONNX Runtime only."""
        graph = helper.make_graph(
            self._nodes, self._name, self._inputs, self._outputs, list(self._constants.values())
        )
        opsets = [helper.make_opsetid("", 21), helper.make_opsetid(_MICROSOFT, 1)]
        model = helper.make_model(graph, opset_imports=opsets, ir_version=10)
        weights = np.concatenate(self._pieces) if self._pieces else np.zeros(0, np.uint8)
        return OnnxGraph(model.SerializeToString(), weights)


def rotation(positions: NDArray[Any], config: MoonshineConfig, channels: int) -> tuple[Array, Array]:
    """Cosines and sines [T, channels / 2] for `positions` [T]; channels past those that turn stay."""
    exponents = np.arange(0, config.rotary_dim, 2, dtype=np.float32) / np.float32(config.rotary_dim)
    frequencies = np.zeros(channels // 2, np.float32)
    frequencies[: len(exponents)] = np.float32(config.rotary_base) ** -exponents
    angles = positions.astype(np.float32)[:, None] * frequencies
    return np.cos(angles), np.sin(angles)


def sinusoids(positions: NDArray[Any], dim: int) -> Array:
    """What the streaming encoder is told of `positions` [T]: [T, dim], first sines and then cosines."""
    steps = np.linspace(0, 1, dim // 2, dtype=np.float32)
    periods = np.float32(_SHORTEST_PERIOD) * np.float32(_LONGEST_PERIOD / _SHORTEST_PERIOD) ** steps
    angles = np.float32(2 * np.pi) * positions.astype(np.float32)[:, None] / periods
    return np.concatenate([np.sin(angles), np.cos(angles)], axis=1)


def stacked(state: Mapping[str, Array], prefix: str, *names: str) -> Array:
    """The matrices `names`, which read the same input, one below the other."""
    return np.concatenate([state[f"{prefix}.{name}.weight"] for name in names])
