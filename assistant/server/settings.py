"""A session's settings: the protocol's object, what a client may change of it, and what follows from it.

The object itself is the state, so that it can be echoed whole. An update is merged into it and then read as
a whole; one that cannot be read changes nothing.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Literal

from assistant.server.fields import Fields
from assistant.server.formats import FORMATS, PCM, AudioFormat
from assistant.server.wire import WireError, write_event
from assistant.session.request import ReplySettings
from assistant.session.turn import TurnConfig
from llm.decode.options import ReplyOptions
from llm.text.message import Tool

Object = Mapping[str, Any]

_CONTAINERS = ("audio", "input", "output")  # merged key by key; all else is replaced whole
_MAX_TOKENS = 4096
_MAX_BYTES = 786_432  # of the whole object as JSON: some clients take no message of more than 1 MiB
_VOICE = "hibari"
_TRANSCRIPTION = ("model", "language", "prompt")  # other keys break a client
_CALL_TOKENS = 256
_NAME = 128  # characters of a model's, a voice's or a function's name
PARTIALS = "assistant.partials"
"""In `include`: an event for every partial transcript, with the words that may still change."""

# How sure it has to be that a turn is over, and how long the longest silence is: between OpenAI's 8, 4 and
# 2 s for the latter and the turn machine's own.
_EAGERNESS = {
    "low": {"patience": 0.9, "max_silence_ms": 3000},
    "medium": {},
    "auto": {},
    "high": {"patience": 0.25, "max_silence_ms": 1000},
}


@dataclass(frozen=True)
class Limits:
    """The sizes that a client's settings and items may have."""

    instructions: int = 65_536
    """Characters, as all texts here."""
    tools: int = 128
    item: int = 65_536
    """Of one item, and of one function's description or schema."""
    items: int = 1000
    history: int = 1_048_576
    """Of all items; the oldest are taken out where there are more of either."""
    buffer_ms: int = 60_000
    """Of audio, where the client says when a turn is over."""


@dataclass(frozen=True)
class Settings:
    """What a session's object means here."""

    instructions: str
    spoken: bool
    input_format: AudioFormat
    output_format: AudioFormat
    transcribed: bool
    partials: bool
    detection: Literal["semantic_vad", "server_vad", None]
    turn: Mapping[str, Any]
    pre_roll_ms: int | None
    reply: ReplySettings

    def turn_config(self, base: TurnConfig) -> TurnConfig:
        """`base`, with what the client has set."""
        return replace(base, **self.turn)


def initial(session_id: str, model: str, instructions: str, expires_at: int, speed: float = 1.0) -> Object:
    """The session's object as `session.created` has it; `expires_at` is in seconds since 1970."""
    return {
        "type": "realtime",
        "object": "realtime.session",
        "id": session_id,
        "model": model,
        "expires_at": expires_at,
        "output_modalities": ["audio"],
        "instructions": instructions,
        "tools": [],
        "tool_choice": "auto",
        "max_output_tokens": "inf",
        "tracing": None,
        "truncation": "auto",
        "prompt": None,
        "include": None,
        "audio": {
            "input": {
                "format": {"type": PCM.name, "rate": PCM.rate},
                "transcription": {"model": model},
                "noise_reduction": None,
                "turn_detection": _detection(Fields({"type": "semantic_vad"})),
            },
            "output": {"format": {"type": PCM.name, "rate": PCM.rate}, "voice": _VOICE, "speed": speed},
        },
    }


def updated(session: Object, update: Fields, limits: Limits) -> tuple[Object, Settings]:
    """The session's object after `session.update`, and what it means; raises WireError."""
    update.choice("type", ("realtime",), default="realtime")
    fixed = {key: session[key] for key in ("type", "object", "id", "expires_at") if key in session}
    merged = {**_merge(session, update.values), **fixed}
    settings = read(Fields(merged, update.path, update.event_id), limits)
    if len(write_event(merged).encode()) > _MAX_BYTES:
        message = f"the session's settings must have at most {_MAX_BYTES} bytes of JSON"
        raise WireError("invalid_value", message, update.path, update.event_id)
    return merged, settings


def for_response(session: Object, update: Fields, limits: Limits) -> Settings:
    """What the settings are for one response; raises WireError."""
    wanted = ("output_modalities", "max_output_tokens", "tools", "tool_choice", "instructions", "audio")
    overrides = {key: update.values[key] for key in wanted if update.values.get(key) is not None}
    return read(Fields(_merge(session, overrides), update.path, update.event_id), limits)


def read(session: Fields, limits: Limits) -> Settings:
    """What the object means; raises WireError."""
    sound = session.object("audio")
    heard, spoken = sound.object("input"), sound.object("output")
    session.text("model", limit=_NAME, null=None)
    if isinstance(spoken.values.get("voice"), dict):  # one of the client's own
        spoken.object("voice").text("id", limit=_NAME)
    else:
        spoken.text("voice", limit=_NAME, default=None, null=None)
    detection = heard.object("turn_detection", null=None)
    transcription = heard.object("transcription", default=None, null=None)
    for key in _TRANSCRIPTION:
        if transcription is not None:
            transcription.text(key, limit=limits.instructions, default=None, null=None)
    kind, turn, pre_roll_ms = _turn(detection)
    include = session.array("include", limit=32, default=None, null=None)
    modality = _modality(session)
    tools = _tools(session, limits)
    return Settings(
        instructions=session.text("instructions", limit=limits.instructions, null=""),
        spoken=modality == "audio",
        input_format=_format(heard),
        output_format=_format(spoken),
        transcribed=transcription is not None,
        partials=include is not None and PARTIALS in include.values.values(),
        detection=kind,
        turn=turn,
        pre_roll_ms=pre_roll_ms,
        reply=ReplySettings(
            spoken=modality == "audio",
            speed=spoken.number("speed", low=0.25, high=1.5, default=1.0, null=1.0),
            options=ReplyOptions(_max_tokens(session, tools), tools, _tool_choice(session, tools)),
        ),
    )


def _merge(session: Object, update: Object) -> dict[str, Any]:
    merged = dict(session)
    for key, value in update.items():
        inside = key in _CONTAINERS and isinstance(value, dict) and isinstance(merged.get(key), dict)
        merged[key] = _merge(merged[key], value) if inside else value
    return merged


def echo(session: Object) -> Object:
    """The object as clients want it back: every default filled in, each union in its simplest form."""
    heard = dict(session["audio"]["input"])
    spoken = dict(session["audio"]["output"])
    for part in (heard, spoken):
        part["format"] = wire_format(_format(Fields(part)))
    if heard["turn_detection"] is not None:
        heard["turn_detection"] = _detection(Fields(heard["turn_detection"]))
    if heard.get("transcription") is not None:
        wanted = heard["transcription"]
        heard["transcription"] = {key: wanted[key] for key in _TRANSCRIPTION if wanted.get(key) is not None}
    spoken |= {"voice": voice(session), "speed": spoken.get("speed") or 1.0}
    choice = session["tool_choice"]
    return {
        **session,
        "audio": {**session["audio"], "input": heard, "output": spoken},
        "tool_choice": "required" if isinstance(choice, dict) else choice or "auto",
    }


def voice(session: Object) -> str:
    """The name or id of the voice that the client knows; there is but one."""
    wanted = session["audio"]["output"].get("voice")
    name: str | None = wanted["id"] if isinstance(wanted, dict) else wanted
    return name or _VOICE


def wire_format(audio_format: AudioFormat) -> Object:
    """A format as clients want it back: with a rate only where there is a choice of them."""
    return {"type": audio_format.name, **({"rate": audio_format.rate} if audio_format is PCM else {})}


def _format(part: Fields) -> AudioFormat:
    wanted = part.object("format")
    audio_format = FORMATS[wanted.choice("type", tuple(FORMATS))]
    wanted.integer("rate", low=audio_format.rate, high=audio_format.rate, default=None, null=None)
    return audio_format


def _detection(wanted: Fields) -> Object:
    """Turn detection with its defaults; raises WireError."""
    kind = wanted.choice("type", ("semantic_vad", "server_vad"))
    common = {
        "type": kind,
        "create_response": wanted.flag("create_response", default=True, null=True),
        "interrupt_response": wanted.flag("interrupt_response", default=True, null=True),
    }
    if kind == "semantic_vad":
        eagerness = wanted.choice("eagerness", tuple(_EAGERNESS), default="auto", null="auto")
        return {**common, "eagerness": eagerness}
    return {
        **common,
        "threshold": wanted.number("threshold", low=0.0, high=1.0, default=0.5, null=0.5),
        "prefix_padding_ms": wanted.integer("prefix_padding_ms", low=0, high=5000, default=300, null=300),
        "silence_duration_ms": wanted.integer(
            "silence_duration_ms", low=0, high=10_000, default=500, null=500
        ),
        "idle_timeout_ms": None,
    }


def _turn(wanted: Fields | None) -> tuple[Literal["semantic_vad", "server_vad", None], Object, int | None]:
    """The kind of turn detection, what of a TurnConfig it sets, and the audio kept before a voice, in ms."""
    if wanted is None:
        return None, {"detection": "none", "create_response": False}, 0  # the client says where it begins
    detection = _detection(wanted)
    common = {key: detection[key] for key in ("create_response", "interrupt_response")}
    if detection["type"] == "semantic_vad":
        return "semantic_vad", {"detection": "semantic", **common, **_EAGERNESS[detection["eagerness"]]}, None
    on = max(0.01, detection["threshold"])
    silence = {
        "voice_on": on,
        "voice_off": max(0.005, on - 0.15),
        "silence_ms": detection["silence_duration_ms"],
    }
    return "server_vad", {"detection": "silence", **common, **silence}, detection["prefix_padding_ms"]


def _modality(session: Fields) -> Literal["audio", "text"]:
    modalities = session.array("output_modalities", limit=2)
    found = [modalities.choice(index, ("audio", "text")) for index in modalities]
    if found not in (["audio"], ["text"]):
        raise session.error("output_modalities", 'must be ["audio"] or ["text"]')
    return "audio" if found == ["audio"] else "text"


def _max_tokens(session: Fields, tools: tuple[Tool, ...]) -> int | None:
    """The limit of a reply; None is the configuration's, which is made for speech and cuts calls off."""
    if session.values.get("max_output_tokens", "inf") in ("inf", None):
        return _CALL_TOKENS if tools else None
    return session.integer("max_output_tokens", low=1, high=_MAX_TOKENS)


def _tools(session: Fields, limits: Limits) -> tuple[Tool, ...]:
    found: list[Tool] = []
    listed = session.array("tools", limit=limits.tools, default=None, null=None)
    for index in listed or ():
        assert listed is not None
        tool = listed.object(index)
        tool.choice("type", ("function",))
        name = tool.text("name", limit=_NAME)
        if any(other.name == name for other in found):
            raise tool.error("name", "is the name of another function, too")
        schema = tool.object("parameters", default=None, null=None)
        description = tool.text("description", limit=limits.item, default="", null="")
        parameters = json.dumps(schema.values) if schema else '{"type": "object", "properties": {}}'
        if len(parameters) > limits.item:
            raise tool.error("parameters", f"must be a schema of at most {limits.item} characters")
        try:
            found.append(Tool(name, description, parameters))
        except ValueError as error:
            raise tool.error("name", f"cannot be used: {error}") from None
    return tuple(found)


def _tool_choice(session: Fields, tools: tuple[Tool, ...]) -> str:
    choice = session.values.get("tool_choice", "auto")
    if isinstance(choice, dict):
        name = session.object("tool_choice").text("name", limit=_NAME)
        if not any(tool.name == name for tool in tools):
            raise session.error("tool_choice", "must name one of the tools")
        return name
    return session.choice("tool_choice", ("auto", "none", "required"), default="auto", null="auto")
