from hypothesis import example, given, settings
from hypothesis import strategies as st

from llm.text.stop import StopStrings


def before_stop(text: str, strings: tuple[str, ...]) -> tuple[str, bool]:
    """What comes before the first stop string to be complete, on the whole text; and if there is one."""
    for end in range(len(text) + 1):
        ending = [s for s in strings if s and text[:end].endswith(s)]
        if ending:
            return text[: end - max(map(len, ending))], True
    return text, False


def fed(pieces: list[str], strings: tuple[str, ...]) -> tuple[str, bool]:
    stops = StopStrings(strings)
    passed = "".join([stops.push(piece) for piece in pieces]) + stops.flush()
    return passed, stops.found


few = st.text("ab", max_size=6)  # two letters only, so that stop strings begin, fail and overlap all the time


@given(pieces=st.lists(few, max_size=8), strings=st.lists(st.text("ab", max_size=4), max_size=3).map(tuple))
@example(pieces=["a", "b", "c", "d"], strings=("abcd", "bc"))
@example(pieces=["abcd"], strings=("abcd", "bc"))
@example(pieces=["aa", "ab"], strings=("aab",))
@settings(max_examples=600, deadline=None)
def test_any_pieces_pass_what_comes_before_the_first_stop_string(
    pieces: list[str], strings: tuple[str, ...]
) -> None:
    assert fed(pieces, strings) == before_stop("".join(pieces), strings)


@given(pieces=st.lists(few, max_size=8), strings=st.lists(st.text("ab", min_size=1, max_size=4)).map(tuple))
@settings(max_examples=200, deadline=None)
def test_nothing_is_held_back_that_cannot_become_a_stop_string(
    pieces: list[str], strings: tuple[str, ...]
) -> None:
    stops, text, passed = StopStrings(strings), "", ""
    for piece in pieces:
        text, passed = text + piece, passed + stops.push(piece)
        if stops.found:
            break
        # The most that any future could still take back.
        beginnings = [s[:n] for s in strings for n in range(1, len(s))]
        doubtful = max((len(b) for b in beginnings if text.endswith(b)), default=0)
        assert passed == text[: len(text) - doubtful]


def test_stop_strings_by_hand() -> None:
    stops = StopStrings(("\nUser:", "###"))
    assert [stops.push(piece) for piece in ("Hi", " #1", " is\n", "Us", "ual\nUse")] == [
        "Hi",
        " #1",
        " is",
        "",
        "\nUsual",
    ]
    assert (stops.push("r: no"), stops.found) == ("", True)
    assert (stops.push("more"), stops.flush(), stops.found) == ("", "", True)


def test_what_was_held_back_comes_at_the_end() -> None:
    stops = StopStrings(("</s>",))
    assert (stops.push("a < b </"), stops.found) == ("a < b ", False)
    assert (stops.flush(), stops.found) == ("</", False)


def test_without_stop_strings_text_passes_as_it_comes() -> None:
    for strings in ((), ("",)):
        stops = StopStrings(strings)
        assert [stops.push("a"), stops.push(""), stops.push("b\n"), stops.flush()] == ["a", "", "b\n", ""]
        assert not stops.found
