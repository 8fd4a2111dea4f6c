import pytest
from hypothesis import given
from hypothesis import strategies as st

from tts.speakable import speakable


@pytest.mark.parametrize(
    ("phrase", "read"),
    [
        ("**Hello** _there_ `code`", "Hello there code"),
        ("# Title", "Title"),
        ("- item one", "item one"),
        ("1. First item\n", "1. First item"),
        ("visit https://www.example.com/a/b?x=1#y now", "visit example dot com slash a slash b now"),
        ("go to example.com.", "go to example dot com."),
        ("node.js, e.g. at 3.14 p.m.", "node dot js, e.g. at 3.14 p.m."),
        ("foo@bar.com", "foo@bar dot com"),
        ("the end.Next one", "the end. Next one"),
        ('" she said.', "she said."),
        ("(Really?)", "(Really?)"),
        ("Really?) yes", "Really? yes"),
        ("don't \"quote\" dogs' bones", "don't quote dogs bones"),
        ("2*3 or 2 * 3, ~5 km", "2 times 3 or 2 times 3, about 5 km"),
        ("[link](http://x.y)", "link"),
        ("<b>hi</b> 5 < 6", "hi 5 < 6"),
        ("Wait... what?!!", "Wait… what?"),
        ("20°C 👩\u200d🚀 ok❤️", "20°C ok"),
        ("!! 😊 Ok?", "Ok?"),
        ("-5 degrees, $3.50, 50% & #1", "-5 degrees, $3.50, 50% & #1"),
        (" and so, ", "and so,"),
        ("a\x00b\tc", "a b c"),
        ("It is 1,000,000.", "It is 1,000,000."),
        ("12345678901234567890.", "1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0."),
    ],
)
def test_reads_words_and_leaves_markup(phrase: str, read: str):
    assert speakable(phrase) == read


@pytest.mark.parametrize("phrase", ["", " ", "...", "😊", "**", '"', "---\n", "()", "?!"])
def test_nothing_to_say(phrase: str):
    assert speakable(phrase) == ""


@given(st.lists(st.sampled_from(["Plain", "words", "12", "3.5", "are,", "don't", "they?"]), min_size=1))
def test_plain_text_is_left_alone(words: list[str]):
    assert speakable(" ".join(words)) == " ".join(words)


@given(st.text(max_size=200))
def test_any_text_gives_one_tidy_line(phrase: str):
    read = speakable(phrase)
    assert read == " ".join(read.split())
    assert read == "" or any(c.isalnum() for c in read)
