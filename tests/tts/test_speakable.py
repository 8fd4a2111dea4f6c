import pytest
from hypothesis import given
from hypothesis import strategies as st

from tts.speakable import is_readable, speakable


@pytest.mark.parametrize(
    ("phrase", "read"),
    [
        ("**Hello** _there_ `code`", "Hello there code"),
        ("# Title", "Title"),
        ("- item one", "item one"),
        ("1. First item\n", "one. First item"),
        ("visit https://www.example.com/a/b?x=1#y now", "visit example dot com slash a slash b now"),
        ("go to example.com.", "go to example dot com."),
        ("node.js, e.g. at 3 p.m.", "node dot J.S., for example at three P.M."),
        ("foo@bar.com", "foo at bar dot com"),
        ("the end.Next one", "the end. Next one"),
        ('" she said.', "she said."),
        ("(Really?)", "(Really?)"),
        ("Really?) yes", "Really? yes"),
        ("don't \"quote\" dogs' bones", "don't quote dogs bones"),
        ("2*3 or 2 * 3, ~5 km", "two times three or two times three, about five kilometers"),
        ("[link](http://x.y)", "link"),
        ("<b>hi</b> 5 < 6", "hi five is less than six"),
        ("Wait... what?!!", "Wait… what?"),
        ("20°C 👩\u200d🚀 ok❤️", "twenty degrees Celsius ok"),
        ("!! 😊 Ok?", "Ok?"),
        ("-5 degrees, 50% & #1", "minus five degrees, fifty percent and number one"),
        (" and so, ", "and so,"),
        ("a\x00b\tc", "a b c"),
        ("It is 1,000,000.", "It is one million."),
        ("123456789012.", "one two three four five six seven eight nine zero one two."),
    ],
)
def test_reads_words_and_leaves_markup(phrase: str, read: str):
    assert speakable(phrase) == read


@pytest.mark.parametrize("phrase", ["", " ", "...", "😊", "**", '"', "---\n", "()", "?!"])
def test_nothing_to_say(phrase: str):
    assert speakable(phrase) == ""


@given(st.lists(st.sampled_from(["Plain", "words", "well-known", "are,", "don't", "they?"]), min_size=1))
def test_plain_text_is_left_alone(words: list[str]):
    assert speakable(" ".join(words)) == " ".join(words)


@given(st.text(max_size=200))
def test_any_text_gives_one_tidy_line(phrase: str):
    read = speakable(phrase)
    assert read == " ".join(read.split())
    assert read == "" or any(c.isalnum() for c in read)
    assert not any(c.isdecimal() for c in read)


@pytest.mark.parametrize(
    ("text", "readable"),
    [
        ("Привет, как дела?", False),
        ("你好。", False),
        ("Привет means hello", True),
        ("5 > 3", True),
        ("½", True),
        ("é", True),
    ],
)
def test_tells_what_the_voice_cannot_read(text: str, readable: bool):
    assert is_readable(text) == readable
