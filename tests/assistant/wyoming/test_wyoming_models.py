"""Home Assistant's three requests of the real models."""

import re
from collections.abc import Iterator

import numpy as np
import pytest
import soxr
from recordings import recordings
from wyoming.asr import Transcript
from wyoming.audio import AudioChunk, AudioStart, AudioStop
from wyoming.tts import Synthesize, SynthesizeChunk, SynthesizeStart, SynthesizeStop
from wyoming_serving import client, serving, until

from assistant.config import Config
from assistant.models.load import load_pool, locate
from assistant.models.pool import ModelPool
from assistant.models.store import ModelStore
from assistant.runtime import Clock

pytestmark = pytest.mark.models


@pytest.fixture(scope="module")
def pool() -> Iterator[ModelPool]:
    config = Config()
    loaded = load_pool(config, locate(config, ModelStore()), Clock())
    yield loaded
    loaded.close()


def words(text: str) -> list[str]:
    return re.findall(r"[a-z']+", text.lower())


async def heard(port: int, audio: np.ndarray, rate: int) -> str:
    """The transcript of `audio` [n] in [-1, 1]."""
    samples = np.round(audio * 32767).astype("<i2")
    async with client(port) as talking:
        await talking.write_event(AudioStart(rate, 2, 1).event())
        for block in np.array_split(samples, max(1, len(samples) * 10 // rate)):
            await talking.write_event(AudioChunk(rate, 2, 1, block.tobytes()).event())
        await talking.write_event(AudioStop().event())
        text: str = (await until(talking, "transcript-stop"))[-2].data["text"]
        return text


@pytest.mark.parametrize("rate", [16000, 44100])
async def test_a_recording_is_transcribed(pool: ModelPool, rate: int) -> None:
    clip = recordings()["000"]
    async with serving(pool=pool) as server:
        text = await heard(server.port, soxr.resample(clip.audio, 16000, rate), rate)
    assert words(text) == words(clip.text)


@pytest.mark.parametrize("streamed", [False, True])
async def test_what_is_spoken_is_understood(pool: ModelPool, streamed: bool) -> None:
    text = "The next train to Boston leaves in the morning. Take an umbrella with you."
    async with serving(pool=pool) as server:
        async with client(server.port) as talking:
            if streamed:
                await talking.write_event(SynthesizeStart().event())
                for word in re.findall(r"\S+\s*", text):
                    await talking.write_event(SynthesizeChunk(word).event())
                await talking.write_event(SynthesizeStop().event())
            else:
                await talking.write_event(Synthesize(text).event())
            events = await until(talking, "audio-stop")
        payload = b"".join(event.payload or b"" for event in events)
        rate = events[0].data["rate"]
        spoken = np.frombuffer(payload, "<i2").astype(np.float32) / 32768
        assert 2 < len(spoken) / rate < 8
        assert words(await heard(server.port, spoken, rate)) == words(text)


async def test_a_question_is_answered(pool: ModelPool) -> None:
    async with serving(pool=pool) as server, client(server.port) as talking:
        await talking.write_event(Transcript("What is the capital of France?").event())
        (answer,) = await until(talking, "handled")
    assert "Paris" in answer.data["text"]
