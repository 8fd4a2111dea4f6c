"""What steers the conversation itself: again, louder, slower, enough."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import replace

from assistant.session.stages import Device
from assistant.skills.sentences import home_assistant, our_own, placeless
from assistant.skills.skill import Answer, Choice, Intent, Situation

_VOLUME = ("HassSetVolume", "HassSetVolumeRelative", "HassMediaPlayerMute", "HassMediaPlayerUnmute")
_OF_THE_HOME = (
    "HassTurnOn", "HassTurnOff", "HassLightSet", "HassFanSetSpeed", "HassSetPosition", "HassGetState",
    "HassClimateSetTemperature", "HassClimateGetTemperature",
)  # fmt: skip
"""After these "turn it down" is said of a light or the heating."""
_STEP = 10  # percent: clearly heard, and ten of them are everything
_UNMUTED = 50.0  # percent, where it is not known how loud it was
_FASTER = 1.2
_FIXED = "I can't change the volume here. Please turn it on your device."
_NO_VOICE = "I can't change how fast I speak here."
_SAID = {"slower": "Okay, I'll speak more slowly.", "faster": "Okay, I'll speak faster."}


class Control:
    """Repeats and stops, and changes volume and speed of the device that is in the situation."""

    sentences = (
        our_own("control"),
        home_assistant("HassNevermind"),
        *(placeless(name, "default") for name in _VOLUME),
    )
    lists: Mapping[str, Sequence[Choice]] = {}

    def answer(self, intent: Intent, situation: Situation) -> Answer | None:
        """See Skill."""
        match intent.name:
            case "Repeat":
                return Answer(situation.last_reply or "I haven't said anything yet.")
            case "Stop" | "HassNevermind":
                return Answer("Okay.")
            case "SetSpeed":
                return _speed(str(intent.slots["speed"]), situation.device)
            case "VolumeTo":
                return (
                    _volume(replace(intent, name="HassSetVolume"), situation)
                    if _is_about(situation)
                    else None
                )
            case "TurnItUpOrDown":
                meant = replace(intent, name="HassSetVolumeRelative")
                return None if _is_of_the_home(situation.before) else _volume(meant, situation)
        return _volume(intent, situation)


def _is_about(situation: Situation) -> bool:
    before = situation.before
    return before is not None and before.name in _VOLUME and not _is_of_the_home(before)


def _is_of_the_home(before: Intent | None) -> bool:
    if before is None:
        return False
    speakers = before.name in _VOLUME and {"name", "area"} & set(before.slots)
    return bool(speakers) or before.name in _OF_THE_HOME


def _volume(intent: Intent, situation: Situation) -> Answer:
    device = situation.device
    old = None if device is None else device.volume
    if device is None or old is None:
        return Answer(_FIXED, intent=intent)
    new = min(100.0, max(0.0, _wanted(intent, old, situation.before)))
    kept = {"volume_before": old} if intent.name == "HassMediaPlayerMute" else {}
    meant = replace(intent, slots={**intent.slots, **kept})

    def change(percent: float) -> None:
        device.volume = percent

    return Answer(_said_of(new, old), *_done_and_undone(change, new, old), meant)


def _wanted(intent: Intent, old: float, before: Intent | None) -> float:
    step = intent.slots.get("volume_step")
    match intent.name:
        case "HassMediaPlayerMute":
            return 0.0
        case "HassMediaPlayerUnmute":
            muted_from = before.slots.get("volume_before") if before is not None else None
            return old or float(muted_from or _UNMUTED)
        case "HassSetVolume":
            return float(intent.slots["volume_level"])
    return old + (float(step) if isinstance(step, int | float) else _STEP if step == "up" else -_STEP)


def _said_of(new: float, old: float) -> str:
    if new == old:
        edge = {100.0: "That's as loud as it gets.", 0.0: "It's muted already."}
        return edge.get(new, f"The volume is at {new:.0f} percent already.")
    return f"The volume is at {new:.0f} percent." if new else "Okay, muted."


def _speed(speed: str, device: Device | None) -> Answer:
    if device is None:
        return Answer(_NO_VOICE)
    old = device.speed
    new = {"slower": old / _FASTER, "faster": old * _FASTER}.get(speed, 1.0)
    new = round(min(1.5, max(0.25, new)), 2)

    def change(speed: float) -> None:
        device.speed = speed

    if new == old and speed != "normal":
        return Answer(f"I can't speak any {speed}.")
    return Answer(_SAID.get(speed, "Okay, normal speed."), *_done_and_undone(change, new, old))


def _done_and_undone(
    change: Callable[[float], None], new: float, old: float
) -> tuple[Callable[[], Awaitable[None]], Callable[[], Awaitable[None]]]:
    async def act() -> None:
        change(new)

    async def undo() -> None:
        change(old)

    return act, undo
