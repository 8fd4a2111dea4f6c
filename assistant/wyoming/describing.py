"""What is offered, as Home Assistant's `describe` asks for it."""

from wyoming.event import Event
from wyoming.info import (
    AsrModel,
    AsrProgram,
    Attribution,
    HandleModel,
    HandleProgram,
    Info,
    TtsProgram,
    TtsVoice,
)

import assistant
from assistant.config import Config

_NAME = "assistant"
_LANGUAGES = ["en"]
_OURS = Attribution("assistant-in-one-process", "")
_MOONSHINE = Attribution("Moonshine AI", "https://github.com/moonshine-ai/moonshine")
_HIBARI = Attribution("Hibari", "https://pypi.org/project/hibari-tts/")


def describe(config: Config, model: str) -> Event:
    """The `info` event; `model` is the language model's name to clients."""
    return Info(asr=[_asr(config)], tts=[_tts(config)], handle=[_handle(model)]).event()


def _asr(config: Config) -> AsrProgram:
    own = config.asr.checkpoint
    heard = AsrModel(
        name=own or "moonshine-tiny-en",
        attribution=_OURS if own else _MOONSHINE,
        installed=True,
        description="A checkpoint of the user's own" if own else "Moonshine tiny, English",
        version=None,
        languages=_LANGUAGES,
    )
    return AsrProgram(
        name=_NAME,
        attribution=_OURS,
        installed=True,
        description="Streaming speech recognition",
        version=assistant.__version__,
        models=[heard],
        supports_transcript_streaming=True,
    )


def _tts(config: Config) -> TtsProgram:
    voice = TtsVoice(
        name=config.tts.voice,
        attribution=_HIBARI,
        installed=True,
        description=config.tts.voice.capitalize(),
        version=None,
        languages=_LANGUAGES,
    )
    return TtsProgram(
        name=_NAME,
        attribution=_OURS,
        installed=True,
        description="Speech synthesis, phrase by phrase",
        version=assistant.__version__,
        voices=[voice],
        supports_synthesize_streaming=True,
    )


def _handle(model: str) -> HandleProgram:
    answers = HandleModel(
        name=model,
        attribution=Attribution(model, ""),
        installed=True,
        description="Replies by the language model",
        version=None,
        languages=_LANGUAGES,
    )
    return HandleProgram(
        name=_NAME,
        attribution=_OURS,
        installed=True,
        description="Conversation",
        version=assistant.__version__,
        models=[answers],
    )
