"""A trace written by hand: the user says "Yes?" from 320 to 960 ms, and is answered "Yes."

The audio is all zeros. What the detector makes of its windows is in the trace, so that every time of the
simulation can be worked out on paper; see `ANSWERED_MS`. The delays of the turn are in its configuration.
"""

import gzip
import io
import json
from collections.abc import Collection
from hashlib import blake2b
from math import log
from pathlib import Path
from typing import Any

import numpy as np
import soundfile

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
TURN = {"prepare_ms": 64, "min_silence_ms": 250, "patience": 0.5}
RELEASED_MS, SPOKEN_MS, ANSWERED_MS = 1222, 1242, 1262
VOICE_END_MS = 960
PAUSED_MS = 480
# Samples from the pre-roll to the frame that came last before the transcript, and to where 64 ms are over: so
# much is transcribed, and scored.
HEARD, SCORED = ((end_ms - (320 - 256)) * 16 for end_ms in (1040, 1024))

# The turn is over from log-odds of 4 x 0.5 = 2 on. "Yes?" is one word, and here no command, which is
# 1.37 / 4 + 5.75 - 5.87 = 0.223. To that come 0.55 x the log-odds of a closing mark and -1.08 x the
# log-probability of a comma, which the recognizer gives as [closing, going on].
SURE = [log(0.99), log(0.01)]  # 0.223 + 0.55 x 4.595 + 1.08 x 4.605 = 7.724
UNSURE = [log(0.5), log(0.243)]  # 0.223 + 0 + 1.08 x 1.415 = 1.750: how does it sound?
# What the language model tells of it makes 0.45 + 0.89 x 1.750 = 2.008, and 0.23 for each of its log-odds.
# Where it does not know, the sound is asked. If it sounds complete with 0.99 that makes
# -1.05 + 1.03 x 1.750 + 0.4 x 4.595 = 2.591, with 0.9 it makes -1.05 + 1.03 x 1.750 + 0.4 x 2.197 = 1.631.
# A silence adds -ln(1 - ln(s / 0.25) / ln(1.4 / 0.25)).
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


def final(given: str, ending: list[float]) -> Line:
    """A final transcript "Yes?" with the log-probabilities of a closing mark and of a comma behind it."""
    gave = {"text": "Yes?", "tokens": [], "accepted": 0, "words": [], "ending": ending}
    return call("asr.final", given, FINAL_MS, gave, round(HEARD / 16000, 4))


def windows(voiced: Collection[int], count: int) -> list[Line]:
    """What the voice detector makes of so many windows."""
    return [call("vad", zeros(512), VAD_MS, 0.9 if index in voiced else 0.0) for index in range(count)]


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


def with_a_pause() -> list[Line]:
    """The trace of a user who goes on after 128 ms of silence, and whose voice ends PAUSED_MS later.

    In the pause the words leave it open.
    """
    later = [line for line in _lines(UNSURE, 0.99) if line.get("stage") != "vad"]
    later[1]["speech_end_sample"] += PAUSED_MS * 16
    later.append(final(zeros(HEARD + PAUSED_MS * 16), SURE))
    return one_by_one([*later, *windows([*VOICED, *range(34, 45)], 47)])


def with_a_click(index: int) -> list[Line]:
    """The trace with one voiced window in the silence."""
    silent = [line for line in _lines() if line.get("stage") != "vad"]
    return one_by_one([*silent, *windows([*VOICED, index], index + 2)])


def later(of: list[Line], session: str, ms: float) -> list[Line]:
    """The lines as those of another session, which began `ms` later."""
    moved = []
    for line in of:
        times = {key: line[key] + ns(ms) for key in ("at", "asked", "began", "ended") if key in line}
        many = {key: [at + ns(ms) for at in line[key]] for key in ("came", "recorded") if key in line}
        steps = [[began + ns(ms), ended + ns(ms), *rest] for began, ended, *rest in line.get("steps", ())]
        moved.append({**line, **times, **many, **({"steps": steps} if steps else {}), "session": session})
    return moved


def lines() -> list[Line]:
    """The trace's lines but for the last."""
    return one_by_one(_lines())


def unsure_lines(sounds: float, score_ms: float = SCORE_MS) -> list[Line]:
    """The lines where the words leave it open; how complete it `sounds` is known `score_ms` later."""
    return one_by_one(_lines(UNSURE, sounds, score_ms))


def read_lines(closes: float, ms: float) -> list[Line]:
    """The lines where the words leave it open, and the language model reads them so long."""
    return one_by_one(_lines(UNSURE, closes=closes, read_ms=ms))


def _lines(
    ending: list[float] = SURE,
    sounds: float | None = None,
    score_ms: float = SCORE_MS,
    closes: float | None = None,
    read_ms: float = 0.0,
) -> list[Line]:
    frames = round(SECONDS * 50)
    came = [ns(20 * (index + 1)) for index in range(frames)]
    prompt = Prompt([1, 2, 3], (_SYSTEM, Message("user", "Yes?")))
    messages = [{"role": message.role, "content": message.content} for message in prompt.history]
    given, asked = prompt_digest(prompt), asked_digest([_SYSTEM], "Yes?", AS_CONFIGURED)
    clip = {"file": "yes.flac", "text": "Yes?", "rate": 16000, "speech_end_sample": VOICE_END_MS * 16}
    unread = len("\nsystem: Be brief.\nuser: Yes?")
    chunk = {"text": "Yes.", "rate": 24000, "audio": [0, 12000], "digest": ""}
    return [
        {"is": "session", "session": "s", "at": 0},
        {"is": "clip", "session": "s", "at": 0, **clip},
        {"is": "frames", "session": "s", "samples": [320] * frames, "came": came, "recorded": came},
        *windows(VOICED, 32),
        final(zeros(HEARD), ending),
        *([] if ending == SURE else [call("llm.closes", asked, read_ms, closes, 0)]),
        *([] if sounds is None else [call("score", zeros(SCORED), score_ms, sounds)]),
        call(
            "llm.prompt",
            asked,
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
        stream("tts.speak", speech_digest("Yes.", 1.0), [(CHUNK_MS, 4, chunk)]),
    ]


# A turn with a pause from 960 to 1472 ms, over at 1792. In the pause its words have log-odds of
# 0.223 - 0.55 x 0.405 + 1.08 x 2.729 = 2.947. Where that is not enough it is asked how it sounds: that makes
# -1.05 + 1.03 x 2.947 + 0.4 x 2.197 = 2.864, and when the pause is over its 512 ms have added
# -ln(1 - ln(2.048) / ln(5.6)) = 0.538. So a threshold (4 x `patience`) is passed in the pause unless it is
# above PAUSE_IS_COMPLETE. At the end the words are sure. The second transcript is wanted with the window that
# ends at 1856, in the frame that comes at 1860, and there 2 and 100 ms later.
PAUSE_READS, PAUSE_SOUNDS, PAUSE_IS_COMPLETE = [log(0.4), log(0.0653)], 0.9, 3.402
PAUSE_MS, PAUSED_END_MS = (960, 1472), 1792


def paused_lines(text: str = "Yes?", kind: str | None = "list") -> list[Line]:
    """The lines of a trace of that turn; `text` labels its clip, and `kind` its pause."""
    of = _lines(PAUSE_READS, PAUSE_SOUNDS)
    clip = {"pauses": [[ms * 16 for ms in PAUSE_MS]], **({"pause_kinds": [kind]} if kind else {})}
    kept = [line for line in of if line.get("stage") != "vad"]
    kept[1] = {**kept[1], **clip, "text": text, "speech_end_sample": PAUSED_END_MS * 16}
    return one_by_one(
        [
            *kept,
            *windows([*VOICED, *range(46, 56)], 60),
            final(zeros((1860 - (320 - 256)) * 16), SURE),
        ]
    )


def changed(of: list[Line], stage: str, **change: object) -> list[Line]:
    """The lines with the calls of a stage changed."""
    return [{**line, **change} if line.get("stage") == stage else line for line in of]


def write(folder: Path, of: list[Line] | None = None, *, end: bool = True, **meta: object) -> Path:
    """Write a trace; `meta` overrides its meta.json. The folder."""
    of = lines() if of is None else of
    folder.mkdir(parents=True)
    heard, voice = np.zeros(round(SECONDS * 16000), np.int16), np.full(12000, 8000, np.int16)
    sessions = sorted({line["session"] for line in of if line["is"] == "session"} | {"s"})
    audio = {f"in-{name}.flac": (heard, 16000) for name in sessions} | {"voice-24000.flac": (voice, 24000)}
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
    # Without the time, so that two of the same content are the same file.
    with gzip.GzipFile(folder / "events.jsonl.gz", "wb", mtime=0) as packed, io.TextIOWrapper(packed) as file:
        file.writelines(json.dumps(line) + "\n" for line in [*of, *([last] if end else [])])
    llm, asr = {"system_prompt": "Be brief.", "sessions": 1}, {"partial_ms": 60_000, "phrases": []}
    config = {"turn": TURN, "llm": llm, "asr": asr}
    plain = {"format": 2, "cores": 8, "threads": {"asr": 1, "llm_pass": 1}, "models": [], "config": config}
    (folder / "meta.json").write_text(json.dumps({**plain, **meta}))
    return folder
