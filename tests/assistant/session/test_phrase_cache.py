"""Audio of phrases that recur: made once for all who wait, and not more of it than is allowed."""

import asyncio
from collections.abc import AsyncGenerator

import numpy as np

from assistant.runtime import Urgency
from assistant.session.scheduled import PhraseCache
from assistant.session.stages import AskUrgency
from tts.stream import SpeechChunk

RATE = 1000


class Voice:
    """Speaks a phrase as many seconds as it has letters, once it is let go on; notes how urgent that is."""

    def __init__(self) -> None:
        self.made: list[str] = []
        self.urgency: AskUrgency = lambda: (9, 9)
        self.go_on = asyncio.Event()

    async def speak(self, phrase: str, urgency: AskUrgency) -> AsyncGenerator[SpeechChunk, None]:
        self.made.append(phrase)
        self.urgency = urgency
        await self.go_on.wait()
        yield SpeechChunk(np.zeros(len(phrase) * RATE, np.float32), RATE, phrase)


async def fill(
    cache: PhraseCache, voice: Voice, phrase: str, speed: float | None = None, rank: int = 0
) -> None:
    def urgency() -> Urgency:
        return rank, 0

    await cache.fill(phrase, speed, urgency, lambda ask: voice.speak(phrase, ask))


async def test_who_waits_first_may_be_cancelled() -> None:
    cache, voice = PhraseCache(), Voice()
    first = asyncio.create_task(fill(cache, voice, "abc", rank=2))
    await asyncio.sleep(0)
    second = asyncio.create_task(fill(cache, voice, "abc", rank=1))
    await asyncio.sleep(0)
    assert voice.made == ["abc"] and voice.urgency() == (1, 0)  # as urgent as to who waits for it most
    first.cancel()
    voice.go_on.set()
    await second
    assert voice.made == ["abc", "abc"] and cache.get("abc", None) is not None


async def test_who_joins_may_be_cancelled_and_is_in_no_hurry_any_more() -> None:
    cache, voice = PhraseCache(), Voice()
    first = asyncio.create_task(fill(cache, voice, "abc", rank=2))
    await asyncio.sleep(0)
    second = asyncio.create_task(fill(cache, voice, "abc", rank=1))
    await asyncio.sleep(0)
    second.cancel()
    await asyncio.wait({second})
    assert voice.urgency() == (2, 0)
    voice.go_on.set()
    await first
    assert voice.made == ["abc"]


async def test_other_speeds_are_other_phrases() -> None:
    cache, voice = PhraseCache(), Voice()
    voice.go_on.set()
    await fill(cache, voice, "abc", 1.0)
    await fill(cache, voice, "abc", 1.2)
    assert voice.made == ["abc", "abc"] and cache.get("abc", None) is None


async def test_so_many_seconds_are_kept_of_what_was_wanted_last() -> None:
    cache, voice = PhraseCache(seconds=10), Voice()
    voice.go_on.set()
    for phrase in ("abcd", "efgh", "abcd", "ijkl"):  # 12 s in all
        await fill(cache, voice, phrase)
    assert [phrase for phrase in ("abcd", "efgh", "ijkl") if cache.get(phrase, None)] == ["abcd", "ijkl"]
