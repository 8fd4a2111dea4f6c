"""Again, louder, slower, enough."""

from collections.abc import Sequence

import pytest
from skilled import NONE, Loud, Talk

from assistant.skills import Services, Skill
from assistant.skills.control import Control
from assistant.skills.lists import Lists


def control(services: Services) -> Sequence[Skill]:
    return [Control(), Lists(services)]


@pytest.mark.parametrize(
    "says",
    [
        "Say that again.",
        "What did you say?",
        "Pardon?",
        "Come again?",
        "repeat that please",
        "What?",
        "Sorry, what?",
    ],
)
def test_the_last_reply_is_repeated(says: str) -> None:
    talk = Talk(control)
    assert talk.say(says).said == "I haven't said anything yet."
    before = talk.say("Add milk to my list").said
    turn = talk.say(says)
    assert (turn.intent, turn.said) == ("Repeat", before)


@pytest.mark.parametrize(
    ("says", "intent"),
    [
        *(
            (says, "Stop")
            for says in ("Stop.", "stop it", "Be quiet!", "Shut up", "Enough.", "That's enough")
        ),
        *((says, "HassNevermind") for says in ("Never mind.", "nevermind", "Forget it", "oh never mind")),
    ],
)
def test_enough(says: str, intent: str) -> None:
    turn = Talk(control).say(says)
    assert (turn.intent, turn.said) == (intent, "Okay.")


@pytest.mark.parametrize(
    ("says", "intent", "slots", "volume"),
    [
        ("Set the volume to 30 percent.", "HassSetVolume", {"volume_level": 30}, 30),
        ("Set the volume to 30%", "HassSetVolume", {"volume_level": 30}, 30),
        ("Volume twenty", "HassSetVolume", {"volume_level": 20}, 20),
        ("turn the volume up to 80", "HassSetVolume", {"volume_level": 80}, 80),
        ("full volume", "HassSetVolume", {"volume_level": 100}, 100),
        ("set the volume to maximum", "HassSetVolume", {"volume_level": 100}, 100),
        ("Volume up.", "HassSetVolumeRelative", {"volume_step": "up"}, 60),
        ("louder please", "HassSetVolumeRelative", {"volume_step": "up"}, 60),
        ("Could you speak up a bit?", "HassSetVolumeRelative", {"volume_step": "up"}, 60),
        ("I can't hear you", "HassSetVolumeRelative", {"volume_step": "up"}, 60),
        ("Turn it down a bit.", "HassSetVolumeRelative", {"volume_step": "down"}, 40),
        ("turn the volume down", "HassSetVolumeRelative", {"volume_step": "down"}, 40),
        ("You're too loud", "HassSetVolumeRelative", {"volume_step": "down"}, 40),
        ("decrease volume by 25 percent", "HassSetVolumeRelative", {"volume_step": -25}, 25),
        ("Mute.", "HassMediaPlayerMute", {}, 0),
    ],
)
def test_volume(says: str, intent: str, slots: dict[str, object], volume: float) -> None:
    talk = Talk(control)
    assert talk.hear(says) and talk.device.volume == 50, "nothing is done before it is asked for"
    turn = talk.say(says)
    assert turn.intent == intent and slots.items() <= dict(turn.slots).items()
    assert talk.device.volume == volume
    assert f"{volume} percent" in turn.said or turn.said == "Okay, muted."


def test_follow_ups_and_the_way_back() -> None:
    talk = Talk(control)
    talk.say("set the volume to 30")
    assert talk.say("make it 70 percent").intent == "HassSetVolume" and talk.device.volume == 70
    talk.say_and_undo("louder")
    assert talk.device.volume == 70
    talk.say("mute")
    talk.say("unmute")
    assert talk.device.volume == 70
    talk.say("stop")
    assert talk.say("make it 20 percent") == NONE


def test_the_ends_are_said() -> None:
    talk = Talk(control, device=Loud(100.0))
    assert talk.say("louder").said == "That's as loud as it gets." and talk.device.volume == 100


def test_a_volume_that_is_another_devices() -> None:
    talk = Talk(control, device=Loud(None))
    assert "can't change the volume here" in talk.say("louder").said and talk.device.volume is None


@pytest.mark.parametrize(
    ("says", "speed", "at"),
    [
        ("Speak more slowly.", "slower", 0.83),
        ("slow down a bit", "slower", 0.83),
        ("Talk faster!", "faster", 1.2),
        ("could you speak a little faster please", "faster", 1.2),
        ("normal speed", "normal", 1.0),
        ("speak normally", "normal", 1.0),
    ],
)
def test_speed(says: str, speed: str, at: float) -> None:
    talk = Talk(control)
    turn = talk.say(says)
    assert (turn.intent, turn.slots) == ("SetSpeed", {"speed": speed})
    assert talk.device.speed == pytest.approx(at, abs=0.01)


def test_speed_has_an_end() -> None:
    talk = Talk(control, device=Loud(speed=1.5))
    assert talk.say("faster").said == "I can't speak any faster." and talk.device.speed == 1.5
