"""What a reply is asked with reaches the models: options, tools and speed."""

import asyncio
from collections.abc import Sequence
from contextlib import aclosing

import pytest
from fakes import Scene, ScriptedSpeaker, ScriptedWriter

from assistant.models.language import RemoteSession
from assistant.runtime import InlineWorker, VirtualLoop, run_virtual
from assistant.session.scheduled import SessionLanguageModel, SessionSynthesizer
from llm.decode.generate import Called, Finished, GenerateConfig, Generated, Token
from llm.decode.options import ReplyOptions
from llm.remote.client import RemoteConfig, RemoteModel
from llm.text.chat import Message, Tool

HISTORY = [Message("system", "Be brief."), Message("user", "Hello.")]
STOP = Called("call_1", "stop", "{}")
REPLIES: dict[str, str | tuple[Called, ...] | Exception] = {"Hello.": "One two three.", "off": (STOP,)}
TOOLS = ReplyOptions(tools=(Tool("stop"),))


def urgent() -> tuple[int, int]:
    return 0, 0


@pytest.fixture
def loop() -> VirtualLoop:
    return VirtualLoop()


def language_of(loop: VirtualLoop) -> SessionLanguageModel:
    writer = ScriptedWriter(Scene((), REPLIES, 0), loop, lambda: HISTORY)
    return SessionLanguageModel(writer, InlineWorker("llm", loop), loop.clock)


def ask(transcript: str | None, options: ReplyOptions) -> Sequence[Generated]:
    items: list[Generated] = []
    loop = VirtualLoop()
    language = language_of(loop)

    async def collect() -> None:
        prompt = language.prompt(HISTORY, transcript, options)
        async with aclosing(language.reply(prompt, urgent)) as reply:
            items.extend([item async for item in reply])

    run_virtual(collect(), loop)
    return items


def test_the_limit_and_the_missing_transcript_reach_the_model() -> None:
    items = ask(None, ReplyOptions(2))
    assert [item.text for item in items if isinstance(item, Token)] == ["One", " two"]
    assert items[-1] == Finished("length", "")
    assert ask("Hello.", ReplyOptions())[-1] == Finished("end", "")


def test_calls_come_through(loop: VirtualLoop) -> None:
    assert language_of(loop).takes_tools
    loop.close()
    items = ask("off", TOOLS)
    assert STOP in items
    assert items[-1] == Finished("tool_calls", "")


def test_what_is_read_ahead_has_the_same_options(loop: VirtualLoop) -> None:
    given: list[ReplyOptions] = []

    class Reader(ScriptedWriter):
        def read_ahead(self, history: Sequence[Message], words: str, options: ReplyOptions = TOOLS) -> None:
            given.append(options)

    writer = Reader(Scene((), REPLIES, 0), loop, lambda: HISTORY)
    language = SessionLanguageModel(writer, InlineWorker("llm", loop), loop.clock)

    async def read() -> None:
        await language.read_ahead(HISTORY, "turn it", lambda: True, ReplyOptions(9))
        await language.read_ahead(HISTORY, "turn it", lambda: True)
        await language.read_ahead(HISTORY, "turn it", lambda: False, TOOLS)

    run_virtual(read(), loop)
    assert given == [ReplyOptions(9), ReplyOptions()]


@pytest.mark.parametrize(("speed", "samples"), [(1.0, 7200), (1.25, 5760), (0.5, 14400)])
def test_the_speed_reaches_the_voice(loop: VirtualLoop, speed: float, samples: int) -> None:
    speaker = ScriptedSpeaker(Scene((), REPLIES, 0), loop)
    synthesizer = SessionSynthesizer(speaker, InlineWorker("tts", loop))
    lengths: list[int] = []

    async def speak() -> None:
        async with aclosing(synthesizer.speak("One two", urgent, speed)) as chunks:
            lengths.extend([len(chunk.audio) async for chunk in chunks])

    run_virtual(speak(), loop)
    assert lengths == [samples] * 2


def test_a_remote_session_passes_them_on() -> None:
    remote = RemoteModel(RemoteConfig("http://127.0.0.1:9/v1", "tiny"), GenerateConfig(), {})
    session = RemoteSession(remote)
    prompt = session.prompt(HISTORY, None, TOOLS)
    assert (prompt.history, prompt.options, session.takes_tools) == (tuple(HISTORY), TOOLS, True)

    async def close() -> None:
        await session.read_ahead(HISTORY, "", lambda: True, TOOLS)
        await remote.close()

    asyncio.run(close())
