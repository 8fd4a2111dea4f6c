"""`assistant talk` with the models of this machine."""

from collections.abc import AsyncIterator
from contextlib import ExitStack, asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from assistant.commands.household import at_home, open_skills
from assistant.commands.record import recorded
from assistant.commands.talk import Parts, TalkRequest, talk
from assistant.config import Config, read_config
from assistant.microphone.echo.canceller import cancels
from assistant.microphone.talk import SESSION, Talk, turn_config
from assistant.models.load import load_pool, locate
from assistant.models.pool import ModelPool
from assistant.models.store import ModelStore
from assistant.runtime import Clock, Recorder
from assistant.session.session import SessionConfig
from assistant.trace.provenance import model_digests
from assistant.trace.recording import Recording


@dataclass(frozen=True)
class _Models:
    """What answers, and what writes down how."""

    pool: ModelPool
    recorder: Recorder
    recording: Recording | None


def talk_here(request: TalkRequest, config_file: Path | None, record: Path | None = None) -> None:
    """See `talk`; a trace of it goes to the folder `record`. Raises TraceError as well."""
    config = _beside_a_loudspeaker(request, config_file)
    # The loudspeaker turns the volume down: so it can change in the middle of a word.
    loud = replace(config, tts=replace(config.tts, volume=100))

    @asynccontextmanager
    async def opened(models: _Models, parts: Parts) -> AsyncIterator[Talk]:
        stages = models.pool.open(SESSION)
        try:
            talk = Talk(
                stages,
                SessionConfig(config.llm.system_prompt, config.turn, config.asr),
                parts.streams,
                parts.sink,
                parts.clock,
                parts.output,
                parts.options,
                recorder=models.recorder,
                recording=models.recording,
            )
            async with at_home(
                config, skills, models.pool.expect, mute=talk.mute, tell=parts.output.say
            ) as bridge:
                if bridge is not None:
                    talk.watch, talk.on_mute = bridge.happened, bridge.muted
                yield talk
        finally:
            await stages.close()
            models.pool.close()

    with ExitStack() as stack:
        skills = stack.enter_context(open_skills(config))

        def load(clock: Clock) -> _Models:
            recorder = Recorder()
            recording = stack.enter_context(recorded(record, loud, clock, recorder))
            tap = recording.tap if recording else None
            paths = locate(loud, ModelStore())
            return _Models(load_pool(loud, paths, clock, tap, skills.open), recorder, recording)

        talk(request, config, load, opened, lambda: model_digests(config))


def _beside_a_loudspeaker(request: TalkRequest, config_file: Path | None) -> Config:
    config = request.speech.over(read_config(config_file))
    turn = turn_config(
        config.turn,
        config.microphone.barge_in_ms,
        cancelling=cancels(),
        push_to_talk=request.push_to_talk,
    )
    return replace(config, turn=turn)
