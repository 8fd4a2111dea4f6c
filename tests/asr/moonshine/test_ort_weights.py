"""The weights in `.ort` files: of small graphs made here, and of the shipped ones product by product."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import pytest
import shipped
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from asr.moonshine.ort_weights import read_decoder, read_encoder
from asr.onnx import ModelFileError

EXACT = 1e-6  # of the largest value; measured at most 7e-8
MODELS = {"encoder": read_encoder, "decoder": read_decoder}
# Weights that multiply: of six layers, attention and MLP, and the output head, which is the embedding too
PRODUCTS = {"encoder": 6 * (4 + 2), "decoder": 6 * (4 + 4 + 2) + 1}


def run_product(
    codes: NDArray[np.uint8], scale: NDArray[np.float32], zero: NDArray[np.uint8], x: NDArray[np.float32]
) -> NDArray[np.float32]:
    """ONNX Runtime's own product of `x` with 8-bit codes."""
    values = {"codes": codes, "scale": scale, "zero": zero}
    node = helper.make_node("DynamicQuantizeMatMul", ["x", *values], ["y"], domain="com.microsoft")
    graph = helper.make_graph(
        [node],
        "product",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, x.shape)],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, None)],
        [numpy_helper.from_array(value, name) for name, value in values.items()],
    )
    found: NDArray[np.float32] = shipped.open_model(with_opsets(graph)).run(None, {"x": x})[0]
    return found


def with_opsets(graph: onnx.GraphProto) -> onnx.ModelProto:
    opsets = [helper.make_opsetid("", 17), helper.make_opsetid("com.microsoft", 1)]
    return helper.make_model(graph, opset_imports=opsets, ir_version=8)


@pytest.mark.models
@pytest.mark.parametrize("name", MODELS)
def test_every_weight_multiplies_as_its_codes_do(name: str, model_path: Callable[[str], Path]) -> None:
    """On integers from 0 to 255, whose rounding to 8 bits is exact, so that only float sums are inexact."""
    path = model_path(f"moonshine-tiny-en-{name}")
    state, model = MODELS[name](path), shipped.as_onnx(path)
    x = np.random.default_rng(0).integers(0, 256, (3, 1152)).astype(np.float32)
    x[:, 0], x[:, 1] = 0, 255
    compared = set()
    for node, values in shipped.products(model):
        module = ".".join(node.name.removeprefix("/model/decoder").split("/")[1:-1])
        key = "embed_tokens.weight" if module == "proj_out" else f"{module}.weight"
        codes, scale, zero, bias = (values.get(operand) for operand in shipped.operands(node))
        rows = x[:, : len(codes)]
        expected = run_product(codes, scale, zero, rows)
        found = rows.astype(np.float64) @ state[key].T
        assert np.abs(found - expected).max() < EXACT * np.abs(expected).max(), key
        if bias is not None:
            assert (state[f"{module}.bias"] == bias).all()
        compared.add(key)
    assert len(compared) == PRODUCTS[name]


@pytest.mark.models
@pytest.mark.parametrize(
    ("name", "other", "missing"),
    [("encoder", "decoder", "embed_tokens"), ("decoder", "encoder", "conv1.weight")],
)
def test_the_file_of_the_other_half_is_refused(
    name: str, other: str, missing: str, model_path: Callable[[str], Path]
) -> None:
    path = model_path(f"moonshine-tiny-en-{name}")
    with pytest.raises(ModelFileError, match=f"{missing}.*: not the file of a Moonshine model") as caught:
        MODELS[other](path)
    assert str(caught.value).startswith(f"{path}: ")


@pytest.mark.parametrize("read", MODELS.values(), ids=MODELS)
@pytest.mark.parametrize("content", [b"", b"ORTM", b"not a model at all"])
def test_what_is_no_model_is_refused(content: bytes, read: Callable[[Path], object], tmp_path: Path) -> None:
    path = tmp_path / "model.ort"
    path.write_bytes(content)
    with pytest.raises(ModelFileError, match="not a model that ONNX Runtime can load") as caught:
        read(path)
    assert str(caught.value).startswith(f"{path}: ")


def test_a_file_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ModelFileError, match="nowhere"):
        read_encoder(tmp_path / "nowhere.ort")


def test_a_product_whose_weights_are_computed_is_refused(tmp_path: Path) -> None:
    """Codes that come in from outside: a model of the right names, and not of the right kind."""
    node = helper.make_node(
        "DynamicQuantizeMatMul",
        ["x", "codes", "scale"],
        ["y"],
        name="/layers.0/mlp/fc1/MatMul_quant",
        domain="com.microsoft",
    )
    inputs = [
        ("x", TensorProto.FLOAT, [1, 4]),
        ("codes", TensorProto.UINT8, [4, 2]),
        ("scale", TensorProto.FLOAT, []),
    ]
    graph = helper.make_graph(
        [node],
        "computed",
        [helper.make_tensor_value_info(*declared) for declared in inputs],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, None)],
    )
    path = tmp_path / "model.onnx"
    path.write_bytes(with_opsets(graph).SerializeToString())
    with pytest.raises(ModelFileError, match=r"/layers\.0/mlp/fc1/MatMul_quant: its weights are not"):
        read_encoder(path)
