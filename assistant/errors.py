"""Everything that a user can cause, or a machine: the command line prints these as one line."""

from asr.onnx import ModelFileError
from assistant.audio import AudioError, ClipError
from assistant.client.errors import RealtimeError
from assistant.cluster.errors import ClusterError
from assistant.cluster.plan.errors import PlanError
from assistant.config import ConfigError
from assistant.microphone.devices.errors import DeviceError
from assistant.models.catalog import ModelStoreError
from assistant.mqtt.errors import BrokerError
from assistant.requests import RequestError
from assistant.server.errors import ServerError
from assistant.skills import SkillError, StoreError
from assistant.trace.errors import TraceError
from assistant.trace.otel import OtelError
from assistant.trace.perfetto import PerfettoError
from assistant.trace.summary import ReportError
from llm.decode import BrokenLogits, ContextFull, CudaBroken, EngineOutOfMemory
from llm.eval import EvalError
from llm.gguf import GgufError
from llm.lora import LoraError
from llm.remote import RemoteError
from llm.text import ChatTemplateError, TokenizerError
from tts.errors import TtsError

EXPECTED: tuple[type[Exception], ...] = (
    AudioError,
    BrokenLogits,
    BrokerError,
    ChatTemplateError,
    ClipError,
    ClusterError,
    ConfigError,
    ContextFull,
    CudaBroken,
    DeviceError,
    EngineOutOfMemory,
    EvalError,
    GgufError,
    LoraError,
    ModelFileError,
    ModelStoreError,
    OtelError,
    PerfettoError,
    PlanError,
    RealtimeError,
    RemoteError,
    ReportError,
    RequestError,
    ServerError,
    SkillError,
    StoreError,
    TokenizerError,
    TraceError,
    TtsError,
)
