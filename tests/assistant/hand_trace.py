"""A trace written by hand: the user says "Yes?" from 320 to 960 ms, and is answered "Yes."

The audio is all zeros. What the detector makes of its windows is in the trace, so that every time of the
simulation can be worked out on paper; see `ANSWERED_MS`.
"""

import gzip
import json
from hashlib import blake2b
from pathlib import Path
from typing import Any

import numpy as np
import soundfile

from assistant.config import Config
from assistant.trace.taps import asked_digest, prompt_digest, speech_digest
from llm.decode.options import AS_CONFIGURED
from llm.decode.responder import Prompt
from llm.text.message import Message

SECONDS = 3.0
VOICED = range(10, 30)  # windows of 32 ms
VAD_MS, FINAL_MS, SCORE_MS, PREFILL_MS, TOKEN_MS, CHUNK_MS = 2, 100, 60, 50, 20, 30

# The pause begins at 960 ms. 64 ms of it are over at 1024, in the frame that comes at 1040; that is known
# 2 ms later. The transcript comes at 1142, the prompt is read at 1192, the token there at 1212, its speech at
# 1242.
# 250 ms of silence are over with the window that ends at 1216, in the frame that comes at 1220: the turn is
# released at 1222, the speech sounds 20 ms after it is given to the sink.
RELEASED_MS, SPOKEN_MS, ANSWERED_MS = 1222, 1242, 1262
VOICE_END_MS = 960
_SYSTEM = Message("system", "Be brief.")
Line = dict[str, Any]


def zeros(samples: int) -> str:
    """The digest of so much silence."""
    return blake2b(b"\0\0" * samples, digest_size=8).hexdigest()


def ns(ms: float) -> int:
    return round(ms * 1e6)


def call(stage: str, given: str, ms: float, gave: object, work: float = 1) -> Line:
    """A call that began at 0: in a simulation only its length counts."""
    times = {"asked": 0, "began": 0, "ended": ns(ms)}
    head = {"is": "call", "stage": stage, "session": "s", "worker": stage}
    return {**head, **times, "input": given, "work": work, "gave": gave}


def stream(stage: str, given: str, steps: list[tuple[float, float, object]], *, whole: bool = True) -> Line:
    """A call in steps of [ms, work, what it gave]."""
    at, told = 0.0, []
    for ms, work, gave in steps:
        told.append([ns(at), ns(at + ms), work, gave])
        at += ms
    times = {"asked": 0, "began": 0, "ended": ns(at)}
    head = {"is": "call", "stage": stage, "session": "s", "worker": stage}
    return {**head, **times, "input": given, "whole": whole, "steps": told}


def one_by_one(of: list[Line]) -> list[Line]:
    """The lines with every call behind the one before, so that none waited for another's core."""
    at_ns, moved = 0, []
    for line in of:
        if line["is"] == "call":
            times = {key: line[key] + at_ns for key in ("asked", "began", "ended")}
            line = {**line, **times}
            if "steps" in line:
                line["steps"] = [[b + at_ns, e + at_ns, *rest] for b, e, *rest in line["steps"]]
            at_ns = line["ended"]
        moved.append(line)
    return moved


def slower_voice(ms: float) -> list[Line]:
    """The trace with so much more for the first chunk of speech."""
    slow = []
    for line in lines():
        if line.get("stage") == "tts.speak":
            (began, ended, *rest), *_ = line["steps"]
            line = {**line, "ended": ended + ns(ms), "steps": [[began, ended + ns(ms), *rest]]}
        slow.append(line)
    return slow


def slow_window(index: int, ms: float) -> list[Line]:
    """The trace with a window that takes the voice detector so long."""
    of = _lines()
    place = [number for number, line in enumerate(of) if line.get("stage") == "vad"][index]
    of[place] = {**of[place], "ended": ns(ms)}
    return one_by_one(of)


def lines() -> list[Line]:
    """The trace's lines but for the last."""
    return one_by_one(_lines())


def _lines() -> list[Line]:
    frames = round(SECONDS * 50)
    came = [ns(20 * (index + 1)) for index in range(frames)]
    prompt = Prompt([1, 2, 3], (_SYSTEM, Message("user", "Yes?")))
    messages = [{"role": message.role, "content": message.content} for message in prompt.history]
    given = prompt_digest(prompt)
    window = zeros(512)
    heard = 1040 * 16 - (320 - 256) * 16  # samples from the pre-roll to the frame that came last
    scored = 1140 * 16 - (320 - 256) * 16
    clip = {"file": "yes.flac", "text": "Yes?", "rate": 16000, "speech_end_sample": VOICE_END_MS * 16}
    unread = len("\nsystem: Be brief.\nuser: Yes?")
    chunk = {"text": "Yes.", "rate": 24000, "audio": [0, 12000], "digest": ""}
    return [
        {"is": "session", "session": "s", "at": 0},
        {"is": "clip", "session": "s", "at": 0, **clip},
        {"is": "frames", "session": "s", "samples": [320] * frames, "came": came, "recorded": came},
        *(call("vad", window, VAD_MS, 0.9 if index in VOICED else 0.0) for index in range(32)),
        call(
            "asr.final",
            zeros(heard),
            FINAL_MS,
            {"text": "Yes?", "tokens": [], "accepted": 0, "words": []},
            round(heard / 16000, 4),
        ),
        call("score", zeros(scored), SCORE_MS, 0.999),
        call(
            "llm.prompt",
            asked_digest([_SYSTEM], "Yes?", AS_CONFIGURED),
            0,
            {"ids": prompt.ids, "messages": messages, "dropped": 0},
            3,
        ),
        stream(
            "llm.reply",
            given,
            [
                (0, 1, ["started"]),
                (PREFILL_MS, unread, ["prefilled", [1, 9]]),
                (TOKEN_MS, 1, ["token", 7, "Yes."]),
                (0, 1, ["finished", "end", ""]),
            ],
        ),
        call("llm.completeness", given, 0, 0.999),
        stream("tts.speak", speech_digest("Yes.", 1.0), [(CHUNK_MS, 4, chunk)]),
    ]


def changed(of: list[Line], stage: str, **change: object) -> list[Line]:
    """The lines with the calls of a stage changed."""
    return [{**line, **change} if line.get("stage") == stage else line for line in of]


def write(folder: Path, of: list[Line] | None = None, *, end: bool = True, **meta: object) -> Path:
    """Write a trace; `meta` overrides its meta.json. The folder."""
    of = lines() if of is None else of
    folder.mkdir(parents=True)
    heard, voice = np.zeros(round(SECONDS * 16000), np.int16), np.full(12000, 8000, np.int16)
    audio = {"in-s.flac": (heard, 16000), "voice-24000.flac": (voice, 24000)}
    for name, (pcm, rate) in audio.items():
        soundfile.write(folder / name, pcm, rate, subtype="PCM_16", format="FLAC")
    last = {
        "is": "end",
        "lines": len(of) + 1,
        "audio": {
            name: [len(pcm), blake2b(pcm.tobytes(), digest_size=16).hexdigest()]
            for name, (pcm, _) in audio.items()
        },
    }
    with gzip.open(folder / "events.jsonl.gz", "wt", encoding="utf-8") as file:
        file.writelines(json.dumps(line) + "\n" for line in [*of, *([last] if end else [])])
    config = {"llm": {"system_prompt": "Be brief.", "sessions": 1}, "asr": {"partial_ms": 60_000}}
    plain = {"format": 1, "cores": 8, "threads": {"asr": 1, "llm_pass": 1}, "models": [], "config": config}
    (folder / "meta.json").write_text(json.dumps({**plain, **meta}))
    return folder


assert Config().turn.prepare_ms == 64 and Config().turn.min_silence_ms == 250, "the times above rest on them"
