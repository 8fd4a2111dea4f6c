"""The waterfall, drawn by hand."""

from assistant.session.parts import Part
from assistant.trace.waterfall import waterfall

BAR = "█"


def lines(*parts: Part) -> list[str]:
    return waterfall(parts).split("\n")


def test_each_part_begins_where_the_one_before_it_ended() -> None:
    # 480 ms over 48 columns: 10 ms each
    drawn = lines(Part("endpoint.wait", 300, 0), Part("asr.final", 0, 0), Part("llm.prefill", 180, 0))
    assert drawn == [
        "endpoint.wait          300.0 ms  " + BAR * 30,
        "asr.final                0.0 ms",
        "llm.prefill            180.0 ms  " + " " * 30 + BAR * 18,
        "time to first audio    480.0 ms",
    ]


def test_what_was_hidden_stands_beside_it() -> None:
    first, second, _ = lines(Part("endpoint.wait", 480, 0), Part("asr.final", 0, 74.6))
    assert "hidden" not in first
    assert second == "asr.final                0.0 ms  " + " " * 49 + "  (+75 hidden)"


def test_a_part_too_short_for_a_column_is_still_seen() -> None:
    _, short, _ = lines(Part("endpoint.wait", 1000, 0), Part("llm.first_token", 0.4, 0.4))
    assert short == "llm.first_token          0.4 ms  " + " " * 48 + BAR


def test_a_turn_cut_into_has_a_negative_wait_and_no_bar_for_it() -> None:
    # 100 ms before the voice ended: what follows fills the line, the sum stays exact
    cut, after, whole = lines(Part("endpoint.wait", -100, 0), Part("asr.final", 240, 0))
    assert cut == "endpoint.wait         -100.0 ms"
    assert after == "asr.final              240.0 ms  " + BAR * 48
    assert whole == "time to first audio    140.0 ms"


def test_columns_round_without_gap_or_overlap() -> None:
    drawn = lines(*(Part(f"part {n}", 100 / 3, 0) for n in range(7)))[:-1]
    columns = [range(line.index(BAR), line.rindex(BAR) + 1) for line in drawn]
    assert [column for bar in columns for column in bar] == list(range(33, 33 + 48))


def test_nothing_was_heard() -> None:
    assert lines() == ["time to first audio      0.0 ms"]
