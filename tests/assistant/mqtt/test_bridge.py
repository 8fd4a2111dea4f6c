"""The bridge on a real broker: discovery, commands and what comes back, and a broker that dies in between."""

import asyncio
import json
import signal
from pathlib import Path

import pytest
from bridged import bridged
from brokers import Broker, devices, free_port, listening, needs_mosquitto

from assistant.home.entities import (
    Activate,
    CommandUnsupported,
    Entity,
    HomeUnavailable,
    SetTemperature,
    State,
    TurnOff,
    TurnOn,
)

pytestmark = needs_mosquitto

LAMP = {
    "name": None,
    "cmd_t": "~/set",
    "stat_t": "~/state",
    "~": "lamp",
    "dev": {"name": "Desk lamp", "sa": "Study"},
}
ANNOUNCED = "homeassistant/light/lamp/config"
OBEDIENT = {"lamp/set": lambda payload: [("lamp/state", payload)]}


async def test_a_lamp_is_found_turned_on_and_read_back(broker: Broker) -> None:
    async with devices(broker.port, OBEDIENT) as lamp, bridged(broker.port) as home:
        await lamp.say(ANNOUNCED, json.dumps(LAMP))
        await home.until(
            lambda: home.bridge.entities == (Entity("light/lamp", "Desk lamp", "light", "Study"),)
        )
        assert home.bridge.state("light/lamp") is None
        assert await home.bridge.command("light/lamp", TurnOn()) == State("on")
        assert home.bridge.state("light/lamp") == State("on")
        assert await home.bridge.command("light/lamp", TurnOff()) == State("off")
        assert lamp.told == [("lamp/set", "ON"), ("lamp/set", "OFF")]


async def test_two_hundred_entities_of_many_kinds(broker: Broker) -> None:
    kinds = {
        "light": {"schema": "json", "brightness": True},
        "switch": {},
        "climate": {"temperature_command_topic": "t/set", "temperature_state_topic": "t"},
        "sensor": {"state_topic": "s"},
    }
    async with devices(broker.port) as many, bridged(broker.port) as home:
        for number in range(200):
            kind, more = list(kinds.items())[number % len(kinds)]
            config = {"name": f"Thing {number}", "command_topic": f"c/{number}", **more}
            await many.say(f"homeassistant/{kind}/n{number}/x/config", json.dumps(config))
        await home.until(lambda: len(home.bridge.entities) == 200)
        assert [entity.name for entity in home.bridge.entities] == [f"Thing {n}" for n in range(200)]
        assert {entity.domain for entity in home.bridge.entities} == set(kinds)
        for number in range(100, 200):
            kind = list(kinds)[number % len(kinds)]
            await many.say(f"homeassistant/{kind}/n{number}/x/config", "")
        await home.until(lambda: len(home.bridge.entities) == 100)
        assert home.bridge.entities[-1].name == "Thing 99"


async def test_what_was_announced_before_is_found_with_its_state(broker: Broker) -> None:
    async with devices(broker.port, OBEDIENT) as lamp:
        await lamp.say(ANNOUNCED, json.dumps({**LAMP, "avty_t": "lamp/here"}))
        await lamp.say("lamp/here", "online", retain=True)
        await lamp.say("lamp/state", "ON", retain=True)
        async with bridged(broker.port) as home:
            await home.until(lambda: len(home.bridge.entities) == 1)
            await home.caught_up(lamp)
            assert home.bridge.state("light/lamp") == State("on")
            assert await home.bridge.command("light/lamp", TurnOff()) == State("off")


async def test_garbage_that_is_retained_harms_nothing(broker: Broker) -> None:
    garbage: dict[str, bytes] = {
        "homeassistant/light/a/config": b"{",
        "homeassistant/light/b/config": b"\xff\xfe\x00",
        "homeassistant/light/c/config": b"[]" * 1000,
        "homeassistant/light/d/config": b'{"cmd_t": "a/#", "name": "hash"}',
        "homeassistant/light/e/config": b'{"cmd_t": 5.5e308, "name": ["x"]}',
        "homeassistant/light/f/config": b"[" * 100_000,
        "homeassistant/light/g/config": b'{"cmd_t": "x", "name": "' + b"x" * 130_000 + b'"}',
        "homeassistant/light/h/config": b"x" * 300_000,
        "homeassistant/toaster/i/config": b'{"cmd_t": "x", "name": "toast"}',
        "homeassistant/device/j/config": b'{"cmps": {"k": {"p": "light"}, "l": 3, "m": {"p": ["x"]}}}',
        "homeassistant/light/k/l/m/n/config": b'{"cmd_t": "x", "name": "deep"}',
        "homeassistant/status": b"online",
    }
    async with devices(broker.port, OBEDIENT) as lamp:
        for topic, payload in garbage.items():
            await lamp.say(topic, payload, retain=True)
        async with bridged(broker.port) as home:
            await lamp.say(ANNOUNCED, json.dumps(LAMP))
            await home.until(lambda: "Desk lamp" in [entity.name for entity in home.bridge.entities])
            assert len(home.bridge.entities) == 1
            for payload in (b"", b"maybe", b"\xff", b"{" * 90_000, b"ON" * 40_000):
                await lamp.say("lamp/state", payload)
            assert await home.bridge.command("light/lamp", TurnOn()) == State("on")
            assert home.lines.qsize() == 1, "nothing but that it is connected"


async def test_a_lamp_that_says_nothing_is_no_failure(broker: Broker) -> None:
    async with (
        devices(broker.port, {"lamp/set": lambda _: []}) as lamp,
        bridged(broker.port, answer_s=1.0) as home,
    ):
        await lamp.say(ANNOUNCED, json.dumps(LAMP))
        await home.until(lambda: len(home.bridge.entities) == 1)
        assert await home.bridge.command("light/lamp", TurnOn()) is None
        assert await lamp.next_told() == ("lamp/set", "ON")


async def test_a_lamp_that_stays_off_says_so(broker: Broker) -> None:
    stubborn = {"lamp/set": lambda _: [("lamp/state", "OFF")]}
    async with devices(broker.port, stubborn) as lamp, bridged(broker.port, answer_s=1.5) as home:
        await lamp.say(ANNOUNCED, json.dumps(LAMP))
        await home.until(lambda: len(home.bridge.entities) == 1)
        assert await home.bridge.command("light/lamp", TurnOn()) == State("off")


async def test_the_state_is_that_which_was_asked_for_not_one_on_the_way(broker: Broker) -> None:
    dimmer = {"d/set": lambda _: [("d", json.dumps({"state": "ON", "brightness": b})) for b in (20, 90, 128)]}
    config = {"name": "Dimmer", "schema": "json", "cmd_t": "d/set", "stat_t": "d", "brightness": True}
    async with devices(broker.port, dimmer) as lamp, bridged(broker.port) as home:
        await lamp.say(ANNOUNCED, json.dumps(config))
        await home.until(lambda: len(home.bridge.entities) == 1)
        assert await home.bridge.command("light/lamp", TurnOn(50)) == State("on", {"brightness_pct": 50})
        assert json.loads(lamp.told[0][1]) == {"state": "ON", "brightness": 128}


async def test_what_never_reports_is_assumed_to_obey(broker: Broker) -> None:
    async with devices(broker.port, {"x": lambda _: []}) as plug, bridged(broker.port) as home:
        await plug.say("homeassistant/switch/p/config", '{"name": "Plug", "cmd_t": "x"}')
        await plug.say("homeassistant/scene/s/config", '{"name": "Evening", "cmd_t": "x", "pl_on": "go"}')
        await home.until(lambda: len(home.bridge.entities) == 2)
        assert await home.bridge.command("switch/p", TurnOn()) == State("on", assumed=True)
        assert home.bridge.state("switch/p") == State("on", assumed=True)
        assert await home.bridge.command("scene/s", Activate()) == State("activated", assumed=True)
        assert [await plug.next_told(), await plug.next_told()] == [("x", "ON"), ("x", "go")]


async def test_what_cannot_be_done_is_not_sent(broker: Broker) -> None:
    async with devices(broker.port, OBEDIENT) as lamp, bridged(broker.port) as home:
        await lamp.say(ANNOUNCED, json.dumps({**LAMP, "avty_t": "lamp/here"}))
        await home.until(lambda: len(home.bridge.entities) == 1)
        with pytest.raises(HomeUnavailable, match="cannot be reached"):
            await home.bridge.command("light/lamp", TurnOn())
        assert home.bridge.state("light/lamp") == State("unavailable")
        await lamp.say("lamp/here", "online")
        await home.caught_up(lamp)
        for command in (TurnOn(50), TurnOn(color="red"), SetTemperature(20)):
            with pytest.raises(CommandUnsupported):
                await home.bridge.command("light/lamp", command)
        with pytest.raises(HomeUnavailable, match="not there"):
            await home.bridge.command("light/other", TurnOn())
        assert await home.bridge.command("light/lamp", TurnOn()) == State("on")
        assert lamp.told == [("lamp/set", "ON")]


async def test_without_a_broker_a_command_fails_at_once() -> None:
    async with bridged(free_port()) as home:
        assert "refused" in await home.told("trying again")
        with pytest.raises(HomeUnavailable, match="broker") as caught:
            await home.bridge.command("light/lamp", TurnOn())
        assert not caught.value.in_doubt
        assert home.bridge.entities == () and home.bridge.state("light/lamp") is None


async def test_a_broker_that_comes_later_is_found(tmp_path: Path) -> None:
    late = Broker(tmp_path)
    async with bridged(late.port) as home:
        await home.told("trying again")
        await late.start()
        await home.told(": connected")
        async with devices(late.port, OBEDIENT) as lamp:
            await lamp.say(ANNOUNCED, json.dumps(LAMP))
            await home.until(lambda: len(home.bridge.entities) == 1)
            assert await home.bridge.command("light/lamp", TurnOn()) == State("on")
        await late.kill()


async def test_after_a_broker_that_was_killed_all_is_as_before(broker: Broker) -> None:
    async with bridged(broker.port) as home:
        async with devices(broker.port, OBEDIENT) as lamp:
            await lamp.say(ANNOUNCED, json.dumps(LAMP))
            await home.until(lambda: len(home.bridge.entities) == 1)
            assert await home.bridge.command("light/lamp", TurnOn()) == State("on")
            await home.told(": connected")
            await broker.kill()
            await home.told("trying again")
            assert home.bridge.state("light/lamp") is None
            with pytest.raises(HomeUnavailable) as caught:
                await home.bridge.command("light/lamp", TurnOff())
            assert not caught.value.in_doubt, "it was not sent"
        assert [entity.name for entity in home.bridge.entities] == ["Desk lamp"]
        await broker.start()
        await home.told(": connected")
        async with devices(broker.port, OBEDIENT) as lamp, listening(broker.port, "assistant/#") as told:
            assert (await told.get())[:2] == ("assistant/availability", "online")
            # Nobody announces it again: the subscription to its state is the one of before.
            assert await home.bridge.command("light/lamp", TurnOn()) == State("on")
            await lamp.say("homeassistant/switch/new/config", '{"name": "New", "cmd_t": "x"}')
            await home.until(lambda: len(home.bridge.entities) == 2)
            assert lamp.told == [("lamp/set", "ON")], "what failed while it was down never comes"


async def test_a_command_in_flight_when_the_broker_dies_is_in_doubt_and_never_sent_again(
    broker: Broker,
) -> None:
    async with bridged(broker.port) as home:
        async with devices(broker.port, {"lamp/set": lambda _: []}) as lamp:
            await lamp.say(ANNOUNCED, json.dumps(LAMP))
            await home.until(lambda: len(home.bridge.entities) == 1)
            done = asyncio.create_task(home.bridge.command("light/lamp", TurnOn()))
            assert await lamp.next_told() == ("lamp/set", "ON")  # and it does not answer
            await broker.kill()
            with pytest.raises(HomeUnavailable) as caught:
                await done
            assert caught.value.in_doubt
        await home.told(": connected")
        await broker.start()
        async with devices(broker.port, OBEDIENT) as again:
            await home.told(": connected")
            assert await home.bridge.command("light/lamp", TurnOff()) == State("off")
            assert again.told == [("lamp/set", "OFF")]


async def test_a_command_to_a_broker_that_stands_still_is_in_doubt_and_comes_once_at_most(
    broker: Broker,
) -> None:
    """It has the command in its socket's buffer, and goes on when that was given up."""
    async with devices(broker.port, OBEDIENT) as lamp, bridged(broker.port, answer_s=2.0) as home:
        await lamp.say(ANNOUNCED, json.dumps(LAMP))
        await home.until(lambda: len(home.bridge.entities) == 1)
        await home.told(": connected")
        broker.signal(signal.SIGSTOP)
        try:
            with pytest.raises(HomeUnavailable) as caught:
                await home.bridge.command("light/lamp", TurnOn())
            assert caught.value.in_doubt
            await home.told("trying again")
        finally:
            broker.signal(signal.SIGCONT)
        await home.told(": connected")
        assert await home.bridge.command("light/lamp", TurnOff()) == State("off")
        await home.caught_up(lamp)
        assert lamp.told in ([("lamp/set", "OFF")], [("lamp/set", "ON"), ("lamp/set", "OFF")])


async def test_several_commands_at_once_find_their_own_answers(broker: Broker) -> None:
    answers = {f"l{n}/set": (lambda payload, n=n: [(f"l{n}", payload)]) for n in range(8)}
    async with devices(broker.port, answers) as lamps, bridged(broker.port) as home:
        for n in range(8):
            config = {"name": f"Lamp {n}", "cmd_t": f"l{n}/set", "stat_t": f"l{n}"}
            await lamps.say(f"homeassistant/light/l{n}/config", json.dumps(config))
        await home.until(lambda: len(home.bridge.entities) == 8)
        commands = [TurnOn() if n % 2 else TurnOff() for n in range(8)]
        found = await asyncio.gather(*(home.bridge.command(f"light/l{n}", commands[n]) for n in range(8)))
        assert found == [State("on") if n % 2 else State("off") for n in range(8)]
        assert len(lamps.told) == 8
