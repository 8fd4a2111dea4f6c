"""The weights in Moonshine's shipped `.ort` files as a float32 state dict, named as in the hub's checkpoints.

ONNX Runtime writes an `.ort` file back as ONNX, where the names of the nodes tell the modules and the weights
are 8-bit codes with one scale and zero point a tensor.
"""

import re
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path

import numpy as np
import onnx
import onnxruntime as ort
from numpy.typing import NDArray
from onnx import numpy_helper

from asr.onnx import REFUSALS, ModelFileError

Array = NDArray[np.float32]
StateDict = dict[str, Array]

_MODULE = re.compile(r"^/(?:model/decoder/)?(.*?)/MatMul_quant$")
_NAMED = re.compile(r"^(?:model\.decoder\.)?(.*\.(?:weight|bias))(?:_merged_\d+|_add_tensor)*$")
# Where the two operators that multiply by 8-bit weights keep codes, scale, zero point and bias.
_OPERANDS = {"MatMulIntegerToFloat": (1, 3, 5, 6), "DynamicQuantizeMatMul": (1, 2, 3, 4)}


def read_encoder(path: Path) -> StateDict:
    """The encoder's weights, `conv1.weight` to `layer_norm.weight`; raises ModelFileError."""
    graph = _as_onnx(path).graph
    state = dict(_weights(path, graph, {}))
    for node in graph.node:  # the affine part of the GroupNorm was left as a product and a sum
        if node.name in ("/groupnorm/Mul", "/groupnorm/Add"):
            name = "groupnorm.weight" if node.op_type == "Mul" else "groupnorm.bias"
            state[name] = _initializers(graph)[node.input[1]].reshape(-1)
    return _checked(path, state, "conv1.weight", "groupnorm.bias", "layer_norm.weight")


def read_decoder(path: Path) -> StateDict:
    """The decoder's weights, `embed_tokens.weight` to `norm.weight`; the output head is the embedding."""
    graph = _as_onnx(path).graph
    outer = _initializers(graph)
    state: StateDict = {}
    for branch in (a.g for node in graph.node if node.op_type == "If" for a in node.attribute):
        state.update(_weights(path, branch, outer))
    state.update(_table(outer, "model.decoder.embed_tokens.weight_merged_0"))
    state.pop("proj_out.weight", None)
    return _checked(path, state, "embed_tokens.weight", "layers.0.encoder_attn.k_proj.weight", "norm.weight")


def _as_onnx(path: Path) -> onnx.ModelProto:
    options = ort.SessionOptions()
    options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_DISABLE_ALL
    options.add_session_config_entry("session.save_model_format", "ONNX")
    with tempfile.TemporaryDirectory() as folder:
        options.optimized_model_filepath = str(Path(folder) / "model.onnx")
        try:
            ort.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
        except REFUSALS as error:
            reason = " ".join(str(error).split())
            raise ModelFileError(f"{path}: not a model that ONNX Runtime can load: {reason}") from error
        return onnx.load(options.optimized_model_filepath)


def _weights(path: Path, graph: onnx.GraphProto, outer: Mapping[str, Array]) -> Iterator[tuple[str, Array]]:
    found = {**outer, **_initializers(graph)}
    for name, values in found.items():
        if named := _NAMED.match(name):
            yield named[1], values.astype(np.float32)
    for node in graph.node:
        module = _MODULE.match(node.name)
        if not module or node.op_type not in _OPERANDS:
            continue
        codes, scale, zero, bias = (_operand(found, node, index) for index in _OPERANDS[node.op_type])
        if codes is None or scale is None or zero is None:
            raise ModelFileError(f"{path}: {node.name}: its weights are not in the file")
        yield f"{module[1].replace('/', '.')}.weight", _dequantize(codes, scale, zero).T.copy()
        if bias is not None:
            yield f"{module[1].replace('/', '.')}.bias", bias


def _operand(found: Mapping[str, Array], node: onnx.NodeProto, index: int) -> Array | None:
    return found.get(node.input[index]) if index < len(node.input) else None


def _table(found: Mapping[str, Array], name: str) -> StateDict:
    codes, scale, zero = (found.get(f"{name}_{part}") for part in ("quantized", "scale", "zero_point"))
    if codes is None or scale is None or zero is None:
        return {}
    return {"embed_tokens.weight": _dequantize(codes, scale, zero)}


def _dequantize(codes: Array, scale: Array, zero: Array) -> Array:
    values: Array = (codes.astype(np.float32) - zero.astype(np.float32)) * scale.astype(np.float32)
    return values


def _initializers(graph: onnx.GraphProto) -> dict[str, Array]:
    return {tensor.name: numpy_helper.to_array(tensor) for tensor in graph.initializer}


def _checked(path: Path, state: StateDict, *names: str) -> StateDict:
    missing = [name for name in names if name not in state]
    if missing:
        raise ModelFileError(f"{path}: no {missing[0]} in it: not the file of a Moonshine model")
    return state
