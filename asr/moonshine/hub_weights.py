"""The tensors of a hub checkpoint, checked against the shapes that its configuration tells."""

import json
from collections.abc import Iterator
from pathlib import Path

import ml_dtypes  # noqa: F401  (numpy learns bfloat16 from it)
import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError, safe_open

from asr.moonshine.config import MoonshineConfig
from asr.onnx import ModelFileError

StateDict = dict[str, NDArray[np.float32]]
Shapes = dict[str, tuple[int, ...]]


def read_weights(
    folder: Path, encoder: MoonshineConfig, decoder: MoonshineConfig
) -> tuple[StateDict, StateDict]:
    """Encoder and decoder, named for `asr.moonshine.load_torch.load`; raises ModelFileError."""
    wanted = {**encoder_shapes(encoder), **decoder_shapes(decoder)}
    found: StateDict = {}
    for path in _files(folder):
        found.update(_read(path, wanted, tied=decoder.tied))
    if missing := [name for name in wanted if name not in found]:
        raise ModelFileError(f"{folder}: no tensor {missing[0]} in its safetensors ({len(missing)} missing)")
    prefix = "model.encoder."
    return (
        {name.removeprefix(prefix): value for name, value in found.items() if name.startswith(prefix)},
        {
            name.removeprefix("model.decoder."): value
            for name, value in found.items()
            if not name.startswith(prefix)
        },
    )


def encoder_shapes(config: MoonshineConfig) -> Shapes:
    """Every tensor that the encoder needs, by the hub's name."""
    width = config.width
    layer = {
        **_attention("self_attn", config),
        **_mlp(width, config.mlp, config.mlp),
        "input_layernorm.weight": (width,),
        "post_attention_layernorm.weight": (width,),
    }
    return {
        "model.encoder.conv1.weight": (width, 1, 127),
        "model.encoder.groupnorm.weight": (width,),
        "model.encoder.groupnorm.bias": (width,),
        "model.encoder.conv2.weight": (2 * width, width, 7),
        "model.encoder.conv2.bias": (2 * width,),
        "model.encoder.conv3.weight": (width, 2 * width, 3),
        "model.encoder.conv3.bias": (width,),
        "model.encoder.layer_norm.weight": (width,),
        **_repeated("model.encoder", layer, config.layers),
    }


def decoder_shapes(config: MoonshineConfig) -> Shapes:
    """Every tensor that the decoder needs, by the hub's name."""
    width = (config.width,)
    layer = {
        **_attention("self_attn", config),
        **_attention("encoder_attn", config),
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


def _attention(name: str, config: MoonshineConfig) -> Shapes:
    square = (config.width, config.width)
    return {f"{name}.{part}_proj.weight": square for part in "qkvo"}


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
        names = set(json.loads(index.read_text(encoding="utf-8-sig"))["weight_map"].values())
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
