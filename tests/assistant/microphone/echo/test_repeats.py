import pytest

from assistant.microphone.echo.repeats import repeats

PLAYED = (
    "The train to the airport leaves every twenty minutes from platform four. With your two suitcases I "
    "would take the one at half past six, because the later ones are crowded. Should I book a seat for you?"
)


@pytest.mark.parametrize(
    "transcript",
    [
        "The train to the airport leaves every twenty minutes",
        "leaves every twenty minutes from platform for",
        "With your to suit cases I would take the one",
        "because the latter ones are crowded",
        "later ones are crowded. Should I book a seat for you",
        "should I book a seed for you?",
        PLAYED,
    ],
)
def test_what_was_just_played_is_no_turn(transcript: str) -> None:
    assert repeats(transcript, PLAYED)


@pytest.mark.parametrize(
    "transcript",
    [
        "",
        "Yes.",
        "Platform four?",
        "The train.",
        "Yes, book a seat.",
        "No, take the one at seven.",
        "Which platform was that?",
        "How long does the train take to the airport?",
        "I only have one suitcase.",
        "Why are the later trains so crowded?",
        "Stop.",
        "From the airport, I would take a taxi at half past nine instead.",
        "four platform from minutes twenty every leaves airport the to train the",
    ],
)
def test_a_user_who_answers_in_the_same_words_is_heard(transcript: str) -> None:
    assert not repeats(transcript, PLAYED)


def test_nothing_was_played() -> None:
    assert not repeats("one two three four", "")


def test_where_the_echo_is_cancelled_only_the_same_words_are_one() -> None:
    played = "Paris is the capital of France, and lies on the Seine."
    assert repeats("What is the capital of France?", played)
    assert not repeats("What is the capital of France?", played, to_the_word=True)
    assert repeats("is the capital of France", played, to_the_word=True)
