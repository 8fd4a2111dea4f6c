"""What a recorded call was given and what came of it, in a few words."""

from assistant.trace.items import STAGES
from assistant.trace.trace import Call, Json, Step

_MOST = 400  # characters of a text


def describe(call: Call) -> dict[str, str]:
    """What to say about a call: where it ran, how long it took, what it was given, what it gave."""
    told = {
        "worker": call.worker,
        "waited": _ms(call.began_ns - call.asked_ns),
        "took": _ms(call.ended_ns - call.began_ns),
        "given": _given(call),
        "gave": "".join(_gave(call.stage, step.gave) for step in call.steps),
        "not whole": "" if call.whole else "cancelled",
    }
    return {name: _short(text) for name, text in told.items() if text}


def step_name(call: Call, step: Step) -> str:
    """The name of a step: for a language model what it is, else the call's."""
    return STAGES[step.gave[0]] if call.stage == "llm.reply" else call.stage


def describe_step(call: Call, step: Step) -> dict[str, str]:
    """What to say about a step of a call that streams."""
    told = {"took": _ms(step.ended_ns - step.began_ns), "gave": _gave(call.stage, step.gave)}
    if call.stage == "tts.speak":
        told["sounds"] = f"{step.gave['audio'][1] / step.gave['rate']:.2f} s"
    return {name: _short(text) for name, text in told.items() if text}


def _given(call: Call) -> str:
    if call.given is None:
        return ""
    if call.stage.startswith("asr."):
        start, end = call.given
        return f"{end - start} samples from {start}"
    return f"{call.given} tokens" if call.stage == "llm.reply" else str(call.given)


def _gave(stage: str, gave: Json) -> str:
    match stage:
        case "asr.partial":
            return f"{gave['stable']} | {gave['unstable']}"
        case "asr.final" | "tts.speak":
            return str(gave["text"])
        case "score" | "vad":
            return f"{float(gave):.2f}"
        case "skill" | "skill.call":
            return f"{gave['intent']}: {gave['text']}"
        case "skill.act":
            return str(gave)
        case "llm.prompt":
            return f"{len(gave['ids'])} tokens"
        case "llm.reply" if gave[0] in ("token", "finished"):
            return str(gave[2])
        case "llm.reply" if gave[0] == "called":
            return f"{gave[2]}({gave[3]})"
    return ""


def _ms(ns: int) -> str:
    return f"{ns / 1e6:.1f} ms"


def _short(text: str) -> str:
    return text if len(text) <= _MOST else text[: _MOST - 3] + "..."
