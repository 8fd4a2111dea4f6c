"""The shape of a checkpoint from its config.json, checked: what would be computed wrongly is refused."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from asr.moonshine.config import BOS, EOS, MoonshineConfig
from asr.onnx import ModelFileError


class _Settings:
    """One object of a config.json; null counts as absent, the defaults are those of `transformers`."""

    def __init__(self, path: Path, values: object, prefix: str = "") -> None:
        if not isinstance(values, Mapping):
            raise ModelFileError(f"{path}: {prefix.rstrip('.') or 'its content'} is not an object")
        self.path, self.prefix = path, prefix
        self.values: dict[str, Any] = {key: value for key, value in values.items() if value is not None}

    def size(self, key: str, default: int) -> int:
        """A whole number above 0."""
        value = self.values.get(key, default)
        if isinstance(value, bool) or not isinstance(value, int) or value < 1:
            raise self.refusal(key, "a whole number above 0")
        return value

    def number(self, key: str, default: float) -> float:
        """A number above 0."""
        value = self.values.get(key, default)
        if isinstance(value, bool) or not isinstance(value, int | float) or not value > 0:
            raise self.refusal(key, "a number above 0")
        return float(value)

    def only(self, key: str, default: object, supported: object) -> None:
        """Refuse anything but the one value that this package computes."""
        if self.values.get(key, default) != supported:
            raise self.refusal(key, f"only {json.dumps(supported)} is supported")

    def refusal(self, key: str, wanted: str) -> ModelFileError:
        """The error for the value of `key`."""
        value = json.dumps(self.values.get(key))
        return ModelFileError(f"{self.path}: {self.prefix}{key} is {value}: {wanted}")


def read_config(path: Path) -> tuple[MoonshineConfig, MoonshineConfig]:
    """The shapes of encoder and decoder that config.json tells; raises ModelFileError."""
    try:
        settings = _Settings(path, json.loads(path.read_text(encoding="utf-8-sig")))
    except (OSError, ValueError) as error:
        raise ModelFileError(f"{path}: not the configuration of a checkpoint: {error}") from error
    heads = settings.size("encoder_num_attention_heads", 8)
    _refuse_what_is_not_computed(settings, heads)
    share, base = _rotary(settings)

    def stack(side: str) -> MoonshineConfig:
        return MoonshineConfig(
            width=settings.size("hidden_size", 288),
            layers=settings.size(f"{side}_num_hidden_layers", 6),
            heads=heads,
            mlp=settings.size("intermediate_size", 1152),
            vocabulary=settings.size("vocab_size", 32768),
            rotary_share=share,
            rotary_base=base,
            tied=bool(settings.values.get("tie_word_embeddings", True)),
        )

    encoder, decoder = stack("encoder"), stack("decoder")
    _check_heads(settings, decoder)
    return encoder, decoder


def _refuse_what_is_not_computed(settings: _Settings, heads: int) -> None:
    settings.only("model_type", None, "moonshine")
    settings.only("attention_bias", False, False)
    settings.only("decoder_start_token_id", settings.values.get("bos_token_id", BOS), BOS)
    settings.only("eos_token_id", EOS, EOS)
    settings.only("encoder_hidden_act", "gelu", "gelu")
    settings.only("decoder_hidden_act", "silu", "silu")
    # `transformers` 5.23 builds its decoder with the encoder's heads, whatever the decoder's are said to be.
    settings.only("decoder_num_attention_heads", 8, heads)
    for side in ("encoder", "decoder"):
        settings.only(f"{side}_num_key_value_heads", heads, heads)


def _rotary(settings: _Settings) -> tuple[float, float]:
    """The share of a head's channels that are rotated, and the base; older files have them at the top."""
    rope = _Settings(settings.path, settings.values.get("rope_parameters", {}), "rope_parameters.")
    settings.only("rope_scaling", None, None)
    rope.only("rope_type", "default", "default")
    return (
        rope.number("partial_rotary_factor", settings.number("partial_rotary_factor", 0.9)),
        rope.number("rope_theta", settings.number("rope_theta", 10000.0)),
    )


def _check_heads(settings: _Settings, config: MoonshineConfig) -> None:
    if config.width % config.heads:
        raise settings.refusal("hidden_size", f"a multiple of the {config.heads} heads")
    rotated = int(config.head_dim * config.rotary_share)
    if rotated % 2 or rotated > config.head_dim:
        raise ModelFileError(
            f"{settings.path}: partial_rotary_factor {config.rotary_share} rotates {rotated} of the "
            f"{config.head_dim} channels of a head: an even number of them is needed"
        )
