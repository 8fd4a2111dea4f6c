"""What a wait consists of, and what was for nothing, in traces whose times were worked out by hand."""

from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any, NoReturn

import pytest
from hand_trace import (
    ANSWERED_MS,
    CHUNK_MS,
    VOICE_END_MS,
    later,
    lines,
    ns,
    read_lines,
    unsure_lines,
    with_a_click,
    with_a_pause,
    write,
)

from assistant.commands.trace_runs import run_simulate
from assistant.runtime import StepRun
from assistant.trace.copies import copies
from assistant.trace.errors import TraceError
from assistant.trace.path import Piece
from assistant.trace.shares import Share, shares
from assistant.trace.simulate import Simulation, WhatIf, simulate
from assistant.trace.told import told
from assistant.trace.trace import RecordedSession, read_trace

BEFORE = [("silence: prepare", "time", 64), ("frame", "time", 16), ("vad", "work", 2)]
PLAYBACK = ("playback", "time", 20)


def no_models() -> NoReturn:
    raise AssertionError("all was recorded")


def simulated(folder: Path, **what_if: Any) -> Simulation:  # noqa: ANN401  # as WhatIf has them
    return simulate(read_trace(folder), no_models, WhatIf(**what_if), strict=True)


def paths(simulation: Simulation) -> list[list[tuple[str, str, float]]]:
    """Each path as (what, waits, ms), once it was found to fill the wait."""
    found = []
    for turn, explained in zip(simulation.turns, simulation.explained, strict=True):
        pieces = explained.path
        assert sum(piece.end_ns - piece.start_ns for piece in pieces) == pytest.approx(turn.ttfa_ms * 1e6)
        assert all(one.end_ns == next_.start_ns for one, next_ in pairwise(pieces))
        found.append([(p.what, p.waits, round((p.end_ns - p.start_ns) / 1e6, 3)) for p in pieces])
    return found


def test_the_speech_is_waited_for_and_all_before_it(tmp_path: Path) -> None:
    (path,) = paths(simulated(write(tmp_path / "t")))
    assert path == [
        *BEFORE,
        ("asr.final", "work", 100),
        ("llm.prefill", "work", 50),
        ("llm.token", "work", 20),
        ("tts.first", "work", 30),
        ("playback", "time", 20),
    ]


def test_the_release_is_waited_for_where_the_speech_was_sooner(tmp_path: Path) -> None:
    """At half its cost the language model is ready at 1177, the speech at 1207; released is at 1222."""
    (path,) = paths(simulated(write(tmp_path / "t"), scale={"llm": 0.5}))
    silence = ("silence: min_silence", "time", 256)
    assert path == [silence, ("frame", "time", 4), ("vad", "work", 2), ("playback", "time", 20)]


def test_words_that_come_late_end_the_turn(tmp_path: Path) -> None:
    """At 1292, when 320 ms of silence were looked at; all that follows takes no time."""
    late = {"asr.final": 2.5, "llm": 0, "tts": 0}
    (path,) = paths(simulated(write(tmp_path / "t"), scale=late))
    assert path == [*BEFORE, ("asr.final", "work", 250), PLAYBACK]


def test_a_score_that_comes_late_ends_the_turn(tmp_path: Path) -> None:
    """It takes 150 ms from 1142 on; then the log-odds are 2.591. The next window would be that of 1312."""
    (path,) = paths(simulated(write(tmp_path / "t", unsure_lines(0.99, 150))))
    assert path == [*BEFORE, ("asr.final", "work", 100), ("score", "work", 150), PLAYBACK]


def test_what_the_language_model_reads_late_ends_the_turn(tmp_path: Path) -> None:
    """2.008 + 0.23 are enough; the reply comes behind that, as long as in the other traces."""
    (path,) = paths(simulated(write(tmp_path / "t", read_lines(1.0, 150))))
    behind = [("llm.prefill", "work", 50), ("llm.token", "work", 20), ("tts.first", "work", 30), PLAYBACK]
    assert path == [*BEFORE, ("asr.final", "work", 100), ("llm.closes", "work", 150), *behind]


def test_silence_that_passes_the_threshold(tmp_path: Path) -> None:
    """The log-odds are 1.631 with the sound: 0.369 are missing. 416 ms of silence add -ln(1 - ln(1.664)
    / ln(5.6)) = 0.350, and 448 ms add -ln(1 - ln(1.792) / ln(5.6)) = 0.413, in the frame that comes at 1420.
    """
    (path,) = paths(simulated(write(tmp_path / "t", unsure_lines(0.9))))
    assert path == [("silence: threshold", "time", 448), ("frame", "time", 12), ("vad", "work", 2), PLAYBACK]


def test_a_sound_in_the_pause_is_waited_for(tmp_path: Path) -> None:
    """It is in the window that ends at 1216, and over with the next, in the frame that comes at 1260."""
    (path,) = paths(simulated(write(tmp_path / "t", with_a_click(37))))
    silence = ("silence: voice in the pause", "time", 288)
    assert path == [silence, ("frame", "time", 12), ("vad", "work", 2), PLAYBACK]


def test_the_longest_silence_ends_any_turn(tmp_path: Path) -> None:
    """At 0.873 the log-odds would be enough after 801 ms; 500 are over with the window that ends at 1472."""
    folder = write(tmp_path / "t", unsure_lines(0.5))
    config = read_trace(folder).config
    impatient = replace(config, turn=replace(config.turn, max_silence_ms=500))
    (path,) = paths(simulated(folder, config=impatient))
    assert path == [("silence: max_silence", "time", 512), ("frame", "time", 8), ("vad", "work", 2), PLAYBACK]


def test_two_at_once_on_one_core(tmp_path: Path) -> None:
    """Windows come at 1040, 1060, 1100, 1120, 1160, 1200, 1220, 1260, 1280, 1320, 1360, 1380, 1420, 1440 and
    1480; those of both sessions are one batch of 2 ms. Whatever else runs then is late by 2 ms, and where two
    things run each takes twice as long.

    One alone: its transcript is there at 1042 + 100 + 3 * 2 = 1148, the prompt read at 1148 + 50 + 2 = 1200,
    the token at 1200 + 20 + 2 * 2 = 1224, the speech at 1254.
    The first of two: its transcript as soon; then the second's (100) goes along. The prompt: 1148 + 2 * 50
    + 3 * 2 = 1254; the token: 1254 + 2 * 20 + 2 * 2 = 1298; the speech: 1298 + 2 * 30 + 2 = 1360.
    The second: its transcript is there at 1360, too (50 + 20 + 30 ms of it were done beside those three);
    then it is alone. The prompt: 1360 + 50 + 2 * 2 = 1414; the token: 1414 + 20 + 2 = 1436; the speech:
    1436 + 30 + 2 = 1468.
    """
    folder = write(tmp_path / "t", cores=1)
    (alone,) = simulated(folder).turns
    both = simulated(folder, sessions=2, stagger_ms=0)
    waits = [turn.ttfa_ms for turn in (alone, *both.turns)]
    assert waits == pytest.approx([1274 - 960, 1380 - 960, 1488 - 960], abs=0.01)
    assert [turn.file for turn in both.turns] == ["yes.flac", "yes.flac*2"]
    assert [turn.file for turn in both.recorded] == ["yes.flac", "yes.flac*2"]
    _, second = paths(both)
    assert second == [
        *BEFORE[:2],
        ("vad", "thread", 2),
        ("asr.final", "thread", 106),
        ("asr.final", "work", 100),
        ("asr.final", "cores", 112),
        ("llm.prefill", "work", 50),
        ("llm.prefill", "cores", 4),
        ("llm.token", "work", 20),
        ("llm.token", "cores", 2),
        ("tts.first", "work", 30),
        ("tts.first", "cores", 2),
        ("playback", "time", 20),
    ]
    (waited,) = (p for p in both.explained[1].path if p.what == "asr.final" and p.waits == "thread")
    assert waited.behind == "asr.final"


def test_apart_and_with_a_core_each_nobody_waits_longer(tmp_path: Path) -> None:
    both = simulated(write(tmp_path / "t"), sessions=2)
    assert [turn.ttfa_ms for turn in both.turns] == pytest.approx([ANSWERED_MS - VOICE_END_MS] * 2, abs=0.01)


def test_what_was_for_a_pause_in_the_turn_is_wasted(tmp_path: Path) -> None:
    """The voice is back for 64 ms at 1152, which is known at 1162: the transcript is there since 1142, the
    score (60) and the prompt (50) still run. The turn's own end is as that of the other trace, later.
    """
    simulation = simulated(write(tmp_path / "t", with_a_pause()))
    (turn,), (explained,) = simulation.turns, simulation.explained
    assert turn.ttfa_ms == pytest.approx(ANSWERED_MS - VOICE_END_MS, abs=0.01)
    assert {kind: share for kind, share in explained.shares.items() if kind != "vad"} == {
        "asr.final": Share(100, 0, 100),
        "llm.prefill": Share(50, 0, 50),
        "llm.token": Share(20, 0, 0),
        "score": Share(0, 0, 60),
        "tts.first": Share(30, 0, 0),
    }
    vad = explained.shares["vad"]
    assert (vad.exposed, vad.wasted) == (2, 0) and vad.hidden > 0


def test_work_that_keeps_more_than_one_core_busy_counts_for_each() -> None:
    step = StepRun("llm", "s", "reply-0.generate", "llm.token", 0, 0, 0, 9_000_000, 5_000_000, width=2)
    path = (Piece("llm.token", "work", 2_000_000, 5_000_000, step),)  # 2 of its 5 ms lie before the path
    assert shares([(step, True)], path) == {"llm.token": Share(6, 4, 0)}


def test_no_session_is_the_same_as_one(tmp_path: Path) -> None:
    folder, names = write(tmp_path / "t", with_a_pause()), ("without", "one", "again")
    for name, sessions in zip(names, (None, "1", "1"), strict=True):
        run_simulate([folder], tmp_path / name, strict=True, sessions=sessions)
    without, one, again = ((tmp_path / name).read_bytes() for name in names)
    assert without == one == again


def test_several_sessions_are_the_same_twice(tmp_path: Path) -> None:
    folder = write(tmp_path / "t", cores=1)
    first, second = (told(simulated(folder, sessions=3)) for _ in range(2))
    assert first == second and len(first["turns"]) == 3
    for turn in first["turns"].values():
        assert sum(ms for _, _, ms, _ in turn["path"]) == pytest.approx(turn["ttfa"], abs=1e-9)


def test_sessions_that_followed_each_other_do_so_in_each_copy() -> None:
    """a and b were at once, c came after both: behind b, which was over last; d after a only."""
    times = {"a": (0, 10), "b": (1, 20), "d": (12, 30), "c": (25, None)}
    sessions = [RecordedSession(name, at, over_ns=over) for name, (at, over) in times.items()]
    made = copies(sessions, 2, 5000)
    behind = {copy.name: copy.behind.name if copy.behind else None for copy in made}
    once = {"a": None, "b": None, "d": "a", "c": "b"}
    twice = {f"{name}*2": follows and f"{follows}*2" for name, follows in once.items()}
    assert behind == once | twice
    assert {copy.offset_ns for copy in made} == {0, 3_090_169_944}  # 5 s of (sqrt(5) - 1) / 2


def test_a_session_waits_for_the_one_that_it_followed(tmp_path: Path) -> None:
    """There is one place. Speech that takes 3000 ms keeps the first from being over at 3100 ms, as it was."""
    over = {"is": "over", "session": "s", "at": ns(3100)}
    folder = write(tmp_path / "t", [*lines(), over, *later(lines(), "r", 3200)])
    turns = simulated(folder, scale={"tts": 100}).turns
    waits = [turn.ttfa_ms for turn in turns]
    assert waits == pytest.approx([ANSWERED_MS - VOICE_END_MS + 99 * CHUNK_MS] * 2, abs=0.01)


@pytest.mark.parametrize("number", ["0", "257", "1.5", "x", "nan", "-1", "inf", ""])
def test_a_number_of_sessions_that_cannot_be(tmp_path: Path, number: str) -> None:
    with pytest.raises(TraceError, match=r"^--sessions .*: should be a whole number from 1 to 256$"):
        run_simulate([tmp_path], None, strict=True, sessions=number)


@pytest.mark.parametrize("ms", ["-1", "60001", "soon", "nan", ""])
def test_a_time_that_cannot_be_between_beginnings(tmp_path: Path, ms: str) -> None:
    with pytest.raises(TraceError, match=r"^--stagger .*: should be a number from 0 to 60000$"):
        run_simulate([tmp_path], None, strict=True, sessions="2", stagger=ms)


def test_the_text_says_what_a_wait_consists_of(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run_simulate([write(tmp_path / "t", with_a_pause())], None, strict=True, paths=True)
    text = capsys.readouterr().out
    chain = "frame 16.0 -> vad 2.0 -> asr.final 100.0 -> llm.prefill 50.0 -> llm.token 20.0 -> tts.first 30.0"
    assert f"voice ends -> silence: prepare 64.0 -> {chain} -> playback 20.0" in text
    assert ["asr.final", "100.0", "0.0", "100.0"] in [line.split()[:4] for line in text.splitlines()]
