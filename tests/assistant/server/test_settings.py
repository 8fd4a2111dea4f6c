"""A session's settings: merging, echoing, and what each means; what cannot be taken changes nothing."""

import json
from collections.abc import Mapping
from typing import Any

import pytest
from client_events import TOOL, UPDATES
from event_fields import check_event
from hypothesis import given
from hypothesis import strategies as st

from assistant.server.fields import Fields
from assistant.server.settings import (
    PARTIALS,
    Limits,
    Object,
    Settings,
    echo,
    for_response,
    initial,
    read,
    updated,
)
from assistant.server.wire import WireError
from assistant.session.turn import TurnConfig

LIMITS = Limits()
SESSION = initial("sess_1", "smollm2", "Be brief.", 1_800_000_000)


def update(session: Object, changes: Object, limits: Limits = LIMITS) -> tuple[Object, Settings]:
    return updated(session, Fields(changes, "session", "mine"), limits)


def echoed(changes: Object) -> Any:  # noqa: ANN401  # any JSON
    return echo(update(SESSION, changes)[0])


def heard(**values: object) -> dict[str, Any]:
    return {"audio": {"input": values}}


def spoken(**values: object) -> dict[str, Any]:
    return {"audio": {"output": values}}


def test_the_first_settings_are_our_own_turn_taking_at_24_khz() -> None:
    session: Any = echo(SESSION)
    assert session["audio"]["input"] == {
        "format": {"type": "audio/pcm", "rate": 24000},
        "transcription": {"model": "smollm2"},
        "noise_reduction": None,
        "turn_detection": {
            "type": "semantic_vad",
            "create_response": True,
            "interrupt_response": True,
            "eagerness": "auto",
        },
    }
    output = {"format": {"type": "audio/pcm", "rate": 24000}, "voice": "hibari", "speed": 1.0}
    assert session["audio"]["output"] == output
    assert (session["type"], session["expires_at"]) == ("realtime", 1_800_000_000)
    settings = read(Fields(SESSION), LIMITS)
    assert settings.turn_config(TurnConfig()) == TurnConfig()


def test_an_update_changes_what_it_names_and_leaves_the_rest() -> None:
    session, _ = update(SESSION, {"instructions": "Be kind.", **spoken(voice="marin")})
    session, settings = update(session, heard(noise_reduction={"type": "near_field"}))
    merged: Any = echo(session)
    assert merged["instructions"] == settings.instructions == "Be kind."
    assert merged["audio"]["output"]["voice"] == "marin"
    assert merged["audio"]["output"]["format"]["rate"] == 24000
    assert merged["audio"]["input"]["noise_reduction"] == {"type": "near_field"}
    assert merged["audio"]["input"]["turn_detection"]["type"] == "semantic_vad"


def test_turn_detection_is_replaced_whole_and_its_defaults_come_back() -> None:
    server = {"type": "server_vad", "silence_duration_ms": 700, "create_response": False}
    session, _ = update(SESSION, heard(turn_detection=server))
    session, settings = update(session, heard(turn_detection={"type": "server_vad", "threshold": 0.7}))
    assert echo(session)["audio"]["input"]["turn_detection"] == {
        "type": "server_vad",
        "create_response": True,
        "interrupt_response": True,
        "threshold": 0.7,
        "prefix_padding_ms": 300,
        "silence_duration_ms": 500,
        "idle_timeout_ms": None,
    }
    config = settings.turn_config(TurnConfig())
    assert (config.detection, config.silence_ms, config.voice_on) == ("silence", 500, 0.7)
    assert config.create_response and settings.pre_roll_ms == 300


def test_null_is_a_value() -> None:
    session, settings = update(SESSION, heard(turn_detection=None, transcription=None))
    assert echo(session)["audio"]["input"]["turn_detection"] is None
    assert echo(session)["audio"]["input"]["transcription"] is None
    assert (settings.detection, settings.transcribed) == (None, False)
    config = settings.turn_config(TurnConfig())
    assert config.detection == "none" and not config.create_response
    session, settings = update(session, {"instructions": "Be kind."})
    assert settings.detection is None, "it stays"


def test_null_elsewhere_is_the_default() -> None:
    changes = {"instructions": None, "tools": None, "tool_choice": None, "max_output_tokens": None}
    session, settings = update(SESSION, {**changes, **spoken(voice=None, speed=None)})
    found: Any = echo(session)
    assert found["tool_choice"] == "auto"
    assert (found["audio"]["output"]["voice"], found["audio"]["output"]["speed"]) == ("hibari", 1.0)
    assert settings.instructions == "" and settings.reply.options.max_tokens is None
    assert settings.reply.options.tools == () and settings.reply.speed == 1.0


@pytest.mark.parametrize("kind", ["audio/pcmu", "audio/pcma"])
def test_telephone_formats_have_no_rate(kind: str) -> None:
    found = echoed(
        {"audio": {"input": {"format": {"type": kind, "rate": 8000}}, "output": {"format": {"type": kind}}}}
    )
    assert found["audio"]["input"]["format"] == found["audio"]["output"]["format"] == {"type": kind}


def test_the_rate_of_pcm_is_echoed_where_the_client_left_it_out() -> None:
    found = echoed(heard(format={"type": "audio/pcm"}))
    assert found["audio"]["input"]["format"] == {"type": "audio/pcm", "rate": 24000}


def test_transcription_is_echoed_with_no_key_that_breaks_a_client() -> None:
    wanted = {"model": "whisper-1", "language": None, "delay": "low"}
    assert echoed(heard(transcription=wanted))["audio"]["input"]["transcription"] == {"model": "whisper-1"}


def test_a_choice_of_one_function_is_echoed_as_a_string() -> None:
    choice = {"type": "function", "name": "weather"}
    session, settings = update(SESSION, {"tools": [TOOL], "tool_choice": choice})
    assert echo(session)["tool_choice"] == "required"
    assert settings.reply.options.tool_choice == "weather"
    (tool,) = settings.reply.options.tools
    assert (tool.name, json.loads(tool.parameters)) == ("weather", TOOL["parameters"])


def test_a_voice_of_the_clients_own_is_echoed_by_its_id() -> None:
    assert echoed(spoken(voice={"id": "voice_1"}))["audio"]["output"]["voice"] == "voice_1"


def test_what_names_the_session_stays() -> None:
    found = echoed({"id": "sess_2", "object": "other", "expires_at": 1.5, "type": "realtime"})
    assert {key: found[key] for key in ("id", "object", "expires_at")} == {
        "id": "sess_1",
        "object": "realtime.session",
        "expires_at": 1_800_000_000,
    }


@pytest.mark.parametrize(
    "ignored",
    [
        {"tracing": "auto"},
        {"tracing": None},
        {"truncation": {"type": "retention_ratio", "retention_ratio": 0.8}},
        {"reasoning": {"effort": "low"}},
        {"prompt": None},
        {"include": ["item.input_audio_transcription.logprobs"]},
        {"parallel_tool_calls": True},
        {"model": "gpt-realtime-2.1"},
        heard(noise_reduction={"type": "far_field"}),
        spoken(voice="ash"),
    ],
)
def test_what_has_no_meaning_here_is_taken_and_changes_nothing(ignored: Object) -> None:
    assert update(SESSION, ignored)[1] == read(Fields(SESSION), LIMITS)


@pytest.mark.parametrize(
    ("eagerness", "sooner"), [("low", False), ("medium", None), ("auto", None), ("high", True), (None, None)]
)
def test_eagerness_moves_the_threshold_of_turn_taking(eagerness: str | None, sooner: bool | None) -> None:
    detection = {"type": "semantic_vad", "eagerness": eagerness}
    config = update(SESSION, heard(turn_detection=detection))[1].turn_config(TurnConfig())
    usual = TurnConfig()
    if sooner is None:
        assert config == usual
    else:
        assert (config.patience < usual.patience) == (config.max_silence_ms < usual.max_silence_ms) == sooner


def test_the_output_and_its_limits() -> None:
    _, settings = update(
        SESSION, {"output_modalities": ["text"], "max_output_tokens": 64, **spoken(speed=1.5)}
    )
    assert not settings.spoken and not settings.reply.spoken
    assert settings.reply.options.max_tokens == 64 and settings.reply.speed == 1.5
    _, settings = update(SESSION, {"max_output_tokens": "inf", "include": [PARTIALS]})
    assert settings.reply.options.max_tokens is None and settings.partials


SCHEMA_OF_MANY = {**TOOL, "parameters": {"type": "object", "description": "x" * LIMITS.item}}
REFUSED = [
    ({"type": "transcription"}, "session.type"),
    ({"output_modalities": ["audio", "text"]}, "session.output_modalities"),
    ({"output_modalities": []}, "session.output_modalities"),
    ({"output_modalities": ["video"]}, "session.output_modalities[0]"),
    ({"instructions": 5}, "session.instructions"),
    ({"instructions": "x" * 1_000_000}, "session.instructions"),
    ({"model": 5}, "session.model"),
    ({"include": "all"}, "session.include"),
    ({"tools": [TOOL] * 10_000}, "session.tools"),
    ({"tools": [TOOL, TOOL]}, "session.tools[1].name"),
    ({"tools": [{**TOOL, "type": "mcp"}]}, "session.tools[0].type"),
    ({"tools": [{**TOOL, "name": "no spaces"}]}, "session.tools[0].name"),
    ({"tools": [{**TOOL, "name": "x" * 65}]}, "session.tools[0].name"),
    ({"tools": [{**TOOL, "parameters": "{}"}]}, "session.tools[0].parameters"),
    ({"tools": [SCHEMA_OF_MANY]}, "session.tools[0].parameters"),
    ({"tools": [{**TOOL, "description": 5}]}, "session.tools[0].description"),
    ({"tools": [None]}, "session.tools[0]"),
    ({"tool_choice": "weather"}, "session.tool_choice"),
    ({"tool_choice": {"type": "function", "name": "weather"}}, "session.tool_choice"),
    ({"tool_choice": {"type": "function"}}, "session.tool_choice.name"),
    ({"max_output_tokens": 0}, "session.max_output_tokens"),
    ({"max_output_tokens": 2.0}, "session.max_output_tokens"),
    ({"max_output_tokens": "many"}, "session.max_output_tokens"),
    ({"audio": None}, "session.audio"),
    ({"audio": {"input": []}}, "session.audio.input"),
    (heard(format="pcm16"), "session.audio.input.format"),
    (heard(format={"type": "audio/opus"}), "session.audio.input.format.type"),
    (heard(format={"type": "audio/pcm", "rate": 16000}), "session.audio.input.format.rate"),
    (heard(format={"type": "audio/pcm", "rate": 24000.0}), "session.audio.input.format.rate"),
    (heard(format={"type": "audio/pcmu", "rate": 24000}), "session.audio.input.format.rate"),
    (heard(turn_detection={"type": "magic"}), "session.audio.input.turn_detection.type"),
    (heard(turn_detection={}), "session.audio.input.turn_detection.type"),
    (
        heard(turn_detection={"type": "semantic_vad", "eagerness": "some"}),
        "session.audio.input.turn_detection.eagerness",
    ),
    (
        heard(turn_detection={"type": "server_vad", "threshold": 1.5}),
        "session.audio.input.turn_detection.threshold",
    ),
    (
        heard(turn_detection={"type": "server_vad", "silence_duration_ms": 0.5}),
        "session.audio.input.turn_detection.silence_duration_ms",
    ),
    (
        heard(turn_detection={"type": "server_vad", "create_response": 1}),
        "session.audio.input.turn_detection.create_response",
    ),
    (heard(transcription="whisper-1"), "session.audio.input.transcription"),
    (heard(transcription={"model": 1}), "session.audio.input.transcription.model"),
    (spoken(format=None), "session.audio.output.format"),
    (spoken(voice=7), "session.audio.output.voice"),
    (spoken(voice={"name": "mine"}), "session.audio.output.voice.id"),
    (spoken(speed=2), "session.audio.output.speed"),
]


@pytest.mark.parametrize(("changes", "param"), REFUSED, ids=[param for _, param in REFUSED])
def test_a_field_that_cannot_be_taken_is_named(changes: Object, param: str) -> None:
    with pytest.raises(WireError) as caught:
        update(SESSION, {**changes})
    error = caught.value
    assert (error.param, error.event_id) == (param, "mine")
    assert error.code in ("invalid_value", "missing_required_parameter")
    assert param in error.message


def test_settings_that_no_client_could_be_sent_back_are_refused() -> None:
    big = [{**TOOL, "name": f"f{n}", "description": "é" * 60_000} for n in range(7)]
    with pytest.raises(WireError, match="at most 786432 bytes") as caught:
        update(SESSION, {"tools": big})
    assert caught.value.param == "session"
    with pytest.raises(WireError, match="at most"):
        update(SESSION, {"of_my_own": "x" * 800_000})


def test_a_response_may_differ_from_its_session() -> None:
    changes = {
        "output_modalities": ["text"],
        "instructions": "Rhyme.",
        "max_output_tokens": 5,
        "tools": [TOOL],
    }
    session, settings = update(SESSION, {"max_output_tokens": 100})
    special = for_response(session, Fields(changes, "response", "mine"), LIMITS)
    assert (special.spoken, special.instructions, special.reply.options.max_tokens) == (False, "Rhyme.", 5)
    assert [tool.name for tool in special.reply.options.tools] == ["weather"]
    assert for_response(session, Fields({}, "response", "mine"), LIMITS) == settings
    nulls = dict.fromkeys(changes)
    assert for_response(session, Fields(nulls, "response", "mine"), LIMITS) == settings
    with pytest.raises(WireError) as caught:
        for_response(session, Fields({"max_output_tokens": -1}, "response", "mine"), LIMITS)
    assert caught.value.param == "response.max_output_tokens"


@given(st.lists(UPDATES, max_size=4))
def test_every_echo_can_be_read_by_every_client_and_sent_back(changes: list[Mapping[str, Any]]) -> None:
    session: Object = SESSION
    for each in changes:
        session, settings = update(session, each)
        found = json.loads(json.dumps(echo(session)))
        check_event({"type": "session.updated", "event_id": "event_1", "session": found})
        assert update(session, found)[1] == settings


def test_a_session_begins_at_the_servers_speed() -> None:
    session = initial("sess_1", "smollm2", "Be brief.", 1_800_000_000, speed=1.25)
    assert read(Fields(session), LIMITS).reply.speed == 1.25
    assert echo(session)["audio"]["output"]["speed"] == 1.25
    changed, settings = update(session, spoken(speed=0.8))
    assert (settings.reply.speed, echo(changed)["audio"]["output"]["speed"]) == (0.8, 0.8)
