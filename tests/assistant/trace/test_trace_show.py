"""The lanes of a trace whose every time was worked out by hand; see `lived_trace`."""

import io
import sys
from pathlib import Path

import pytest
from hand_trace import Line, ns, write
from lived_trace import lines

from assistant.cli import main
from assistant.commands.trace_show import run_show
from assistant.trace.errors import TraceError
from assistant.trace.lanes import Item, Lane, mark
from assistant.trace.show import PLAIN, draw, legend, show
from assistant.trace.timeline import Timeline, timelines
from assistant.trace.trace import read_trace


def the_turn(folder: Path, of: list[Line] | None = None) -> Timeline:
    (timeline,) = timelines(read_trace(write(folder / "t", of or lines())))
    return timeline


def busy(*intervals: tuple[int, int]) -> Lane:
    return Lane("llm", tuple(Item(start, end, "llm.reply", "main") for start, end in intervals))


def test_a_lane_is_full_where_it_is_busy() -> None:
    # ten characters of 10 ns: busy from 10 to 30, for 4 of the next 10, and for half of the last
    assert draw(busy((10, 30), (31, 35), (95, 120)), 0, 100, 10) == "·██▌·····█"


def test_work_at_both_ends_of_a_character_is_added() -> None:
    assert draw(busy((0, 3), (8, 10)), 0, 20, 2) == "█·"


def test_where_two_moments_meet_the_outcome_is_drawn() -> None:
    lane = Lane(
        "turn", (mark(11, "decided"), mark(12, "prepare"), mark(13, "sounds complete"), mark(31, "?"))
    )
    assert draw(lane, 0, 40, 4) == "·D·*"


def test_every_lane_is_as_worked_out_by_hand(tmp_path: Path) -> None:
    # forty characters of 50 ms
    timeline = the_turn(tmp_path)
    drawn = {lane.name: draw(lane, 0, ns(2000), 40, PLAIN) for lane in timeline.lanes}
    assert drawn == {
        "user": "." * 6 + "#" * 13 + "+" + "." * 20,  # 320 to 960
        "partials": "." * 12 + "+" + "." * 27,  # 600 to 620
        "turn": "." * 19 + "=P=R=D" + "." * 15,  # a pause from 960 to 1222; the score at 1202 is under D
        "asr": "." * 20 + "+##==" + "." * 15,  # the transcript from 1042 to 1142, the score until 1202
        "llm": "." * 22 + "+#+" + "." * 15,  # 1142 to 1212
        "tts": "." * 24 + "#" + "." * 15,  # 1212 to 1242
        "playback": "." * 25 + "#" * 10 + "+" + "." * 4,  # 1262 to 1762
    }


def test_a_turn_is_drawn_from_before_the_voice_to_after_the_first_audio(tmp_path: Path) -> None:
    timeline = the_turn(tmp_path)
    assert (timeline.start_ns, timeline.heard_ns, timeline.end_ns) == (ns(20), ns(1562), ns(2062))
    text = "\n".join(show(timeline))
    assert text.startswith("s  yes.flac  302 ms  'Yes?'\n")
    assert "0.94 pause, 1.02 prepare, 1.12 reads complete 1.4, 1.18 sounds complete 0.99" in text
    assert "1.20\n            decided" in text
    assert "partials  0.60 Yes\n" in text
    assert "endpoint.wait 262, tts.first_chunk 20, playback.start 20" in text


def test_the_parts_of_the_wait_lie_where_they_were(tmp_path: Path) -> None:
    wait = {each.part.name: each for each in the_turn(tmp_path).wait}
    assert wait["endpoint.wait"].start_ns == ns(960)
    assert (wait["asr.final"].hidden_start_ns, wait["asr.final"].part.hidden_ms) == (ns(1042), 100)
    assert (wait["tts.first_chunk"].start_ns, wait["tts.first_chunk"].part.ms) == (ns(1222), 20)
    assert (wait["tts.first_chunk"].hidden_start_ns, wait["tts.first_chunk"].part.hidden_ms) == (ns(1212), 10)
    assert wait["playback.start"].start_ns == ns(1242)


def test_only_words_that_are_new_are_listed(tmp_path: Path) -> None:
    of = lines()
    at = next(i for i, line in enumerate(of) if line.get("stage") == "asr.partial")
    for ms, stable, unstable in ((700, "Yes", "it is"), (800, "Yes", "it is"), (900, "Yes it", "was")):
        gave = {"stable": stable, "unstable": unstable, "words": []}
        moved = {"asked": ns(ms - 20), "began": ns(ms - 20), "ended": ns(ms), "gave": gave}
        of.insert((at := at + 1), {**of[at - 1], **moved})
    text = "\n".join(show(the_turn(tmp_path, of)))
    assert "partials  0.60 Yes, 0.68 it is, 0.88 was\n" in text


@pytest.mark.parametrize("width", [40, 57, 100])
def test_no_line_is_wider_than_the_terminal(tmp_path: Path, width: int) -> None:
    of = lines(partial="a word " * 30, transcript="and another one " * 30)
    drawn = [*legend(PLAIN, width), *show(the_turn(tmp_path, of), width, PLAIN)]
    assert max(map(len, drawn)) == width
    assert len([line for line in drawn if line.startswith("  playback")]) == 1


def test_what_would_steer_the_terminal_is_not_printed(tmp_path: Path) -> None:
    of = lines(partial="\x1b[2Jgone", transcript="\x1b]0;title\x07", what="\x1b[2J")
    of[1]["file"] = "\x1b[31m.flac"
    text = "\n".join(show(the_turn(tmp_path, of)))
    assert "\x1b" not in text and "?[2Jgone" in text


def test_an_ascii_terminal_gets_ascii(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = write(tmp_path / "t", lines(partial="Où?", transcript="Où?"))
    out = io.BytesIO()
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(out, encoding="ascii"))
    monkeypatch.setattr(sys, "argv", ["assistant", "trace", "show", str(folder)])
    monkeypatch.setenv("COLUMNS", "60")
    with pytest.raises(SystemExit) as ended:
        main()
    assert not ended.value.code
    drawn = out.getvalue().decode("ascii").splitlines()
    assert max(map(len, drawn)) == 60 and any(line.startswith("  user      ..") for line in drawn)


def test_typed_turns_need_no_voice(tmp_path: Path) -> None:
    of = [line for line in lines(what="Typed") if line["is"] != "clip" and line.get("stage") != "vad"]
    timeline = the_turn(tmp_path, of)
    lanes = {lane.name: lane.items for lane in timeline.lanes}
    assert lanes["user"] == () and timeline.start_ns == 0
    assert [item.name for item in lanes["turn"]][:2] == ["Typed", "prepare"]


def test_a_reply_that_no_one_heard(tmp_path: Path) -> None:
    of = [{**line, "ends": None, "starts": None} if line["is"] == "reply" else line for line in lines()]
    silent = [line for line in of if line["is"] != "played"]
    timeline = the_turn(tmp_path, silent)
    assert timeline.wait == () and timeline.turn.ttfa_ms is None
    assert next(show(timeline)) == "s  yes.flac  nothing was heard  'Yes?'"


@pytest.mark.parametrize(
    ("stage", "change"),
    [
        ("vad", {"gave": "loud"}),
        ("asr.partial", {"gave": {"stable": "a"}}),
        ("llm.reply", {"steps": [[ns(1142), ns(1143), 1, ["sung", 1]]]}),
        ("asr.final", {"given": 7}),
    ],
)
def test_a_call_that_gave_something_else_is_one_line(
    tmp_path: Path, stage: str, change: dict[str, object]
) -> None:
    of = [{**line, **change} if line.get("stage") == stage else line for line in lines()]
    with pytest.raises(TraceError) as error:
        run_show([write(tmp_path / "t", of)], tmp_path / "page.html")
    assert str(error.value).startswith(f"{tmp_path / 't'}: cannot be drawn") and "\n" not in str(error.value)
    assert not (tmp_path / "page.html").exists()


def test_more_windows_than_audio(tmp_path: Path) -> None:
    of = lines()
    window = next(line for line in of if line.get("stage") == "vad")
    with pytest.raises(TraceError, match="more windows than audio"):
        the_turn(tmp_path, [*of, *[window] * 100])


@pytest.mark.parametrize("name", ["gone/page.html", ".", "t/meta.json/page"])
@pytest.mark.parametrize("option", ["html", "perfetto"])
def test_a_place_that_cannot_be_written_is_one_line(tmp_path: Path, name: str, option: str) -> None:
    folder = write(tmp_path / "t", lines())
    before = sorted(tmp_path.rglob("*"))
    with pytest.raises(TraceError, match="cannot be written"):
        run_show([folder], **{option: tmp_path / name})
    assert sorted(tmp_path.rglob("*")) == before


def test_two_files_of_one_name_and_two_traces_on_one_clock(tmp_path: Path) -> None:
    folder = write(tmp_path / "t", lines())
    with pytest.raises(TraceError, match="both the page and"):
        run_show([folder], tmp_path / "x", tmp_path / "." / "x")
    write(tmp_path / "u", lines())
    with pytest.raises(TraceError, match="would hold 2 traces"):
        run_show([tmp_path], perfetto=tmp_path / "x")
    assert not (tmp_path / "x").exists()


def test_no_trace_there(tmp_path: Path) -> None:
    with pytest.raises(TraceError, match="holds no trace"):
        run_show([tmp_path], tmp_path / "x.html")
    assert list(tmp_path.iterdir()) == []
