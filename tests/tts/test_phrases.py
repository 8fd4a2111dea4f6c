import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tts.phrases import PhraseConfig, PhraseSplitter

LATER = PhraseConfig(first_max_words=1000, first_min_words=1000)  # no special treatment of the first phrase


def split(text: str, config: PhraseConfig | None = None):
    splitter = PhraseSplitter(config)
    return [*splitter.push(text), *splitter.flush()]


def first_after(text: str):
    """The shortest prefix of `text` that completes a phrase, and that phrase."""
    splitter = PhraseSplitter()
    for count, char in enumerate(text, 1):
        if phrases := splitter.push(char):
            return text[:count], phrases[0]
    return text, splitter.flush()[0]


@pytest.mark.parametrize(
    "text",
    [
        "Pi is 3.14 or so",
        "It cost 1,000 dollars",
        "Then Dr. Smith came",
        "Take fruit, e.g. this",
        "The U.S. is big",
        "Leave at 6:30 today",
        "Read example.com/a.html?b=c now",
        "So J. K. Rowling wrote",
        "Meet No. 5 now",
        "Version v2.0.1 is out",
        "He moved on March 3, 2024",
        "Mail foo@bar.com today",
        "See https://example.com now",
        "A Ph.D. student",
        "We rose at 6 a.m. and ran",
        "A score of 10 - 3 then",
    ],
)
def test_marks_inside_a_sentence_do_not_cut_it(text: str):
    assert split(text, LATER) == [text]


@pytest.mark.parametrize(
    ("text", "phrases"),
    [
        ("It rained. We left.", ["It rained.", " We left."]),
        ("Really? Yes! Good.", ["Really?", " Yes!", " Good."]),
        ("Is it 5? No, it is 3.5. Fine.", ["Is it 5?", " No, it is 3.5.", " Fine."]),
        ('"Hello!" she said. "Go."', ['"Hello!"', " she said.", ' "Go."']),
        ("(It rained.) We left.", ["(It rained.)", " We left."]),
        ("He said “Stop.” Then he left.", ["He said “Stop.”", " Then he left."]),
        ("**Note.** Then go.", ["**Note.**", " Then go."]),
        ("Wait... what? Oh… fine.", ["Wait...", " what?", " Oh…", " fine."]),
        ("1. First item\n2. Second item\n", ["1. First item\n", "2. Second item\n"]),
        ("# Title\n- one\n- two", ["# Title\n", "- one\n", "- two"]),
        ("Born in 1999. It rained.", ["Born in 1999.", " It rained."]),
        ("We met at 6 p.m. The sun set.", ["We met at 6 p.m.", " The sun set."]),
        ("I said no. Then I left. No. I did.", ["I said no.", " Then I left.", " No.", " I did."]),
        ("Go to example.com. Then wait.", ["Go to example.com.", " Then wait."]),
        ("Great! 😊 Next one.", ["Great!", " 😊 Next one."]),
    ],
)
def test_sentences_end_where_a_reader_would_end_them(text: str, phrases: list[str]):
    assert split(text, LATER) == phrases


@pytest.mark.parametrize(
    ("text", "heard", "phrase"),
    [
        ("No problem, I can do that.", "No problem,", "No problem,"),
        ("Sure, I can do that for you.", "Sure, I can do that for ", "Sure, I can do that"),
        ("The weather today: rain.", "The weather today: ", "The weather today:"),
        ("Yes! I can.", "Yes!", "Yes!"),
        ("Yes. I can.", "Yes. ", "Yes."),
        ("The dog — a big one — ran.", "The dog —", "The dog —"),
        ("Plants turn sunlight into sugar and oxygen with ease", None, "Plants turn sunlight"),
        ("Ask your friend who is the doctor Dr. Smith", None, "Ask your friend"),
        (
            "The moon is approximately 2,150,083.67 km away",
            "The moon is approximately 2",
            "The moon is approximately",
        ),
        ("Then we landed on March 3, 2024.", None, "Then we landed"),
        ("We rose at 6 today.", None, "We rose at 6 today."),
        ('He said "go, now" to me.', 'He said "go, ', 'He said "go,'),
    ],
)
def test_first_phrase_comes_early(text: str, heard: str | None, phrase: str):
    needed, first = first_after(text)
    assert first == phrase
    assert heard is None or needed == heard
    assert len(needed.split()) <= 7


def test_first_phrase_never_ends_with_a_word_that_leans_on_the_next():
    assert split("We are all going to the big old house of my friend")[0] == "We are all going"
    assert split("I was told that Dr. Smith is the 3 million dollar man")[0] == "I was told"


def test_long_sentence_is_cut_at_a_clause_and_then_at_a_word():
    clause = "and the river that ran through the middle of the old town was wider than ever before"
    phrases = split(f"Yes. {clause}, {clause}, {clause}.")
    assert phrases[1:] == [f" {clause},", f" {clause},", f" {clause}."]
    endless = split("word " * 200, LATER)
    assert all(len(phrase) <= 210 for phrase in endless)
    assert {phrase.split()[-1] for phrase in endless} == {"word"}


def test_text_without_a_space_cannot_grow_without_bound():
    assert max(map(len, split("x" * 5000))) <= 400
    assert max(map(len, split("." * 5000))) <= 400


def test_flush_starts_a_new_reply():
    splitter = PhraseSplitter()
    assert splitter.push("Half a sentence") == []
    assert splitter.flush() == ["Half a sentence"]
    assert splitter.flush() == []
    assert splitter.push("No problem, then") == ["No problem,"]


def test_limits_out_of_order_are_refused():
    with pytest.raises(ValueError, match="out of order"):
        PhraseConfig(clause_chars=300, max_chars=200)


PIECES = st.sampled_from(
    [
        *"abcXYZ.,:;!?-—…\"'()*#_`\n 05“”é😊",
        "word ",
        " the ",
        " and ",
        "Dr. ",
        "3.14",
        "1,000",
        "e.g. ",
        "p.m. T",
        "example.com",
    ]
)
TEXTS = st.lists(PIECES, max_size=150).map("".join) | st.text(max_size=300)


@settings(max_examples=300, deadline=None)
@given(TEXTS, st.integers(0, 2**32 - 1))
def test_no_text_is_lost_and_chunking_does_not_matter(text: str, seed: int):
    whole = split(text)
    assert "".join(whole).rstrip() == text.rstrip()
    rng, splitter, phrases, at = random.Random(seed), PhraseSplitter(), [], 0
    while at < len(text):
        size = rng.randint(1, 9)
        phrases += splitter.push(text[at : at + size])
        at += size
    assert [*phrases, *splitter.flush()] == whole


@settings(max_examples=200, deadline=None)
@given(TEXTS)
def test_every_phrase_but_the_last_has_a_word(text: str):
    for phrase in split(text)[:-1]:
        assert any(c.isalnum() for c in phrase) or len(phrase) >= 400


def test_phrases_grow_while_the_ones_before_are_spoken():
    # A clause of 19 characters is too short for the second phrase, one of 39 for the third.
    clauses = ["Well, I see,", " then " + "a" * 12 + ",", " and so on,", " " + "b" * 37 + ",", " the end."]
    assert split("".join(clauses)) == [clauses[0], clauses[1] + clauses[2], clauses[3] + clauses[4]]
    clauses[1], clauses[3] = " then " + "a" * 13 + ",", " " + "b" * 38 + ","
    assert split("".join(clauses)) == [clauses[0], clauses[1], clauses[2] + clauses[3], clauses[4]]


@pytest.mark.parametrize(
    ("text", "inside"),
    [
        ("The road to it is approx. 3.5 km long", "approx. 3.5 km"),
        ("Back then the young Elizabeth II was crowned", "Elizabeth II"),
        ("The play is about John Smith and Henry VIII.", "Henry VIII"),
        ("Please look it up under no. 5 there", "no. 5"),
        ("He served in the big U.S. Army then", "U.S. Army"),
        ("We will all leave at 10 a.m. tomorrow", "10 a.m."),
        ("You need to enter code 4711 there", "code 4711"),
        ("My PIN: 0042 is what you need", "PIN: 0042"),
        ("If it burns then call 911 at once", "call 911"),
        ("So it is true that x = 5 here", "x = 5"),
        ("You then get that x - 3 = 2", "x - 3 = 2"),
        ("It holds more than 10 000 people", "10 000 people"),
        ("There you would pay 20 $ for it", "20 $"),
        ("Then you add 1 1/2 cups of flour", "1 1/2 cups"),
        ("The shop is open 9:00 - 17:00 today", "9:00 - 17:00"),
        ("Please dial (415) 555-0132 from there", "(415) 555-0132"),
        ("Take some 8 oz. of cheese and go", "8 oz. of"),
        ("He sold it for $3 billion to them", "$3 billion"),
        ("She ran in room 5, in World War II then", "World War II"),
    ],
)
def test_what_is_read_as_one_stays_in_one_phrase(text: str, inside: str):
    early = PhraseConfig(first_min_words=1, first_max_words=1)
    short = PhraseConfig(first_min_words=1, first_max_words=1, second_chars=1, clause_chars=1, max_chars=25)
    for config in (PhraseConfig(), early, short):
        assert any(inside in phrase for phrase in split(text, config)), split(text, config)
