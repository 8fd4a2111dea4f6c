"""Lines as terminals, pipes and editors give them."""

import io

import pytest

from assistant.commands.typed import MAX_CHARS, clean, read_line


@pytest.mark.parametrize(
    ("given", "kept"),
    [
        ("What is\0 this?\x1b[0m\x07", "What is  this? [0m "),
        ("\ufeffHello", "Hello"),
        ("half \ud83d of it", "half ? of it"),
        ("café, 日本語, 🎉\ttab", "café, 日本語, 🎉\ttab"),
    ],
)
def test_what_is_no_text_is_left_out(given: str, kept: str) -> None:
    assert clean(given) == kept


def test_lines_are_stripped_and_end_with_none() -> None:
    source = io.StringIO("\ufeff one \r\n\n  \ntwo")
    assert [read_line(source, "") for _ in range(5)] == ["one", "", "", "two", None]


@pytest.mark.parametrize("extra", [1, 2, MAX_CHARS, 10 * MAX_CHARS])
@pytest.mark.parametrize("end", ["\n", ""])
def test_a_line_that_is_too_long_is_passed_over_whole(extra: int, end: str) -> None:
    source = io.StringIO("a" * (MAX_CHARS + extra) + end + ("next\n" if end else ""))
    with pytest.raises(ValueError, match="more than 65536 characters"):
        read_line(source, "")
    assert read_line(source, "") == ("next" if end else None)


def test_the_longest_line_is_read() -> None:
    assert read_line(io.StringIO("a" * (MAX_CHARS - 1) + "\nnext"), "") == "a" * (MAX_CHARS - 1)
