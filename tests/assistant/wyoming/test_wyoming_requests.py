"""What Home Assistant asks for, by the protocol's own client, of a server on scripted models."""

import asyncio
from itertools import pairwise

import numpy as np
import pytest
from fakes import ScriptedPlan, ScriptedSkills
from wyoming.asr import Transcribe, Transcript
from wyoming.audio import AudioChunk, AudioStart, AudioStop
from wyoming.client import AsyncTcpClient
from wyoming.info import Describe, Info, SelectProgram
from wyoming.ping import Ping, Pong
from wyoming.tts import Synthesize, SynthesizeChunk, SynthesizeStart, SynthesizeStop
from wyoming_serving import LIMIT, SILENCE, client, serving, until

from assistant import __version__
from assistant.session.acts import UNDONE


def samples(width: int, count: int, level: float = 0.5) -> bytes:
    """`count` samples of a constant `level`, by the definition of each width."""
    if width == 1:
        return bytes([128 + round(level * 128)] * count)
    return round(level * 2 ** (8 * width - 1)).to_bytes(width, "little", signed=True) * count


async def say(
    talking: AsyncTcpClient, seconds: float, rate: int = 16000, width: int = 2, channels: int = 1
) -> None:
    """Half a second of silence, then a constant level for so long."""
    await talking.write_event(Transcribe(language="en").event())
    await talking.write_event(AudioStart(rate, width, channels).event())
    for level, length in ((0.0, 0.5), (0.5, seconds)):
        for _ in range(round(length * 10)):
            audio = samples(width, rate // 10 * channels, level)
            await talking.write_event(AudioChunk(rate, width, channels, audio).event())
    await talking.write_event(AudioStop().event())


async def test_it_describes_all_three_services() -> None:
    async with serving() as server, client(server.port) as talking:
        await talking.write_event(Describe().event())
        info = Info.from_event((await until(talking, "info"))[-1])
    (asr,), (tts,), (handle,) = info.asr, info.tts, info.handle
    assert asr.supports_transcript_streaming and tts.supports_synthesize_streaming
    assert {program.version for program in (asr, tts, handle)} == {__version__}
    assert [asr.models[0].languages, tts.voices[0].languages, handle.models[0].languages] == [["en"]] * 3
    assert (tts.voices[0].name, handle.models[0].name) == ("heart", "echo")
    offered = (asr, *asr.models, tts, *tts.voices, handle, *handle.models)
    assert all(artifact.installed and artifact.attribution.name for artifact in offered)


async def test_a_ping_comes_back() -> None:
    async with serving() as server, client(server.port) as talking:
        await talking.write_event(Ping("hello").event())
        assert Pong.from_event((await until(talking, "pong"))[-1]) == Pong("hello")


async def test_what_nobody_knows_is_passed_over() -> None:
    """As the protocol wants it: newer clients say more."""
    async with serving() as server, client(server.port) as talking:
        await talking.write_event(SelectProgram("assistant").event())
        await talking.write_event(Ping("still there").event())
        assert [event.type for event in await until(talking, "pong")] == ["pong"]


@pytest.mark.parametrize(
    ("rate", "width", "channels"), [(16000, 2, 1), (48000, 4, 2), (8000, 1, 1), (44100, 3, 2), (22050, 2, 8)]
)
async def test_speech_of_any_format_is_heard_from_where_it_begins(
    rate: int, width: int, channels: int
) -> None:
    """2 s of voice behind half a second of silence, of which what comes 256 ms before the voice is kept.

    The voice begins in the 16th window of 512 samples, at 7680.
    """
    async with serving() as server, client(server.port) as talking:
        await say(talking, 2.0, rate, width, channels)
        events = await until(talking, "transcript-stop")
    types = [event.type for event in events]
    assert types[0] == "transcript-start" and types[-2:] == ["transcript", "transcript-stop"]
    _, count, _, _, level = events[-2].data["text"].split()
    assert abs(int(count) - (2.5 * 16000 - 7680 + 256 * 16)) <= 512
    assert float(level) == pytest.approx(0.5, abs=0.011)


async def test_words_come_while_the_client_still_speaks_and_make_up_the_transcript() -> None:
    async with serving() as server, client(server.port) as talking:
        await talking.write_event(AudioStart(16000, 2, 1).event())
        audio = samples(2, 16000)
        await talking.write_event(AudioChunk(16000, 2, 1, audio).event())
        first = await until(talking, "transcript-chunk")
        await talking.write_event(AudioStop().event())
        events = first + await until(talking, "transcript-stop")
    assert first[-1].data["text"] == "heard"
    words = "".join(event.data["text"] for event in events if event.type == "transcript-chunk")
    assert words == events[-2].data["text"] == "heard 16000 samples at 0.50"


@pytest.mark.parametrize("seconds", [0, 3])
async def test_silence_is_no_words(seconds: int) -> None:
    """And never shown to the recognizer, which would invent some."""
    async with serving() as server, client(server.port) as talking:
        await talking.write_event(AudioStart(16000, 2, 1).event())
        for _ in range(seconds):
            await talking.write_event(AudioChunk(16000, 2, 1, bytes(32000)).event())
        await talking.write_event(AudioStop().event())
        events = await until(talking, "transcript-stop")
    assert [event.type for event in events] == ["transcript-start", "transcript", "transcript-stop"]
    assert events[1].data["text"] == ""


async def test_a_text_is_spoken() -> None:
    """The scripted voice has one sample for each letter: 10 + 3 + 3 here."""
    async with serving() as server, client(server.port) as talking:
        await talking.write_event(Synthesize("Good morning. How are you?").event())
        events = await until(talking, "audio-stop")
    assert [events[0].type, events[-1].type] == ["audio-start", "audio-stop"]
    assert (events[0].data["rate"], events[0].data["width"], events[0].data["channels"]) == (24000, 2, 1)
    audio = b"".join(event.payload or b"" for event in events[1:-1])
    assert np.frombuffer(audio, "<i2").tolist() == [16384] * len("GoodmorningHowareyou")


async def test_streamed_text_sounds_before_it_is_whole_and_is_said_once() -> None:
    """Clients repeat all of it in a `synthesize`, for servers that do not stream."""
    async with serving() as server, client(server.port) as talking:
        await talking.write_event(SynthesizeStart().event())
        await talking.write_event(SynthesizeChunk("Good morning. How ").event())
        first = await until(talking, "audio-chunk")
        await talking.write_event(SynthesizeChunk("are you?").event())
        await talking.write_event(Synthesize("Good morning. How are you?").event())
        await talking.write_event(SynthesizeStop().event())
        events = first + await until(talking, "synthesize-stopped")
    assert [events[0].type] + [event.type for event in events[-2:]] == [
        "audio-start",
        "audio-stop",
        "synthesize-stopped",
    ]
    audio = b"".join(event.payload or b"" for event in events if event.type == "audio-chunk")
    assert len(audio) == 2 * len("GoodmorningHowareyou")


async def test_a_text_is_answered_in_the_conversation_that_the_client_names() -> None:
    """Home Assistant opens a connection for each text."""
    answers = []
    async with serving() as server:
        for name, text in (("a", "one"), ("b", "two"), ("a", "three")):
            async with client(server.port) as talking:
                await talking.write_event(Transcript(text, context={"conversation_id": name}).event())
                answers += await until(talking, "handled")
    assert [answer.data["text"] for answer in answers] == [
        "You said 'one' after 0 messages.",
        "You said 'two' after 0 messages.",
        "You said 'three' after 2 messages.",
    ]


async def test_a_command_is_done_and_needs_no_language_model() -> None:
    plans = {
        "light on": ScriptedPlan("It's on.", says="The light is on."),
        "heat on": ScriptedPlan("Warm.", says=OSError("no heating")),
    }
    async with serving(skills=ScriptedSkills(plans)) as server, client(server.port) as talking:
        said = []
        for text in ("light on", "heat on", "who are you"):
            await talking.write_event(Transcript(text).event())
            said += await until(talking, "handled")
    assert [event.data["text"] for event in said] == [
        "The light is on.",
        UNDONE,
        "You said 'who are you' after 2 messages.",
    ]
    assert plans["light on"].done == ["act"]


async def test_without_a_name_the_conversation_is_the_connection() -> None:
    async with serving() as server:
        said = []
        for texts in (("one", "two"), ("three",)):
            async with client(server.port) as talking:
                for text in texts:
                    await talking.write_event(Transcript(text).event())
                    said += await until(talking, "handled")
    assert [event.data["text"][-11:] for event in said] == ["0 messages.", "2 messages.", "0 messages."]


@pytest.mark.parametrize("text", [SILENCE, " ", ""])
async def test_what_has_no_answer_is_not_handled(text: str) -> None:
    async with serving() as server, client(server.port) as talking:
        await talking.write_event(Transcript(text).event())
        (answer,) = await until(talking, "not-handled")
    assert answer.type == "not-handled" and answer.data["text"]


async def test_a_sentence_that_ran_into_the_limit_is_left_out() -> None:
    async with serving() as server, client(server.port) as talking:
        await talking.write_event(Transcript(LIMIT).event())
        (answer,) = await until(talking, "handled")
    assert answer.data["text"] == "This is whole."


async def test_one_connection_may_ask_for_everything_in_turn() -> None:
    async with serving(sessions=1) as server, client(server.port) as talking:
        await say(talking, 0.5)
        heard = await until(talking, "transcript-stop")
        await talking.write_event(Transcript(heard[-2].data["text"]).event())
        (answer,) = await until(talking, "handled")
        await talking.write_event(Synthesize(answer.data["text"]).event())
        assert (await until(talking, "audio-stop"))[-1].type == "audio-stop"
    counted = server.metrics.registry.get_sample_value
    services = ("asr", "handle", "tts")
    assert [counted("assistant_wyoming_requests_total", {"service": name}) for name in services] == [1, 1, 1]


async def test_one_place_is_enough_for_who_asks_for_one_thing_after_another() -> None:
    """Home Assistant has a new connection for each; a place that was still taken would refuse it."""
    async with serving(sessions=1) as server:
        for _ in range(20):
            async with client(server.port) as talking:
                await say(talking, 0.3)
                assert (await until(talking, "transcript"))[-1].type == "transcript"
            async with client(server.port) as talking:
                await talking.write_event(Transcript("Hello.").event())
                assert (await until(talking, "handled"))[-1].type == "handled"
            async with client(server.port) as talking:
                await talking.write_event(Synthesize("Hello.").event())
                assert (await until(talking, "audio-stop"))[-1].type == "audio-stop"


async def test_several_at_once_get_what_is_theirs() -> None:
    async def length(port: int, seconds: float) -> int:
        async with client(port) as talking:
            await say(talking, seconds)
            return int((await until(talking, "transcript-stop"))[-2].data["text"].split()[1])

    async with serving(sessions=4) as server:
        lengths = await asyncio.gather(*(length(server.port, seconds) for seconds in (0.5, 1.0, 1.5, 2.0)))
    assert [long - short for short, long in pairwise(lengths)] == [8000, 8000, 8000]
