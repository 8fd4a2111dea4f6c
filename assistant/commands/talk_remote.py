"""`assistant talk --url`: with a server of the Realtime API on another machine."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from asr.vad import Vad
from assistant.client.dial import dial
from assistant.client.gate import Gate
from assistant.client.talk import RemoteTalk
from assistant.commands.talk import Parts, TalkRequest, talk
from assistant.config import read_config
from assistant.microphone.echo.canceller import cancels
from assistant.models.speech import VAD, fetch
from assistant.models.store import ModelStore
from assistant.runtime import Clock


def talk_remote(request: TalkRequest, config_file: Path | None, url: str, token: str | None) -> None:
    """See `talk`. The voice detector is the only model that is loaded here."""
    config = request.speech.over(read_config(config_file))  # voice and speed are the server's
    proof_ms = config.microphone.barge_in_ms if cancels() else config.turn.barge_in_ms

    def load(_: Clock) -> Vad:
        return Vad(fetch(ModelStore(), [VAD])[VAD])

    @asynccontextmanager
    async def opened(vad: Vad, parts: Parts) -> AsyncIterator[RemoteTalk]:
        gate = Gate(vad.probability, proof_ms, config.turn.voice_on)
        yield RemoteTalk(
            url,
            lambda resume: dial(url, token, resume),
            gate,
            parts.streams,
            parts.sink,
            parts.clock,
            parts.output,
            parts.options,
        )

    talk(request, config, load, opened, lambda: [])
