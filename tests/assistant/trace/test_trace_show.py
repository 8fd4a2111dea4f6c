"""The lanes of a trace, drawn by hand."""

from assistant.trace.show import lane


def test_a_lane_is_full_where_it_is_busy() -> None:
    # ten characters of 10 ns: busy from 10 to 30, for 4 of the next 10, and for half of the last
    assert lane([(10, 30), (31, 35), (95, 120)], 0, 100, 10) == "·██▌·····█"


def test_work_at_both_ends_of_a_character_is_added() -> None:
    assert lane([(0, 3), (8, 10)], 0, 20, 2) == "█·"
