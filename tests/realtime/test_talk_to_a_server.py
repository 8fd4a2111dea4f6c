"""A client and the real server over a socket of this machine, in real time; devices and models are fakes."""

import asyncio
import json
from collections.abc import Awaitable, Callable
from contextlib import closing
from typing import Any, TypeVar

import pytest
from fake_port import FakePort
from near_server import Models, Voice, converse, sound, voiced
from plain import Plain
from shown import Shown
from websockets.asyncio.server import ServerConnection

from assistant.client.dial import dial
from assistant.client.errors import RealtimeError
from assistant.client.gate import Gate
from assistant.client.talk import RemoteTalk
from assistant.config import ServerConfig
from assistant.microphone.devices.sink import SpeakerSink
from assistant.microphone.devices.streams import Streams, Wanted
from assistant.microphone.front_end import TalkOptions
from assistant.runtime import Clock
from assistant.server.listen import listen
from assistant.server.metrics import Metrics
from assistant.server.server import run_server
from assistant.trace.replay import Replay
from assistant.trace.summary import report

pytestmark = pytest.mark.realtime
T = TypeVar("T")
STORY = "Yes. Once upon a time there was a king who slept, and slept, and slept, and slept."
VOICES = (Voice(1000, 1640, "tell me a story", 0.3), Voice(4500, 5300, "no thank you", 0.5))
TOKEN = "right"


class Application:
    """See assistant.server.application; the models are those of the scene."""

    capacity, ready = 2, True

    def __init__(self) -> None:
        self.models = Models(VOICES, {"tell me a story": STORY, "no thank you": "Fine."})
        self.held = 0

    def taken(self) -> int:
        return self.held

    async def converse(self, websocket: ServerConnection, draining: asyncio.Event) -> None:
        self.held += 1
        try:
            await converse(websocket, self.models, Clock(), draining)
        finally:
            self.held -= 1


async def talked(url: str, token: str, shown: Shown, at: dict[float, Callable[[], None]]) -> Replay:
    async def at_once(call: Callable[[], T]) -> T:
        return call()

    def blocking(call: Callable[[], T]) -> Awaitable[T]:
        return at_once(call)

    clock, loop, port = Clock(), asyncio.get_running_loop(), FakePort(sound=sound(VOICES))
    port.loop = loop  # type: ignore[assignment]  # any loop has the time
    sink = SpeakerSink(clock)
    streams = Streams(port, Wanted(), sink, clock, blocking, shown.say)
    await streams.open()
    handles = [loop.call_later(after_s, do) for after_s, do in at.items()]
    try:
        gate, options = Gate(voiced, 128, 0.5), TalkOptions(seconds=8)
        talk = RemoteTalk(
            url,
            lambda resume: dial(url, token, resume),
            gate,
            streams,
            sink,
            clock,
            shown,
            options,
            open_canceller=Plain,
        )
        return await talk.run()
    finally:
        for handle in handles:
            handle.cancel()
        await streams.close()


async def served(token: str, stop_after_s: float | None = None) -> tuple[Replay, Application, Shown]:
    application, stop, ready = Application(), asyncio.Event(), asyncio.Event()
    config = ServerConfig(port=0, token=TOKEN, drain_s=1)
    with closing(listen(config)) as listener:
        port: int = listener.sock.getsockname()[1]
        running: Any = run_server(
            application, config, Metrics(), listener, stop, models=["near"], on_ready=ready.set
        )
        server = asyncio.create_task(running)
        await ready.wait()
        shown = Shown()
        at = {} if stop_after_s is None else {stop_after_s: stop.set}
        try:
            replay = await talked(f"ws://127.0.0.1:{port}/v1/realtime", token, shown, at)
        finally:
            stop.set()
            await server
    return replay, application, shown


@pytest.fixture(autouse=True)
def no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")


async def test_a_question_is_answered_and_a_voice_over_the_reply_stops_it() -> None:
    replay, application, shown = await served(TOKEN)
    first, second = replay.turns
    assert (first.transcript, first.reply, first.interrupted) == ("tell me a story", STORY, True)
    assert first.heard and STORY.startswith(first.heard) and first.heard != STORY
    assert (second.transcript, second.heard, second.interrupted) == ("no thank you", "Fine.", False)
    assert application.models.histories[-1][1] == ("assistant", first.heard)
    assert application.models.heard == pytest.approx([0.3, 0.5], rel=0.05)
    assert shown.lines[:2] == ["listening", "you:       tell me a story"] and application.held == 0
    written = json.loads(json.dumps(report(replay, [])))
    assert [turn["heard"] for turn in written["turns"]] == [first.heard, "Fine."]
    assert written["summary"]["replies"] == 2 and written["summary"]["ttfa_ms"]["p50"] > 0


async def test_a_wrong_token_ends_it_with_one_line() -> None:
    with pytest.raises(ExceptionGroup) as raised:
        await served("wrong")
    error: BaseException = raised.value
    while isinstance(error, BaseExceptionGroup):
        (error,) = error.exceptions
    assert isinstance(error, RealtimeError) and "ASSISTANT_TOKEN" in str(error)


async def test_a_server_that_ends_is_looked_for_again() -> None:
    replay, _, shown = await served(TOKEN, stop_after_s=3.0)
    assert [turn.transcript for turn in replay.turns] == ["tell me a story"]
    told = [line for line in shown.lines if "connecting again" in line]
    assert told[0].endswith("connecting again in 0.5 s") and "nobody listens" in told[1]
