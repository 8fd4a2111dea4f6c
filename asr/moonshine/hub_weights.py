"""The tensors of a hub checkpoint, checked against the shapes that its configuration tells.

Grouped key-value heads are written out, one for each query head: it costs a little memory and saves whoever
runs the weights the case. Norms of Moonshine Streaming's encoder keep what they add to 1; here it is added.
"""

import json
from collections.abc import Iterator
from pathlib import Path

import ml_dtypes  # noqa: F401  (numpy learns bfloat16 from it)
import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError, safe_open

from asr.moonshine.config import MoonshineConfig, StreamingShape
from asr.moonshine.hub_config import HubShapes
from asr.onnx import ModelFileError

StateDict = dict[str, NDArray[np.float32]]
Shapes = dict[str, tuple[int, ...]]
_SUFFIXES = {"embedder.comp.log_k": "log_gain", "final_norm.gamma": "layer_norm.weight"}


def read_weights(folder: Path, shapes: HubShapes) -> tuple[StateDict, StateDict]:
    """Encoder and decoder, named for `asr.moonshine.load_torch.load`; raises ModelFileError."""
    encoder, decoder = encoder_shapes(shapes), decoder_shapes(shapes)
    wanted = {**encoder, **decoder}
    found: StateDict = {}
    for path in _files(folder):
        found.update(_read(path, wanted, tied=shapes.decoder.tied))
    if missing := [name for name in wanted if name not in found]:
        raise ModelFileError(f"{folder}: no tensor {missing[0]} in its safetensors ({len(missing)} missing)")
    return (
        dict(_ours(name, found[name], shapes.encoder, shapes.encoder_kv_heads) for name in encoder),
        dict(_ours(name, found[name], shapes.decoder, shapes.decoder_kv_heads) for name in decoder),
    )


def encoder_shapes(shapes: HubShapes) -> Shapes:
    """Every tensor that the encoder needs, by the hub's name."""
    config, streaming = shapes.encoder, shapes.streaming
    scale = "gamma" if streaming else "weight"
    layer = {
        **_attention("self_attn", config, shapes.encoder_kv_heads),
        **_mlp(config.width, config.mlp, config.mlp),
        f"input_layernorm.{scale}": (config.width,),
        f"post_attention_layernorm.{scale}": (config.width,),
    }
    front = _streaming_ends(config, streaming) if streaming else _ends(config)
    return {**front, **_repeated("model.encoder", layer, config.layers)}


def decoder_shapes(shapes: HubShapes) -> Shapes:
    """Every tensor that the decoder needs, by the hub's name."""
    config, width = shapes.decoder, (shapes.decoder.width,)
    layer = {
        **_attention("self_attn", config, shapes.decoder_kv_heads),
        **_attention("encoder_attn", config, shapes.decoder_kv_heads),
        **_mlp(config.width, 2 * config.mlp, config.mlp),
        "input_layernorm.weight": width,
        "post_attention_layernorm.weight": width,
        "final_layernorm.weight": width,
    }
    table = (config.vocabulary, config.width)
    return {
        "model.decoder.embed_tokens.weight": table,
        "model.decoder.norm.weight": width,
        **_repeated("model.decoder", layer, config.layers),
        **({} if config.tied else {"proj_out.weight": table}),
    }


def _ends(config: MoonshineConfig) -> Shapes:
    width = config.width
    return {
        "model.encoder.conv1.weight": (width, 1, 127),
        "model.encoder.groupnorm.weight": (width,),
        "model.encoder.groupnorm.bias": (width,),
        "model.encoder.conv2.weight": (2 * width, width, 7),
        "model.encoder.conv2.bias": (2 * width,),
        "model.encoder.conv3.weight": (width, 2 * width, 3),
        "model.encoder.conv3.bias": (width,),
        "model.encoder.layer_norm.weight": (width,),
    }


def _streaming_ends(config: MoonshineConfig, shape: StreamingShape) -> Shapes:
    width = config.width
    # The hub's decoder adds the positions; ours gets them from the encoder's adapter.
    proj = {"model.decoder.proj.weight": (shape.decoder_width, width)}
    return {
        "model.encoder.embedder.comp.log_k": (),
        "model.encoder.embedder.linear.weight": (width, shape.frame_samples),
        "model.encoder.embedder.conv1.weight": (2 * width, width, 5),
        "model.encoder.embedder.conv1.bias": (2 * width,),
        "model.encoder.embedder.conv2.weight": (width, 2 * width, 5),
        "model.encoder.embedder.conv2.bias": (width,),
        "model.encoder.final_norm.gamma": (width,),
        "model.decoder.pos_emb.weight": (shape.positions, width),
        **({} if width == shape.decoder_width else proj),
    }


def _attention(name: str, config: MoonshineConfig, kv_heads: int) -> Shapes:
    width, inner, grouped = config.width, config.heads * config.head_dim, kv_heads * config.head_dim
    return {
        f"{name}.q_proj.weight": (inner, width),
        f"{name}.k_proj.weight": (grouped, width),
        f"{name}.v_proj.weight": (grouped, width),
        f"{name}.o_proj.weight": (width, inner),
    }


def _mlp(width: int, expanded: int, contracted: int) -> Shapes:
    return {
        "mlp.fc1.weight": (expanded, width),
        "mlp.fc1.bias": (expanded,),
        "mlp.fc2.weight": (width, contracted),
        "mlp.fc2.bias": (width,),
    }


def _repeated(prefix: str, layer: Shapes, layers: int) -> Shapes:
    return {f"{prefix}.layers.{i}.{name}": shape for i in range(layers) for name, shape in layer.items()}


def _files(folder: Path) -> list[Path]:
    whole, index = folder / "model.safetensors", folder / "model.safetensors.index.json"
    if whole.is_file():
        return [whole]
    if not index.is_file():
        raise ModelFileError(f"{folder}: neither model.safetensors nor model.safetensors.index.json in it")
    try:
        names = set(json.loads(index.read_text(encoding="utf-8"))["weight_map"].values())
        if not all(Path(name).name == name for name in names):
            raise ValueError("a file of another folder")  # noqa: TRY301
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise ModelFileError(f"{index}: not an index of safetensors: {error!r}") from error
    return [folder / name for name in sorted(names)]


def _read(path: Path, wanted: Shapes, *, tied: bool) -> Iterator[tuple[str, NDArray[np.float32]]]:
    try:
        with safe_open(path, framework="numpy") as file:
            for name in file.keys():  # noqa: SIM118  (it is no mapping)
                if name in wanted:
                    tensor = file.get_slice(name)
                    _check(f"{path}: {name}", tuple(tensor.get_shape()), tensor.get_dtype(), wanted[name])
                    yield name, file.get_tensor(name).astype(np.float32)
                elif not (name.endswith(".inv_freq") or (tied and name == "proj_out.weight")):
                    raise ModelFileError(f"{path}: {name} is no tensor of a model with this configuration")
    except (OSError, SafetensorError) as error:
        raise ModelFileError(f"{path}: not readable as safetensors: {error}") from error


def _check(where: str, shape: tuple[int, ...], dtype: str, wanted: tuple[int, ...]) -> None:
    if shape != wanted:
        raise ModelFileError(f"{where} is {shape}, not {wanted}")
    if dtype not in ("F32", "F16", "BF16"):
        raise ModelFileError(f"{where} is of type {dtype}, not of floats")


def _ours(
    name: str, value: NDArray[np.float32], config: MoonshineConfig, kv_heads: int
) -> tuple[str, NDArray[np.float32]]:
    name = name.removeprefix("model.encoder.")
    if name in ("model.decoder.pos_emb.weight", "model.decoder.proj.weight"):
        last = "positions" if "pos_emb" in name else "proj"
        return f"adapter.{last}.weight", value
    name = name.removeprefix("model.decoder.")
    if name.endswith("gamma"):
        value = value + np.float32(1)
    elif ".k_proj." in name or ".v_proj." in name:
        heads = value.reshape(kv_heads, config.head_dim, -1)
        value = heads.repeat(config.heads // kv_heads, axis=0).reshape(-1, value.shape[1])
    name = _SUFFIXES.get(name, name).removeprefix("embedder.")
    return name.removesuffix("gamma") + "weight" if name.endswith("gamma") else name, value
