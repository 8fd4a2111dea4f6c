"""The home without devices."""

import pytest

from assistant.home.entities import CommandUnsupported, Entity, Home, HomeUnavailable, State, TurnOff, TurnOn
from assistant.home.scripted import ScriptedHome

HOME = {
    "areas": ["study"],
    "entities": [
        {"name": "desk lamp", "area": "study", "domain": "light"},
        {"name": "heater", "domain": "switch"},
    ],
}


async def test_it_keeps_what_it_is_told() -> None:
    scripted = ScriptedHome.from_dict(HOME)
    home: Home = scripted
    lamp, heater = home.entities
    assert lamp == Entity("light.desk_lamp", "desk lamp", "light", "study")
    assert (heater.area, home.state(heater.id)) == ("", State("off"))
    assert await home.command(lamp.id, TurnOn(30)) == State("on", {"brightness_pct": 30})
    assert home.state(lamp.id) == State("on", {"brightness_pct": 30})
    assert await home.command(lamp.id, TurnOff()) == State("off", {"brightness_pct": 30})
    assert scripted.commands == [(lamp.id, TurnOn(30)), (lamp.id, TurnOff())]


async def test_what_cannot_be_done_changes_nothing() -> None:
    home = ScriptedHome.from_dict(HOME)
    with pytest.raises(CommandUnsupported):
        await home.command("switch.heater", TurnOn(50))
    with pytest.raises(HomeUnavailable):
        await home.command("light.gone", TurnOn())
    assert home.state("switch.heater") == State("off") and home.state("light.gone") is None
    assert home.commands == []


def test_an_unknown_domain_is_named() -> None:
    with pytest.raises(ValueError, match="toaster"):
        ScriptedHome.from_dict({"entities": [{"name": "it", "domain": "toaster"}]})
