"""What a command makes of a state, and what a device may report and still have obeyed."""

import pytest

from assistant.home.effects import ACCEPTS, effect, fulfils
from assistant.home.entities import (
    Close,
    Command,
    CommandUnsupported,
    Domain,
    Lock,
    Open,
    ReturnToBase,
    SetPosition,
    SetSpeed,
    SetTemperature,
    SetVolume,
    Start,
    State,
    Stop,
    TurnOff,
    TurnOn,
    Unlock,
)


@pytest.mark.parametrize(
    ("domain", "command", "value", "attributes"),
    [
        ("light", TurnOn(), "on", {}),
        ("light", TurnOn(40, "blue"), "on", {"brightness_pct": 40, "color": "blue"}),
        ("light", TurnOn(color_temp_k=2700), "on", {"color_temp_k": 2700}),
        ("light", TurnOff(), "off", {}),
        ("fan", SetSpeed(0), "off", {"percentage": 0}),
        ("climate", SetTemperature(21.5), "before", {"temperature": 21.5}),
        ("climate", TurnOn(), "heat", {}),
        ("media_player", SetVolume(30), "before", {"volume": 30}),
        ("cover", Open(), "open", {"position": 100}),
        ("cover", SetPosition(0), "closed", {"position": 0}),
        ("cover", Stop(), "before", {}),
        ("lock", Unlock(), "unlocked", {}),
        ("vacuum", Start(), "cleaning", {}),
        ("vacuum", Stop(), "idle", {}),
    ],
)
def test_a_command_changes_what_it_names(
    domain: Domain, command: Command, value: str, attributes: dict[str, object]
) -> None:
    after = effect(domain, command, State("before", {"kept": 1}))
    assert after == State(value, {"kept": 1, **attributes})


@pytest.mark.parametrize(
    ("domain", "command"),
    [
        ("sensor", TurnOn()),
        ("binary_sensor", TurnOff()),
        ("switch", TurnOn(50)),
        ("light", SetTemperature(20)),
        ("scene", TurnOff()),
        ("lock", Open()),
    ],
)
def test_what_makes_no_sense_is_refused(domain: Domain, command: Command) -> None:
    with pytest.raises(CommandUnsupported):
        effect(domain, command, None)


@pytest.mark.parametrize("wrong", [-1, 101, float("nan")])
def test_a_percentage_is_one(wrong: float) -> None:
    for command in (TurnOn, SetSpeed, SetVolume, SetPosition):
        with pytest.raises(ValueError, match="0 to 100"):
            command(wrong)


def test_what_happens_at_once_has_obeyed() -> None:
    samples: list[Command] = [TurnOn(), TurnOff(), SetTemperature(20), SetSpeed(50), SetVolume(20)]
    samples += [SetPosition(40), Open(), Close(), Stop(), Lock(), Unlock(), Start(), ReturnToBase()]
    for domain, accepted in ACCEPTS.items():
        for command in samples:
            if isinstance(command, accepted):
                assert fulfils(domain, command, effect(domain, command, State("before"))), (domain, command)


@pytest.mark.parametrize(
    ("domain", "command", "state", "obeyed"),
    [
        ("light", TurnOn(), State("off"), False),
        ("light", TurnOn(50), State("on", {"brightness_pct": 49}), True),
        ("light", TurnOn(50), State("on", {"brightness_pct": 80}), False),
        ("light", TurnOn(50), State("on"), False),
        ("light", TurnOn(color="red"), State("on", {"color": "orange"}), True),
        ("cover", Open(), State("opening", {"position": 3}), True),
        ("cover", Close(), State("open"), False),
        ("cover", SetPosition(30), State("closing", {"position": 80}), True),
        ("cover", SetPosition(30), State("open", {"position": 80}), False),
        ("climate", SetTemperature(21.3), State("heat", {"temperature": 21.5}), True),
        ("climate", SetTemperature(21), State("heat", {"temperature": 19}), False),
        ("climate", TurnOn(), State("off"), False),
        ("fan", SetSpeed(50), State("on", {"percentage": 66}), True),
        ("lock", Lock(), State("jammed"), False),
        ("vacuum", ReturnToBase(), State("returning"), True),
    ],
)
def test_a_report_is_held_against_the_command(
    domain: Domain, command: Command, state: State, obeyed: bool
) -> None:
    assert fulfils(domain, command, state) is obeyed
