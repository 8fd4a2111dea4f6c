"""The shape of a checkpoint from its config.json, checked: what would be read wrongly is refused."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from operator import index
from pathlib import Path
from typing import Any, Literal

from asr.moonshine.config import BOS, EOS, RATE, MoonshineConfig, StreamingShape, Window
from asr.onnx import ModelFileError

Kind = Literal["moonshine", "moonshine_streaming"]
_STREAMING_WINDOWS = ((16, 4), (16, 4), (16, 0), (16, 0), (16, 4), (16, 4))


@dataclass(frozen=True)
class HubShapes:
    """The encoder, its key-value heads, the decoder, and of Moonshine Streaming what is its own."""

    encoder: MoonshineConfig
    encoder_kv_heads: int
    decoder: MoonshineConfig
    decoder_kv_heads: int
    streaming: StreamingShape | None


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


def read_config(path: Path) -> HubShapes:
    """The shapes that config.json tells; raises ModelFileError."""
    try:
        settings = _Settings(path, json.loads(path.read_text(encoding="utf-8")))
    except (OSError, ValueError) as error:
        raise ModelFileError(f"{path}: not the configuration of a checkpoint: {error}") from error
    kind = settings.values.get("model_type")
    if kind not in ("moonshine", "moonshine_streaming"):
        raise settings.refusal("model_type", 'only "moonshine" and "moonshine_streaming" are supported')
    settings.only("attention_bias", False, False)
    settings.only("decoder_start_token_id", settings.values.get("bos_token_id", BOS), BOS)
    settings.only("eos_token_id", EOS, EOS)
    return _moonshine(settings) if kind == "moonshine" else _streaming(settings)


def _moonshine(settings: _Settings) -> HubShapes:
    settings.only("encoder_hidden_act", "gelu", "gelu")
    settings.only("decoder_hidden_act", "silu", "silu")
    heads = settings.size("encoder_num_attention_heads", 8)
    # `transformers` 5.23 builds its decoder with the encoder's heads, whatever the decoder's are said to be.
    settings.only("decoder_num_attention_heads", 8, heads)
    share, base = _rotary(settings, 0.9)

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
    return HubShapes(
        encoder,
        _kv_heads(settings, "encoder_num_key_value_heads", heads),
        decoder,
        _kv_heads(settings, "decoder_num_key_value_heads", heads),
        streaming=None,
    )


def _streaming(settings: _Settings) -> HubShapes:
    settings.only("hidden_act", "silu", "silu")
    share, base = _rotary(settings, 0.8 if "rope_parameters" not in settings.values else 1.0)
    heads = settings.size("num_attention_heads", 8)
    decoder = MoonshineConfig(
        width=settings.size("hidden_size", 320),
        layers=settings.size("num_hidden_layers", 6),
        heads=heads,
        mlp=settings.size("intermediate_size", 1280),
        vocabulary=settings.size("vocab_size", 32768),
        rotary_share=share,
        rotary_base=base,
        head_width=_head_width(settings),
        tied=bool(settings.values.get("tie_word_embeddings", False)),
    )
    _check_heads(settings, decoder)
    inner = _Settings(settings.path, settings.values.get("encoder_config", {}), "encoder_config.")
    encoder = _streaming_encoder(inner, decoder.vocabulary)
    return HubShapes(
        encoder,
        _kv_heads(inner, "num_key_value_heads", encoder.heads),
        decoder,
        _kv_heads(settings, "num_key_value_heads", heads),
        StreamingShape(
            windows=_windows(inner, encoder.layers),
            decoder_width=decoder.width,
            positions=settings.size("max_position_embeddings", 4096),
            frame_samples=round(RATE * inner.number("frame_ms", 5.0) / 1000),
        ),
    )


def _streaming_encoder(settings: _Settings, vocabulary: int) -> MoonshineConfig:
    settings.only("hidden_act", "gelu", "gelu")
    settings.only("attention_bias", False, False)
    settings.only("sample_rate", RATE, RATE)
    encoder = MoonshineConfig(
        width=settings.size("hidden_size", 320),
        layers=settings.size("num_hidden_layers", 6),
        heads=settings.size("num_attention_heads", 8),
        mlp=settings.size("intermediate_size", 1280),
        vocabulary=vocabulary,
        rotary_share=0.0,
        head_width=_head_width(settings),
    )
    _check_heads(settings, encoder)
    return encoder


def _windows(settings: _Settings, layers: int) -> tuple[Window, ...]:
    pairs = settings.values.get("sliding_windows", _STREAMING_WINDOWS)
    try:
        # There a frame counts itself into both sides: (16, 4) is 15 frames back and 3 ahead.
        found = tuple(Window(index(left) - 1, max(index(right) - 1, 0)) for left, right in pairs)
    except (TypeError, ValueError) as error:
        raise settings.refusal("sliding_windows", "pairs of whole numbers, the first above 0") from error
    if len(found) != layers:
        raise settings.refusal("sliding_windows", f"one pair for each of {layers} layers")
    return found


def _rotary(settings: _Settings, share: float) -> tuple[float, float]:
    """The share of a head's channels that are turned, and the base; older files have them at the top."""
    rope = _Settings(settings.path, settings.values.get("rope_parameters", {}), "rope_parameters.")
    settings.only("rope_scaling", None, None)
    rope.only("rope_type", "default", "default")
    return (
        rope.number("partial_rotary_factor", settings.number("partial_rotary_factor", share)),
        rope.number("rope_theta", settings.number("rope_theta", 10000.0)),
    )


def _head_width(settings: _Settings) -> int | None:
    return settings.size("head_dim", 1) if "head_dim" in settings.values else None


def _kv_heads(settings: _Settings, key: str, heads: int) -> int:
    found = settings.size(key, heads)
    if heads % found:
        raise settings.refusal(key, f"a divisor of the {heads} heads")
    return found


def _check_heads(settings: _Settings, config: MoonshineConfig) -> None:
    if config.head_width is None and config.width % config.heads:
        raise settings.refusal("hidden_size", f"a multiple of the {config.heads} heads")
    turned = int(config.head_dim * config.rotary_share)
    if turned % 2 or turned > config.head_dim:
        raise ModelFileError(
            f"{settings.path}: partial_rotary_factor {config.rotary_share} turns {turned} of the "
            f"{config.head_dim} channels of a head: an even number of them is needed"
        )
