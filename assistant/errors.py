"""Everything that a user can cause, or a machine: the command line prints these as one line."""

from asr.onnx import ModelFileError
from assistant.audio import AudioError
from assistant.clips import ClipError
from assistant.config import ConfigError
from assistant.model_catalog import ModelStoreError
from assistant.otel import OtelError
from assistant.perfetto import PerfettoError
from assistant.report import ReportError
from llm.chat import ChatTemplateError
from llm.drafts import VocabularyMismatch
from llm.engine import ContextFull, CudaBroken, EngineOutOfMemory
from llm.eval import EvalError
from llm.gguf import GgufError
from llm.patience import RemoteError
from llm.sample import BrokenLogits
from llm.tokenizer import TokenizerError
from tts.errors import TtsError

EXPECTED: tuple[type[Exception], ...] = (
    AudioError,
    BrokenLogits,
    ChatTemplateError,
    ClipError,
    ConfigError,
    ContextFull,
    CudaBroken,
    EngineOutOfMemory,
    EvalError,
    GgufError,
    ModelFileError,
    ModelStoreError,
    OtelError,
    PerfettoError,
    RemoteError,
    ReportError,
    TokenizerError,
    TtsError,
    VocabularyMismatch,
)
