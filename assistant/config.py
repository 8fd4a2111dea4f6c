"""Configuration: one frozen dataclass of the components' own, read strictly from a TOML file."""

import json
import os
import re
import tomllib
from dataclasses import asdict, dataclass, field, fields, is_dataclass
from importlib.resources import files
from ipaddress import ip_network
from pathlib import Path
from typing import Any, Literal, get_type_hints
from urllib.parse import urlsplit

from pydantic import TypeAdapter, ValidationError

from asr.stream import StreamConfig
from assistant.session.turn import TurnConfig
from assistant.spelling import nearest
from assistant.text_file import read_text
from llm.cuda import Device
from llm.decode import GenerateConfig
from llm.remote import RemoteConfig
from llm.serve import KvType
from llm.text import SYSTEM_PROMPT
from tts.stream import SpeakerConfig

# A token as HTTP defines it (RFC 9110, 5.6.2): a subprotocol is one, and browsers send no header of ours.
_TOKEN = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]+")
_ORIGIN = re.compile(r"[a-z][a-z0-9+.-]*://[^/\s?#@]+")


class ConfigError(ValueError):
    """A configuration file that cannot be used; the message names the file and the key."""


_DEFAULT_MODEL = "smollm2-135m-instruct-q4_1"
SHIPPED_ADAPTER = str(Path(str(files("llm"))) / "data" / "assistant-lora")
"""Trained here for the default model, by `python -m llm.train`; its card is beside it."""


@dataclass(frozen=True)
class LlmConfig:
    """Which model writes the replies: a name of the model store, or the path of a GGUF file."""

    model: str = _DEFAULT_MODEL
    adapter: str = "auto"
    """A LoRA adapter: a name of the model store, or the path of a `.gguf`, of a `.safetensors` in the hub's
    form (PEFT), or of its folder. What has neither ending is a path if there is a slash in it. "auto" is the
    one that comes with the default model, and none for others; "none" is none."""
    device: Device = "auto"
    """What runs it: auto is a GPU that can, else the CPU. Where "cuda" cannot be had, a warning says why, and
    the CPU runs it."""
    context: int = 2048
    sessions: int = 8
    """Conversations at once; each takes memory for keys and values as it grows. Two cores with AVX512 were
    measured to hold eight (docs/server.md)."""
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
    def adapter_is_path(self) -> bool:
        """Whether there is an adapter, and it is a file or folder of the user's own."""
        own = self.adapter
        return own.endswith((".gguf", ".safetensors")) or "/" in own or os.sep in own

    @property
    def chosen_adapter(self) -> str | None:
        """What `adapter` comes to; None is none."""
        if self.adapter == "none" or self.is_remote:
            return None
        if self.adapter == "auto":
            return SHIPPED_ADAPTER if self.model == _DEFAULT_MODEL else None
        return self.adapter

    @property
    def tells_ends(self) -> bool:
        """Whether it helps to tell ends of turns: what its probabilities mean was fitted for one model."""
        return not self.is_remote and (self.model, self.adapter) == (_DEFAULT_MODEL, "auto")

    @property
    def is_remote(self) -> bool:
        """Whether another machine writes the replies."""
        return bool(self.remote.url)


@dataclass(frozen=True)
class ServerConfig:
    """Where `assistant serve` listens, who may connect, and how much one client may take."""

    host: str = "127.0.0.1"
    port: int = 8765
    """0 takes a port that is free."""
    token: str | None = field(default=None, repr=False)
    origins: tuple[str, ...] = ()
    """Web pages from elsewhere that may connect, as `scheme://host[:port]`."""
    tls_cert: str | None = None
    tls_key: str | None = None
    retry_after_s: int = 5
    message_bytes: int = 1_048_576
    events_per_s: int = 500
    """A microphone's worklet sends 375 blocks of 128 samples a second at 48 kHz."""
    audio_ahead_s: float = 30.0
    items: int = 1000
    item_bytes: int = 65_536
    history_bytes: int = 1_048_576
    instructions_bytes: int = 65_536
    tools: int = 128
    handshake_s: float = 10.0
    idle_s: float = 600.0
    session_s: float = 3600.0
    unread_s: float = 2.0
    drain_s: float = 25.0
    log_transcripts: bool = False
    replica: str = ""
    """The name of this process among others of its kind: a label of its metrics, and in its traces."""
    otel: Literal["off", "console", "otlp"] = "off"
    """Where spans are exported to."""
    wyoming: str | None = None
    """Where Wyoming is spoken, too, as `tcp://host:port`."""
    wyoming_clients: tuple[str, ...] = ()
    """Addresses and networks from which clients of Wyoming may come, besides this machine."""
    resume: str | None = field(default=None, repr=False)
    """Where conversations are kept for clients that come back, as `redis://host:port/db`."""
    resume_s: int = 3600
    resume_bytes: int = 1_048_576

    def __post_init__(self) -> None:
        if not self.host:
            raise ValueError("host must not be empty; 0.0.0.0 is every address of this machine")
        if not 0 <= self.port <= 65_535:
            raise ValueError("port must be 0 to 65535")
        if self.token is not None and not _TOKEN.fullmatch(self.token):
            raise ValueError(
                "token must have letters, digits and -._~!#$%&'*+^`| only: browsers send no other"
            )
        if not all(_ORIGIN.fullmatch(origin) for origin in self.origins):
            raise ValueError("origins must be like https://example.org or http://192.168.1.2:8000")
        if self.wyoming is not None and not _is_tcp(self.wyoming):
            raise ValueError("wyoming must be like tcp://127.0.0.1:10300")
        if self.resume is not None and not _is_redis(self.resume):
            raise ValueError("resume must be like redis://127.0.0.1:6379/0")
        for network in self.wyoming_clients:
            ip_network(network)  # its ValueError says what is wrong
        if (self.tls_cert is None) != (self.tls_key is None):
            raise ValueError("tls_cert and tls_key go together")
        if self.message_bytes < 1024 or self.retry_after_s < 0:
            raise ValueError("message_bytes must be at least 1024, and retry_after_s not negative")
        self._check_limits()

    def _check_limits(self) -> None:
        for limit in fields(self):
            value = getattr(self, limit.name)
            if limit.name.endswith("_s") and not 0 <= value <= 86_400:
                raise ValueError(f"{limit.name} must be 0 to 86400")
        positive = (
            "handshake_s",
            "idle_s",
            "session_s",
            "events_per_s",
            "items",
            "item_bytes",
            "history_bytes",
            "resume_s",
            "resume_bytes",
        )
        for name in positive:
            if getattr(self, name) <= 0:
                raise ValueError(f"{name} must be above 0")
        if self.instructions_bytes < 0 or self.tools < 0:
            raise ValueError("instructions_bytes and tools must not be negative")


def _is_tcp(uri: str) -> bool:
    """Whether `uri` is tcp://host:port and no more."""
    parts = urlsplit(uri)
    try:
        whole = parts.hostname is not None and parts.port is not None
    except ValueError:  # the port is none
        return False
    return whole and uri == f"tcp://{parts.netloc}" and "@" not in parts.netloc


def _is_redis(url: str) -> bool:
    """Whether `url` is redis:// or rediss:// with a host, and at most the number of a database behind it."""
    parts = urlsplit(url)
    try:
        whole = bool(parts.hostname) and parts.port != 0
    except ValueError:  # the port is none
        return False
    known = parts.scheme in ("redis", "rediss") and not parts.query and not parts.fragment
    return whole and known and re.fullmatch(r"(/\d*)?", parts.path) is not None


WakeName = Literal["hey-jarvis", "hey-mycroft", "okay-nabu"]
Wake = Literal["off", WakeName]


@dataclass(frozen=True)
class MicrophoneConfig:
    """The devices of `assistant talk`, and how it listens beside its own voice."""

    input: str | None = None
    output: str | None = None
    latency_ms: int = 60
    barge_in_ms: int = 128
    """Of 64 interruptions over echo 92 % were heard within half a second with this, 83 % with 192 ms; with
    96 ms the reply interrupted itself 0.2 times a minute."""
    wake: Wake = "off"
    """The phrase without which nothing is listened to."""
    awake_s: float = 8.0
    """From the end of a turn and its reply until the phrase is needed again."""

    def __post_init__(self) -> None:
        if not 10 <= self.latency_ms <= 1000:
            raise ValueError("latency_ms must be 10 to 1000")
        if self.barge_in_ms < 0:
            raise ValueError("barge_in_ms must not be negative")
        if not 1 <= self.awake_s <= 3600:
            raise ValueError("awake_s must be 1 to 3600")


_LEVELS = re.compile(r"[^/#+$\s][^/#+\s]*(/[^/#+\s]+)*")  # a topic without wildcards


@dataclass(frozen=True)
class MqttConfig:
    """The broker of the home; without a host there is none. Its password is in no configuration."""

    host: str = ""
    port: int = 1883
    username: str | None = None
    password_file: str | None = None
    tls: bool = False
    tls_ca: str | None = None
    tls_cert: str | None = None
    tls_key: str | None = None
    discovery_prefix: str = "homeassistant"
    base_topic: str = "assistant"
    name: str = "Assistant"
    share_transcripts: bool = False

    def __post_init__(self) -> None:
        if "/" in self.host or " " in self.host:
            raise ValueError("host must be a name or an address, without mqtt:// before it")
        self.host.encode("idna")  # a ValueError, which says what is wrong
        if not 1 <= self.port <= 65_535:
            raise ValueError("port must be 1 to 65535")
        if not (_LEVELS.fullmatch(self.discovery_prefix) and _LEVELS.fullmatch(self.base_topic)):
            raise ValueError("discovery_prefix and base_topic must be topics, without # and +")
        if not self.name.strip():
            raise ValueError("name must not be empty")
        if self.password_file is not None and self.username is None:
            raise ValueError("password_file needs a username")
        if (self.tls_cert is None) != (self.tls_key is None):
            raise ValueError("tls_cert and tls_key go together")
        if not self.tls and (self.tls_ca or self.tls_cert):
            raise ValueError("tls_ca and tls_cert need tls = true")


@dataclass(frozen=True)
class SkillsConfig:
    """What the assistant does itself: commands, sums, and what it knows that it cannot."""

    enabled: bool = True
    """Without skills the language model answers everything."""
    file: str | None = None
    """Where timers, alarms and lists are kept. By default a file of the user's own data."""
    country: str = "US"
    """ISO 3166-1 alpha-2 code: measures, and the telephone numbers of help."""

    def __post_init__(self) -> None:
        if not re.fullmatch("[A-Z]{2}", self.country):
            raise ValueError("country must be two capital letters, such as US or GB")


@dataclass(frozen=True)
class ClusterConfig:
    """How many replicas of the server Ray Serve runs, and what each has. `[llm] sessions` are its places."""

    replicas: int = 1
    """At least so many."""
    max_replicas: int = 1
    """More than `replicas` lets Serve start others as conversations come."""
    fill: float = 0.75
    """The share of the places at which the autoscaler holds them: what is left takes those who come while
    another replica loads its models."""
    upscale_s: float = 10.0
    downscale_s: float = 300.0
    cpus: float = 2.0
    gpus: float = 0.0
    """A share of one GPU, or several."""
    port: int = 8000

    def __post_init__(self) -> None:
        if not 1 <= self.replicas <= 10_000 or not 1 <= self.max_replicas <= 10_000:
            raise ValueError("replicas and max_replicas must be 1 to 10000")
        if not 0 < self.fill <= 1:
            raise ValueError("fill must be above 0, and at most 1")
        if self.cpus <= 0 or self.gpus < 0 or self.upscale_s < 0 or self.downscale_s < 0:
            raise ValueError("cpus must be above 0, and gpus, upscale_s and downscale_s not negative")
        if not 1 <= self.port <= 65_535:
            raise ValueError("port must be 1 to 65535")


@dataclass(frozen=True)
class Config:
    """Everything that can be set, one section a component."""

    turn: TurnConfig = TurnConfig()
    asr: StreamConfig = StreamConfig()
    llm: LlmConfig = LlmConfig()
    tts: SpeakerConfig = SpeakerConfig()
    server: ServerConfig = ServerConfig()
    microphone: MicrophoneConfig = MicrophoneConfig()
    skills: SkillsConfig = SkillsConfig()
    mqtt: MqttConfig = MqttConfig()
    cluster: ClusterConfig = ClusterConfig()


def read_config(path: Path | None) -> Config:
    """Defaults overridden by the TOML file at `path`; raises ConfigError."""
    if path is None:
        return Config()
    try:
        table = tomllib.loads(read_text(path))
    except OSError as error:
        raise ConfigError(f"{path}: {error.strerror}") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path}: not TOML: {error}") from error
    return config_of(table, path)


def config_of(table: dict[str, Any], path: Path) -> Config:
    """Defaults overridden by the `table` that `path` holds; raises ConfigError."""
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
