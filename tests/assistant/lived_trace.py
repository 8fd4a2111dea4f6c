"""The trace written by hand, with every call when it really ran, and all that a recording tells besides.

What the times are is worked out in `hand_trace`; here the transcript came in one partial at 620 ms, its words
left it open whether the turn was over, which then sounded so, and the speech sounded from 1262 to 1762 ms.
"""

from hand_trace import (
    ANSWERED_MS,
    FINAL_MS,
    PREFILL_MS,
    RELEASED_MS,
    SPOKEN_MS,
    TOKEN_MS,
    UNSURE,
    VOICE_END_MS,
    Line,
    call,
    ns,
)
from hand_trace import _lines as unplaced

PREPARED_MS = 1042
TRANSCRIBED_MS = PREPARED_MS + FINAL_MS  # 1142
READ_MS = TRANSCRIBED_MS + PREFILL_MS  # 1192
WRITTEN_MS = READ_MS + TOKEN_MS  # 1212
SCORED_MS = 1202

BEGAN_MS = {
    "asr.final": PREPARED_MS,
    "llm.closes": TRANSCRIBED_MS,
    "score": TRANSCRIBED_MS,
    "llm.prompt": TRANSCRIBED_MS,
    "llm.reply": TRANSCRIBED_MS,
    "tts.speak": WRITTEN_MS,
}


def placed(line: Line, began_ms: float) -> Line:
    """A call that began then."""
    moved = {**line, **{key: line[key] + ns(began_ms) for key in ("asked", "began", "ended")}}
    if "steps" in line:
        moved["steps"] = [[b + ns(began_ms), e + ns(began_ms), *rest] for b, e, *rest in line["steps"]]
    return moved


def lines(partial: str = "Yes", transcript: str = "Yes?", reply: str = "Yes.", what: str = "") -> list[Line]:
    """All lines but the last; `what` is an input that came at 100 ms."""
    told = {"stable": "", "unstable": partial, "words": []}
    of = unplaced(UNSURE, 0.99)
    head, calls = of[:3], of[3:]
    vad = [placed(line, 32 * (i + 1)) for i, line in enumerate(calls) if line["stage"] == "vad"]
    rest = [placed(line, BEGAN_MS[line["stage"]]) for line in calls if line["stage"] != "vad"]
    came = [{"is": "input", "session": "s", "at": ns(100), "what": what, "fields": {}}] if what else []
    return [
        *head,
        *came,
        *vad,
        placed({**call("asr.partial", "", 20, told), "given": [4096, 9600]}, 600),
        span("queue", "utterances", PREPARED_MS, PREPARED_MS + 1),
        {**span("words", "transcribe", TRANSCRIBED_MS, TRANSCRIBED_MS), "attributes": {"log_odds": 1.377}},
        *rest,
        span("work", "speak", WRITTEN_MS, SPOKEN_MS),
        {"is": "played", "session": "s", "at": ns(SPOKEN_MS), "sounds": ns(ANSWERED_MS), **_voice(12000)},
        {
            "is": "reply",
            "session": "s",
            "at": ns(1762),
            "number": 0,
            "transcript": transcript,
            "reply": reply,
            "heard": reply,
            "interrupted": False,
            "reopened": False,
            "underruns": 0,
            "voice_end": ns(VOICE_END_MS),
            "decided": ns(RELEASED_MS),
            "ends": {
                "endpoint.wait": ns(RELEASED_MS),
                "asr.final": ns(TRANSCRIBED_MS),
                "prompt.assemble": ns(TRANSCRIBED_MS),
                "llm.queue": ns(TRANSCRIBED_MS),
                "llm.prefill": ns(READ_MS),
                "llm.first_token": ns(WRITTEN_MS),
                "llm.first_phrase": ns(WRITTEN_MS),
                "tts.first_chunk": ns(SPOKEN_MS),
                "playback.start": ns(ANSWERED_MS),
            },
            "starts": {"asr.final": ns(PREPARED_MS)},
        },
    ]


def span(name: str, on: str, began_ms: float, ended_ms: float) -> Line:
    """A span of reply 0."""
    times = {"began": ns(began_ms), "ended": ns(ended_ms)}
    return {"is": "span", "name": name, "on": on, "session": "s", **times, "reply": 0}


def _voice(samples: int) -> Line:
    return {"rate": 24000, "audio": [0, samples]}
