"""The home behind a real broker, in a typed conversation: what is said, and what devices were told."""

import asyncio
import json
import re
from collections import Counter
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from functools import partial
from pathlib import Path

import pytest
from brokers import HOST, Broker, devices, listening, needs_mosquitto, running

from assistant.commands.household import at_home, open_skills
from assistant.config import Config, MqttConfig
from assistant.mqtt.bridge import Bridge
from assistant.runtime import Clock, Recorder
from assistant.session.events import ReplyDone
from assistant.session.session import Input, Session, SessionConfig, Typed
from assistant.session.stages import Stages

pytestmark = needs_mosquitto

UNREACHABLE = "I can't reach the home right now."
LIGHT = {
    "name": "Kitchen light",
    "schema": "json",
    "brightness": True,
    "brightness_scale": 100,
    "command_topic": "kitchen/set",
    "state_topic": "kitchen/state",
    "device": {"suggested_area": "Kitchen"},
}
ANNOUNCED = "homeassistant/light/kitchen/config"
TOLD = "kitchen/set"


@pytest.fixture
async def broker(tmp_path: Path) -> AsyncIterator[Broker]:
    async with running(tmp_path) as started:
        yield started


class NoLanguageModel:
    """Skills answer all of what is said."""

    takes_tools = False
    tells_ends = False

    def __getattr__(self, name: str) -> object:
        raise AssertionError(f"the language model is asked: {name}")


class Conversation:
    """A session on typed input, the home behind it, and what a recognizer is told to expect."""

    def __init__(self, session: Session, bridge: Bridge, lines: "asyncio.Queue[str]") -> None:
        self.bridge, self._lines = bridge, lines
        self.expected: asyncio.Queue[Sequence[str]] = asyncio.Queue()
        self._events = session.subscribe()
        self._inputs: asyncio.Queue[Input | None] = asyncio.Queue()

    async def inputs(self) -> AsyncIterator[Input]:
        while (item := await self._inputs.get()) is not None:
            yield item

    def type(self, text: str) -> None:
        self._inputs.put_nowait(Typed(text))

    def leave(self) -> None:
        self._inputs.put_nowait(None)

    async def reply(self) -> str:
        """What is said next."""
        async for event in self._events:
            if isinstance(event, ReplyDone):
                assert not event.interrupted
                return event.heard
        raise AssertionError("the conversation is over")

    async def say(self, text: str) -> str:
        self.type(text)
        return await self.reply()

    async def told(self, part: str) -> None:
        """Wait for a line of the bridge's with `part` in it."""
        while part not in await self._lines.get():
            pass

    async def names(self, holds: Callable[[Sequence[str]], bool]) -> None:
        """Wait until what is expected `holds`."""
        while not holds(await self.expected.get()):
            pass


@asynccontextmanager
async def conversation(port: int, mute: Callable[[bool], None] | None = None) -> AsyncIterator[Conversation]:
    """As `assistant serve` and `assistant talk` have it, without models."""
    config = Config(mqtt=MqttConfig(host=HOST, port=port))
    lines: asyncio.Queue[str] = asyncio.Queue()
    names: list[Conversation] = []
    loop = asyncio.get_running_loop()

    def expect(found: Sequence[str]) -> None:
        loop.call_soon_threadsafe(names[0].expected.put_nowait, found)

    with open_skills(config, in_memory=True) as skills:
        async with (
            asyncio.timeout(60),
            at_home(config, skills, expect, mute=mute, tell=lines.put_nowait) as bridge,
        ):
            assert bridge is not None
            stages = Stages(NoLanguageModel(), None, None, skills.open())  # type: ignore[arg-type]
            session = Session(stages, SessionConfig("Be brief."), Clock(), Recorder())
            talked = Conversation(session, bridge, lines)
            names.append(talked)
            async with asyncio.TaskGroup() as group:
                group.create_task(session.run(talked.inputs()))
                yield talked
                talked.leave()


def patient(monkeypatch: pytest.MonkeyPatch, answer_s: float, wait_s: float) -> None:
    """Bridges wait so long for devices, and so long before they try to connect again."""
    made = partial(Bridge, answer_s=answer_s, wait_s=lambda _, random: wait_s * random.random())
    monkeypatch.setattr("assistant.mqtt.bridge.Bridge", made)


def obeys(payload: str) -> list[tuple[str, str]]:
    return [("kitchen/state", payload)]


async def test_it_says_that_a_light_is_on_when_the_light_has_said_so(
    broker: Broker, monkeypatch: pytest.MonkeyPatch
) -> None:
    patient(monkeypatch, 20.0, 0.1)
    async with devices(broker.port, {TOLD: lambda _: []}) as home, conversation(broker.port) as talk:
        await home.say(ANNOUNCED, json.dumps(LIGHT))
        await talk.names(lambda names: tuple(names) == ("Kitchen light", "Kitchen"))
        talk.type("Turn on the kitchen light.")
        replied = asyncio.create_task(talk.reply())
        assert await home.next_told() == (TOLD, '{"state": "ON"}')
        assert not replied.done()
        await home.say("kitchen/state", '{"state": "ON"}')
        assert await replied == "The kitchen light is on."


async def test_it_says_that_a_light_has_not_answered(broker: Broker, monkeypatch: pytest.MonkeyPatch) -> None:
    patient(monkeypatch, 0.2, 0.1)
    async with devices(broker.port, {TOLD: lambda _: []}) as home, conversation(broker.port) as talk:
        await home.say(ANNOUNCED, json.dumps(LIGHT))
        await talk.names(bool)
        said = await talk.say("Turn on the kitchen light.")
        assert said == "I sent that, but the kitchen light has not answered."
        assert home.told == [(TOLD, '{"state": "ON"}')]


async def test_names_are_expected_once_devices_come_and_no_more_once_they_go(broker: Broker) -> None:
    async with devices(broker.port) as home, conversation(broker.port) as talk:
        for name in ("Hall lamp", "Desk lamp"):
            message = {"name": name, "command_topic": "c", "device": {"suggested_area": "Hall"}}
            await home.say(f"homeassistant/switch/{name[:4]}/config", json.dumps(message))
        await talk.names(lambda names: sorted(names) == ["Desk lamp", "Hall", "Hall lamp"])
        await home.say(ANNOUNCED, json.dumps(LIGHT))
        await talk.names(lambda names: "Kitchen light" in names and "Desk lamp" in names)
        await home.say("homeassistant/switch/Desk/config", "")
        await talk.names(lambda names: sorted(names) == ["Hall", "Hall lamp", "Kitchen", "Kitchen light"])
        assert await talk.say("turn on the desk lamp") == "I don't know a device called desk lamp."


async def test_what_is_written_to_the_say_topic_is_said_and_mute_mutes(broker: Broker) -> None:
    asked: asyncio.Queue[bool] = asyncio.Queue()
    async with devices(broker.port) as people, conversation(broker.port, asked.put_nowait) as talk:
        await talk.told(": connected")
        await people.say("assistant/say", "Dinner is ready.")
        assert await talk.reply() == "Dinner is ready."
        assert await talk.say("what's two times three") == "That's 6."
        async with listening(broker.port, "assistant/mute") as told:
            assert (await told.get())[1] == "OFF"
            await people.say("assistant/mute/set", "ON")
            assert (await asked.get(), (await told.get())[1]) == (True, "ON")


async def test_without_a_broker_all_else_is_answered_and_nothing_comes_later(
    broker: Broker, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The bridge would try again in some hours: whatever waited for it would wait for ever."""
    patient(monkeypatch, 3600.0, 1e6)
    obedient = {TOLD: obeys}
    async with conversation(broker.port) as talk:
        async with devices(broker.port, obedient) as home:
            await home.say(ANNOUNCED, json.dumps(LIGHT))
            await talk.names(bool)
            assert await talk.say("turn on the kitchen light") == "The kitchen light is on."
            assert home.told == [(TOLD, '{"state": "ON"}')]
        await broker.kill()
        await talk.told("trying again")
        said = [await talk.say(text) for text in ("turn off the kitchen light", "what's two times three")]
        said += [await talk.say(text) for text in ("turn on the lights", "what's two times four")]
        assert said == [UNREACHABLE, "That's 6.", UNREACHABLE, "That's 8."]
        assert (await talk.say("what time is it")).startswith("It's ")
        await broker.start()
        async with devices(broker.port, obedient) as home, conversation(broker.port) as other:
            await home.say(ANNOUNCED, json.dumps(LIGHT))
            await other.names(bool)
            assert await other.say("set the kitchen light to 30 percent") == (
                "The kitchen light is at 30 percent."
            )
            assert home.told == [(TOLD, '{"state": "ON", "brightness": 30}')]


class Killed:
    """A broker that is killed and started again; of each brightness, how often the light was told it."""

    def __init__(self, broker: Broker, talk: Conversation) -> None:
        self._broker, self._talk = broker, talk
        self.told: Counter[int] = Counter()
        self._home = AsyncExitStack()

    def _obey(self, payload: str) -> list[tuple[str, str]]:
        self.told[json.loads(payload)["brightness"]] += 1
        return obeys(payload)

    async def announce(self) -> None:
        """The light is there, and the bridge knows it."""
        home = await self._home.enter_async_context(devices(self._broker.port, {TOLD: self._obey}))
        await home.say(ANNOUNCED, json.dumps(LIGHT))

    async def kill(self) -> None:
        await self._broker.kill()
        await self._home.aclose()

    async def restart(self) -> None:
        await self._broker.start()
        await self._talk.told(": connected")
        await self.announce()


async def test_a_broker_that_is_killed_and_restarted_loses_no_turn_and_no_command(
    broker: Broker, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each home command names a brightness of its own, by which it is counted where it arrives."""
    patient(monkeypatch, 20.0, 0.1)
    said: dict[int, str] = {}

    async def home_then_sum(talk: Conversation, percent: int) -> None:
        said[percent] = await talk.say(f"set the kitchen light to {percent} percent")
        assert await talk.say(f"what's {percent} plus {percent}") == f"That's {2 * percent}."

    async with conversation(broker.port) as talk:
        killed = Killed(broker, talk)
        await talk.told(": connected")
        await killed.announce()
        await talk.names(bool)
        for first in range(10, 50, 10):
            await home_then_sum(talk, first)
            talk.type(f"set the kitchen light to {first + 1} percent")
            await killed.kill()  # while it is under way, or before, or behind it
            said[first + 1] = await talk.reply()
            await home_then_sum(talk, first + 2)
            await talk.told("trying again")
            await home_then_sum(talk, first + 3)
            await killed.restart()
            await home_then_sum(talk, first + 4)
        await home_then_sum(talk, 90)
        await killed.kill()
        await broker.start()

    done = {
        percent for percent, words in said.items() if words == f"The kitchen light is at {percent} percent."
    }
    refused = {percent for percent, words in said.items() if words == UNREACHABLE}
    in_doubt = set(said) - done - refused
    assert len(said) == 21 and {10, 20, 30, 40, 90} <= done, said
    assert {13, 23, 33, 43} <= refused, said
    assert all(re.match(r"I sent that, but ", said[percent]) for percent in in_doubt), said
    assert all(killed.told[percent] == 1 for percent in done), (said, killed.told)
    assert all(killed.told[percent] == 0 for percent in refused), (said, killed.told)
    assert all(killed.told[percent] <= 1 for percent in in_doubt), (said, killed.told)
