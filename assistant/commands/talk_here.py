"""`assistant talk` with the models of this machine."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

from assistant.commands.talk import Parts, TalkRequest, talk
from assistant.config import Config, read_config
from assistant.microphone.echo.canceller import cancels
from assistant.microphone.talk import Talk, turn_config
from assistant.models.load import load_pool, locate
from assistant.models.pool import ModelPool
from assistant.models.store import ModelStore
from assistant.runtime import Clock
from assistant.session.session import SessionConfig
from assistant.trace.provenance import model_digests


def talk_here(request: TalkRequest, config_file: Path | None) -> None:
    """See `talk`."""
    config = request.speech.over(read_config(config_file))
    # The loudspeaker turns the volume down: so it can change in the middle of a word.
    loud = replace(config, tts=replace(config.tts, volume=100))

    def load(clock: Clock) -> ModelPool:
        return load_pool(loud, locate(loud, ModelStore()), clock)

    @asynccontextmanager
    async def opened(pool: ModelPool, parts: Parts) -> AsyncIterator[Talk]:
        stages = pool.open()
        try:
            yield Talk(
                stages,
                _session_config(config, parts),
                parts.streams,
                parts.sink,
                parts.clock,
                parts.output,
                parts.options,
            )
        finally:
            await stages.close()
            pool.close()

    talk(request, config, load, opened, lambda: model_digests(config))


def _session_config(config: Config, parts: Parts) -> SessionConfig:
    turn = turn_config(config.turn, parts.options, config.microphone.barge_in_ms, cancelling=cancels())
    return SessionConfig(config.llm.system_prompt, turn, config.asr)
