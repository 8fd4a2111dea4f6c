"""Random events at random times over random speech, on virtual time: what holds whatever a client does."""

import random
import re
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import pytest
import remote
from fakes import VOICE_RATE, Scene, ScriptedReader, ScriptedSpeaker, ScriptedWriter, Timing, Voice
from remote import Event, Remote, typed

from assistant.server.connection import Connection
from llm.decode.generate import Prefilled
from llm.decode.options import AS_CONFIGURED, ReplyOptions
from llm.decode.responder import Prompt
from llm.text.chat import Message
from tts.stream import SpeechChunk

QUIET_MS, LAST_MS, END_MS = 11_500, 13_000, 16_000
NAMES = ("a", "b", *(f"item_{number}" for number in range(1, 13)))  # the session's own, and a client's
RESPONSES: tuple[Event, ...] = (
    {},
    {"output_modalities": ["text"]},
    {"conversation": "none"},
    {"conversation": "none", "input": [typed("hi")["item"]]},
    {"input": [typed("hi")["item"]]},
    {"max_output_tokens": 1},
)
DETECTIONS: tuple[Event | None, ...] = (
    None,
    {"type": "semantic_vad"},
    {"type": "semantic_vad", "create_response": False},
    {"type": "semantic_vad", "interrupt_response": False},
    {"type": "server_vad", "silence_duration_ms": 200},
    {"type": "server_vad", "create_response": False},
    {"type": "server_vad", "prefix_padding_ms": 0},
)


def detection(turn_detection: Event | None) -> Event:
    return {"type": "session.update", "session": {"audio": {"input": {"turn_detection": turn_detection}}}}


def event(draw: random.Random, number: int) -> Event:
    kinds: Sequence[Callable[[], Event]] = (
        *3
        * [
            lambda: {
                "type": "response.create",
                "event_id": f"create_{number}",
                "response": draw.choice(RESPONSES),
            }
        ],
        lambda: {"type": "response.cancel"},
        lambda: {"type": "output_audio_buffer.clear"},
        lambda: {"type": "input_audio_buffer.commit"},
        lambda: {"type": "input_audio_buffer.clear"},
        lambda: typed("typed", id=draw.choice(NAMES)),
        lambda: {**typed("typed"), "previous_item_id": draw.choice(("root", None, *NAMES))},
        lambda: {"type": "conversation.item.delete", "item_id": draw.choice(NAMES)},
        lambda: {"type": "conversation.item.retrieve", "item_id": draw.choice(NAMES)},
        lambda: {
            "type": "conversation.item.truncate",
            "item_id": draw.choice(NAMES),
            "audio_end_ms": draw.choice((0, 350, 9000)),
        },
        lambda: detection(draw.choice(DETECTIONS)),
        lambda: {
            "type": "session.update",
            "session": {
                "instructions": f"Be {number}.",
                "output_modalities": [draw.choice(("text", "audio"))],
            },
        },
    )
    return draw.choice(kinds)()


def events(draw: random.Random) -> dict[int, list[Event]]:
    """What the client says by time, and at the end a typed turn in a quiet session."""
    says: dict[int, list[Event]] = defaultdict(list)
    for number in range(draw.randrange(3, 50)):
        says[draw.randrange(100, 10_000, 20)].append(event(draw, number))
    for at_ms in list(says):
        says[at_ms] += [event(draw, 100 * at_ms + i) for i in range(draw.choice((0, 0, 0, 1, 2)))]
    quiet = {**detection(None)["session"], "output_modalities": ["text"]}
    says[QUIET_MS] = [
        {"type": "session.update", "session": quiet},
        {"type": "input_audio_buffer.clear"},
        {"type": "response.cancel"},
    ]
    says[LAST_MS] = [typed("last", id="last"), {"type": "response.create", "event_id": "last"}]
    return says


def scene(draw: random.Random) -> Scene:
    voices, start_ms = [], 300
    while start_ms < 9000:
        end_ms = start_ms + draw.randrange(200, 1200, 20)
        complete = draw.choice((0.01, 0.5, 0.99))
        voices.append(Voice(start_ms, end_ms, f"words of {start_ms}", sounds=complete, reads=complete))
        start_ms = end_ms + draw.choice((100, 200, 300, 700, 2500))
    timing = Timing(
        score=draw.choice((5, 60, 400)),
        read=draw.choice((10, 100, 900)),
        prefill=draw.choice((5, 70, 500)),
        chunk=draw.choice((5, 30, 200)),
    )
    return Scene(tuple(voices), {}, END_MS, timing)


class Reader(ScriptedReader):
    """It does not mind to begin an utterance again."""

    def begin(self, start_sample: int = 0) -> None:
        self.begun.clear()
        super().begin(start_sample)


class Writer(ScriptedWriter):
    """Answers whatever it is asked."""

    def prompt(
        self, history: Sequence[Message], transcript: str | None, options: ReplyOptions = AS_CONFIGURED
    ) -> Prompt:
        self._scene = Scene((), defaultdict(lambda: "One two three four."), END_MS, self._scene.timing)
        self.transcripts.append(transcript or "")
        return Prompt([len(self.transcripts) - 1], tuple(history), options=options)

    def read_ahead(
        self, history: Sequence[Message], words: str, options: ReplyOptions = AS_CONFIGURED
    ) -> None: ...

    def completeness(self, prefilled: Prefilled) -> float:
        return 0.9


class Speaker(ScriptedSpeaker):
    def speak(
        self, phrase: str, *, speed: float | None = None, should_stop: Callable[[], bool]
    ) -> Iterator[SpeechChunk]:
        for text in re.findall(r"\s*\S+", phrase):
            if should_stop():
                return
            self._loop.spend(self._scene.timing.chunk)
            yield SpeechChunk(self._sound(text, speed), VOICE_RATE, text)


class Client(Remote):
    """A client whose models take everything, and whose connection can be looked into."""

    def __init__(self, draw: random.Random) -> None:
        super().__init__(scene(draw), events(draw))

    def _stages(self) -> Any:  # noqa: ANN401  # the base's
        self.reader, self.writer = Reader(self.scene, self.loop), Writer(self.scene, self.loop, list)
        self.speaker = Speaker(self.scene, self.loop)
        return super()._stages()


@pytest.mark.parametrize("seed", range(60))
def test_whatever_a_client_does_it_is_answered(seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    connections: list[Connection] = []

    class Watched(Connection):
        def __init__(self, *args: Any, **options: Any) -> None:  # noqa: ANN401
            super().__init__(*args, **options)
            connections.append(self)

    monkeypatch.setattr(remote, "Connection", Watched)
    client = Client(random.Random(seed)).run_remote()
    assert client.end_ms >= END_MS - 20, "the session has ended before its client"
    _check_responses(client)
    _check_speech(client)
    kept = [name for name, entry in connections[0]._state.items.items() if not entry.gone]
    assert kept == [item.id for item in client.session.conversation.items]


def _check_responses(client: Remote) -> None:
    """Each is made one at a time and ended, each request is answered, and the last one succeeds."""
    begun = [event["response"]["id"] for event in client.all("response.created")]
    done = [event["response"] for event in client.all("response.done")]
    assert begun == [response["id"] for response in done]
    told = [event["type"] for _, event in client.sent]
    told = [kind for kind in told if kind in ("response.created", "response.done")]
    assert told == ["response.created", "response.done"] * len(done)
    asked = {e["event_id"] for said in client.says.values() for e in said if e["type"] == "response.create"}
    refused = {event["error"]["event_id"] for event in client.all("error")} & asked
    assert len(asked) - len(refused) <= len(done)
    assert "last" not in refused and done[-1]["status"] == "completed"


def _check_speech(client: Remote) -> None:
    """Speech starts and stops in turn, each pair about one item."""
    said = [event for _, event in client.sent if event["type"].startswith("input_audio_buffer.speech")]
    kinds = [event["type"].rsplit("_", 1)[1] for event in said]
    assert kinds == (["started", "stopped"] * len(kinds))[: len(kinds)]
    items = [event["item_id"] for event in said]
    assert items[::2][: len(items) // 2] == items[1::2]
