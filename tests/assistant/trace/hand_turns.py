"""Recordings written by hand of many turns, each as in `hand_trace`: its parts can be told from its times."""

from pathlib import Path

from hand_trace import (
    ANSWERED_MS,
    FINAL_MS,
    RELEASED_MS,
    SPOKEN_MS,
    VOICE_END_MS,
    Line,
    lines,
    ns,
    write,
)

TTFA_MS = ANSWERED_MS - VOICE_END_MS
EXPOSED_MS = SPOKEN_MS - RELEASED_MS  # of the first chunk


def recording(folder: Path, *, voice_ms: float = 0.0, turns: int = 8, **meta: object) -> Path:
    """Write a recording of so many clips in which the first chunk of speech takes so much longer."""
    session, _, frames, *_ = lines()
    told = [line for number in range(turns) for line in _turn(number, voice_ms)]
    return write(folder, [session, frames, *told], **meta)


def _turn(number: int, voice_ms: float) -> list[Line]:
    at = ns(10_000 * number)
    read = SPOKEN_MS - 30  # when the voice begins
    ends_ms = {
        "endpoint.wait": RELEASED_MS,
        "asr.final": 1042 + FINAL_MS,
        "prompt.assemble": 1042 + FINAL_MS,
        "llm.queue": 1042 + FINAL_MS,
        "llm.prefill": read - 20,
        "llm.first_token": read,
        "llm.first_phrase": read,
        "tts.first_chunk": SPOKEN_MS + voice_ms,
        "playback.start": ANSWERED_MS + voice_ms,
    }
    clip = {
        "file": f"{number:03}.flac",
        "text": "Yes?",
        "rate": 16000,
        "speech_end_sample": VOICE_END_MS * 16,
    }
    words = {"transcript": "Yes?", "reply": "Yes.", "heard": "Yes."}
    how = {"number": 0, "interrupted": False, "reopened": False, "underruns": 0}
    times = {
        "voice_end": at + ns(VOICE_END_MS),
        "decided": at + ns(RELEASED_MS),
        "ends": {name: at + ns(ms) for name, ms in ends_ms.items()},
        "starts": {"asr.final": at + ns(1042)},
    }
    return [
        {"is": "clip", "session": "s", "at": at, **clip},
        {"is": "reply", "session": "s", "at": at + ns(5000), **words, **how, **times},
    ]
