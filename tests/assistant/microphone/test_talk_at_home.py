"""What Home Assistant is told of a conversation by microphone, and what it can ask of it, on virtual time."""

import json
from collections.abc import AsyncIterator, Callable

from fakes import Scene, ScriptedSkills, Voice
from test_talk import HELLO, Conversation, press

from assistant.config import MqttConfig
from assistant.mqtt.own import Mute, Offers, Own, Say, Told
from assistant.mqtt.told import messages
from assistant.session.events import SessionEvent
from assistant.skills import Announcements

OWN = Own(MqttConfig(host="x"), "1", Offers(say=True, mute=True))


class Announcing(ScriptedSkills):
    """Says what it is told to."""

    def __init__(self, announcements: Announcements) -> None:
        super().__init__({})
        self._announcements = announcements

    def announcements(self) -> AsyncIterator[str]:
        return self._announcements.listen()


class AtHome(Conversation):
    """As `talk_here` connects a conversation with a home.

    What the home is told is kept by topic and time: of what comes at once the bridge tells the last.
    """

    def __init__(self, scene: Scene) -> None:
        super().__init__(scene)
        self.announcements = Announcements()
        self.world.skills = Announcing(self.announcements)
        self._published: dict[tuple[str, float], str] = {}
        self.muted: list[bool] = []
        self._told: Told = "idle"

    def happened(self, event: SessionEvent) -> None:
        self._told, published = messages(OWN, self._told, event)
        for each in published:
            self._published[each.topic, self.rig.now_ms] = each.payload

    def of(self, topic: str) -> list[str]:
        return [payload for (name, _), payload in self._published.items() if name == f"assistant/{topic}"]

    def connect(self) -> None:
        """Before anything has happened."""
        self.talk.watch, self.talk.on_mute = self.happened, self.muted.append


def connect(talk: Conversation) -> None:
    assert isinstance(talk, AtHome)
    talk.connect()


def ask(topic: str, payload: bytes) -> Callable[[Conversation], None]:
    """Home Assistant publishes `payload`."""

    def publish(talk: Conversation) -> None:
        assert isinstance(talk, AtHome)
        match OWN.heard(f"assistant/{topic}", payload):
            case Say(text=text):
                talk.announcements(text)
            case Mute(muted=muted):
                talk.talk.mute(muted)

    return publish


def test_its_state_goes_through_a_turn_and_its_latency_is_the_turn_s() -> None:
    talk = AtHome(Scene((Voice(320, 960, "how are you"),), {"how are you": HELLO}, 5000))
    talk.run({0: connect})
    assert talk.of("state") == ["listening", "thinking", "speaking", "idle"]
    (turn,) = talk.replay.turns
    (latency,) = map(json.loads, talk.of("latency"))
    assert turn.ttfa_ms is not None and latency["ttfa_ms"] == round(turn.ttfa_ms)
    parts = {part.name: part.ms for part in turn.parts}
    assert latency["parts"] == {name: round(ms) for name, ms in parts.items()}
    assert latency["largest"] == max(parts, key=lambda name: parts[name])


def test_what_home_assistant_writes_is_said() -> None:
    talk = AtHome(Scene((), {}, 5000))
    talk.world.speaker.also.append("Dinner is ready.")
    talk.run({0: connect, 1000: ask("say", b"Dinner is ready.")})
    assert talk.of("state") == ["thinking", "speaking", "idle"]
    ((begin, end),) = talk.loud()
    assert 1000 < begin < 1200 and end - begin > 2 * 300, "three words of 300 ms"


def test_home_assistant_mutes_the_microphone_and_is_told_of_it() -> None:
    voices = (Voice(320, 960, "how are you"), Voice(3200, 3840, "tell me a story"))
    talk = AtHome(Scene(voices, {"tell me a story": "Yes."}, 7000))
    talk.run({0: connect, 100: ask("mute/set", b"ON"), 2000: ask("mute/set", b"OFF"), 6500: press("m")})
    (turn,) = talk.replay.turns
    assert turn.transcript == "tell me a story"
    assert talk.muted == [True, False, True]
