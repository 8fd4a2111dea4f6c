"""What turns cost, read out of a recorded trace that another program can read as well: its lines are JSON."""

import gzip
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from assistant.audio import Clip
from assistant.cluster.plan.turn_rows import busy_s, turn_rows
from assistant.session.parts import Part
from assistant.trace.trace import Call, Step, read_trace
from assistant.trace.turns import ReplayedTurn

FOLDER = Path("traces/recorded/questions")
CPU = {"asr": 0.5, "tts": 0.8, "llm": 0.25}


def lines() -> list[dict[str, Any]]:
    with gzip.open(next(FOLDER.glob("*.gz")), "rt", encoding="utf-8") as file:
        return [json.loads(line) for line in file]


def calls(stage: str, session: str) -> list[dict[str, Any]]:
    return [line for line in lines() if line.get("stage") == stage and line.get("session") == session]


def ms(call: dict[str, Any]) -> float:
    return float(sum(step[1] - step[0] for step in call.get("steps", [[call["began"], call["ended"]]]))) / 1e6


def replayed(ttfa_ms: float | None = 300.0) -> ReplayedTurn:
    part = Part("playback.start", 31.0, 0.0)
    return ReplayedTurn("a", None, "", "", ttfa_ms, (part,), False, "", 0)


def test_a_row_has_what_the_lines_of_the_trace_say() -> None:
    trace = read_trace(FOLDER)
    clips = [Clip(Path("a"), None, 16_000, 48_000, 16_000)] * len(trace.sessions)
    rows = list(turn_rows(trace, clips, [replayed()] * len(trace.sessions), CPU))
    assert len(rows) == len(trace.sessions)
    row, session = rows[0], trace.sessions[0].name
    partials, finals = calls("asr.partial", session), calls("asr.final", session)
    (reply,) = calls("llm.reply", session)
    (told,) = [line for line in lines() if line["is"] == "reply" and line["session"] == session]
    assert (row.partials, row.finals, row.prepared) == (len(partials), len(finals), 1)
    assert row.partial_ms == pytest.approx(sum(map(ms, partials)) / len(partials) * 0.5)
    assert row.final_ms == pytest.approx(ms(finals[0]) * 0.5)
    ahead = calls("llm.read_ahead", session)
    assert row.read_ahead_ms == pytest.approx(sum(map(ms, ahead)) * 0.25)
    assert row.tokens == sum(step[3][0] == "token" for step in reply["steps"])
    assert 1 <= row.first_tokens <= row.tokens
    assert row.chunks == sum(len(call["steps"]) for call in calls("tts.speak", session))
    assert (row.lead_s, row.speech_s, row.start_ms) == (1.0, 2.0, 31.0)
    (clip,) = [line for line in lines() if line["is"] == "clip" and line["session"] == session]
    voice_end = clip["at"] + 3_000_000_000
    assert row.begin_ms == pytest.approx((finals[-1]["asked"] - voice_end) / 1e6)
    since = finals[-1]["ended"] if row.by_words else voice_end
    assert row.decide_ms == pytest.approx((told["decided"] - since) / 1e6)
    played = [line for line in lines() if line["is"] == "played" and line["session"] == session]
    samples = sum(line["audio"][1] for line in played)
    assert row.reply_s == pytest.approx(samples / played[0]["rate"], abs=0.001)


def test_a_transcript_that_is_read_before_it_decides_is_a_job_of_the_turn() -> None:
    """Another reading, of the pause before, is one ahead."""
    trace = read_trace(FOLDER)
    session = trace.sessions[0]
    final = [call for call in trace.calls if call.session == session.name and call.stage == "asr.final"][-1]
    decided = int(session.replies[-1]["decided"])
    third = (decided - final.ended_ns) // 3

    def closes(began_ns: int) -> Call:
        step = Step(began_ns, began_ns + third, 1.0, 0.5)
        times = {"asked_ns": began_ns, "began_ns": began_ns, "ended_ns": began_ns + third}
        return Call(session.name, "llm.closes", "", (step,), **times)

    read = replace(trace, calls=(*trace.calls, closes(final.asked_ns - third - 1), closes(final.ended_ns)))
    clips = [Clip(Path("a"), None, 16_000, 48_000, 16_000)] * len(trace.sessions)
    turns = [replayed()] * len(trace.sessions)
    before, row = next(turn_rows(trace, clips, turns, CPU)), next(turn_rows(read, clips, turns, CPU))
    assert third > 0 and before.by_words and row.by_words
    assert (before.closes_ms, row.closes_ms) == (0.0, pytest.approx(third / 1e6 * 0.25))
    assert row.read_ahead_ms - before.read_ahead_ms == pytest.approx(third / 1e6 * 0.25)
    assert row.decide_ms == pytest.approx((decided - final.ended_ns - third) / 1e6)


def test_turns_without_a_reply_or_a_label_are_left_out() -> None:
    trace = read_trace(FOLDER)
    count = len(trace.sessions)
    labelled = Clip(Path("a"), None, 16_000, 48_000, 16_000)
    assert list(turn_rows(trace, [Clip(Path("a"))] * count, [replayed()] * count, CPU)) == []
    assert list(turn_rows(trace, [labelled] * count, [replayed(None)] * count, CPU)) == []


def test_the_time_of_a_stage_is_that_of_all_its_steps() -> None:
    trace = read_trace(FOLDER)
    every = [line for line in lines() if str(line.get("stage", "")).startswith("tts.")]
    assert busy_s(trace, "tts.") == pytest.approx(sum(map(ms, every)) / 1e3)
