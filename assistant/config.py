"""Configuration: one frozen dataclass of the components' own, read strictly from a TOML file."""

import json
import tomllib
from dataclasses import asdict, dataclass, fields, is_dataclass
from pathlib import Path
from typing import Any, get_type_hints

from pydantic import TypeAdapter, ValidationError

from asr.stream import StreamConfig
from assistant.session.turn import TurnConfig
from assistant.spelling import nearest
from llm.cuda import Device
from llm.decode import GenerateConfig
from llm.remote import RemoteConfig
from llm.serve import KvType
from llm.text import SYSTEM_PROMPT
from tts.stream import SpeakerConfig


class ConfigError(ValueError):
    """A configuration file that cannot be used; the message names the file and the key."""


@dataclass(frozen=True)
class LlmConfig:
    """Which model writes the replies: a name of the model store, or the path of a GGUF file."""

    model: str = "smollm2-135m-instruct-q4_1"
    device: Device = "auto"
    """What runs it: auto is a GPU that can, else the CPU. Where "cuda" cannot be had, a warning says why, and
    the CPU runs it."""
    context: int = 2048
    sessions: int = 4
    """Conversations at once; each takes memory for keys and values as it grows."""
    threads: int | None = None
    """CPU threads. By default one for each core, up to four."""
    kv: KvType = "int8"
    """Keys and values: int8 takes a quarter of the memory of f32 and costs 0.2 % of perplexity. Where ONNX
    Runtime runs the passes it is also what keeps a draft from changing a reply (`kernels/NOTES.md`). On a
    GPU, what is not int8 is float16."""
    speculate: bool = True
    """Draft tokens by looking them up in the prompt; the reply is the same, sooner where it repeats."""
    system_prompt: str = SYSTEM_PROMPT
    generate: GenerateConfig = GenerateConfig()
    remote: RemoteConfig = RemoteConfig()
    """A model on another machine, used in place of `model` if it has a url."""

    def __post_init__(self) -> None:
        if not 1 <= self.context <= 131_072 or (self.threads is not None and self.threads < 1):
            raise ValueError("context must be 1 to 131072, and threads at least 1")
        if not 1 <= self.sessions <= 1024:
            raise ValueError("sessions must be 1 to 1024")
        if self.generate.max_tokens >= self.context:
            raise ValueError("generate.max_tokens must leave room for a prompt in context")

    @property
    def is_path(self) -> bool:
        """Whether `model` is a file of the user's own."""
        return self.model.endswith(".gguf")

    @property
    def is_remote(self) -> bool:
        """Whether another machine writes the replies."""
        return bool(self.remote.url)


@dataclass(frozen=True)
class Config:
    """Everything that can be set, one section a component."""

    turn: TurnConfig = TurnConfig()
    asr: StreamConfig = StreamConfig()
    llm: LlmConfig = LlmConfig()
    tts: SpeakerConfig = SpeakerConfig()


def read_config(path: Path | None) -> Config:
    """Defaults overridden by the TOML file at `path`; raises ConfigError."""
    if path is None:
        return Config()
    try:
        table = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigError(f"{path}: {error.strerror}") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path}: not TOML: {error}") from error
    _refuse_unknown(path, table, Config, "")
    try:
        # Through JSON, where strict still takes a list for a tuple.
        whole = json.dumps(_over(asdict(Config()), table), default=str)
        return TypeAdapter(Config).validate_json(whole, strict=True)
    except ValidationError as error:
        first = error.errors()[0]
        key = ".".join(str(part) for part in first["loc"])
        # A whole section is not shown: someone may have written a password into it.
        shown = "" if isinstance(first["input"], dict) else f", not {first['input']!r}"
        raise ConfigError(f"{path}: {key}: {first['msg']}{shown}") from error


def _over(defaults: Any, value: Any) -> Any:  # noqa: ANN401  # any value of TOML
    """`value` with what it leaves out filled in: a section of which one key is set keeps the others."""
    if not isinstance(defaults, dict) or not isinstance(value, dict):
        return value
    return {**defaults, **{key: _over(defaults.get(key), part) for key, part in value.items()}}


def _refuse_unknown(path: Path, table: dict[str, Any], section: type, prefix: str) -> None:
    hints = get_type_hints(section)
    known = [field.name for field in fields(section)]
    for key, value in table.items():
        if key not in known:
            raise ConfigError(f"{path}: unknown key {prefix + key!r}{nearest(key, known)}")
        if is_dataclass(hints[key]) and isinstance(value, dict):
            _refuse_unknown(path, value, hints[key], f"{prefix}{key}.")
