"""The transcript of a growing utterance, with a scripted recognizer."""

from collections.abc import Iterator

import numpy as np
import pytest
from numpy.typing import NDArray

from asr.moonshine import Hypothesis
from asr.stream import StreamConfig, Transcriber

Step = tuple[tuple[int, ...], str, tuple[int, ...]]  # the draft it must be given; what it reads then


class ScriptedRecognizer:
    """Gives its script's readings in turn; another draft than expected fails, as does an unused step."""

    def __init__(self, *script: Step) -> None:
        self.script = list(script)
        self.heard: list[NDArray[np.float32]] = []

    def transcribe(self, audio: NDArray[np.float32], draft: tuple[int, ...] = ()) -> Hypothesis:
        expected, text, tokens = self.script.pop(0)
        assert draft == expected
        self.heard.append(audio)
        return Hypothesis(text, tokens, 0)


Scripted = tuple[Transcriber, ScriptedRecognizer]


@pytest.fixture
def transcriber(request: pytest.FixtureRequest) -> Iterator[Scripted]:
    recognizer = ScriptedRecognizer(*request.param)
    yield Transcriber(recognizer), recognizer
    assert recognizer.script == []


def audio(samples: int) -> NDArray[np.float32]:
    return np.arange(1, samples + 1, dtype=np.float32) / 2**16


TURN: tuple[Step, ...] = (
    ((), "what", (5,)),
    ((5,), "what is", (5, 6)),
    ((5, 6), "What is it?", (5, 6, 7)),
)


@pytest.mark.parametrize("transcriber", [TURN], indirect=True)
def test_each_reading_is_the_draft_of_the_next(transcriber: Scripted) -> None:
    reader, recognizer = transcriber
    assert reader.partial(audio(4000)).unstable == "what"
    second = reader.partial(audio(8000))
    assert (second.stable, second.unstable) == ("what", "is")
    assert reader.final(audio(9000)).text == "What is it?"
    assert [len(piece) for piece in recognizer.heard[:2]] == [4000, 8000]


@pytest.mark.parametrize("transcriber", [[((), "yes", (9,))]], indirect=True)
def test_the_final_reading_has_silence_after_it(transcriber: Scripted) -> None:
    reader, recognizer = transcriber
    reader.final(audio(1000))
    (heard,) = recognizer.heard
    assert heard.dtype == np.float32
    assert (heard[:1000] == audio(1000)).all()
    assert len(heard) == 1000 + 240 * 16
    assert not heard[1000:].any()


@pytest.mark.parametrize("transcriber", [[*TURN, ((), "what", (5,)), ((5,), "now", (8,))]], indirect=True)
def test_another_utterance_starts_from_nothing(transcriber: Scripted) -> None:
    reader, _ = transcriber
    for samples in (4000, 8000):
        reader.partial(audio(samples))
    reader.final(audio(9000))
    reader.begin()
    assert reader.partial(audio(4000)).stable == ""
    assert reader.partial(audio(8000)).text == "now"


@pytest.mark.parametrize(
    "transcriber", [[((), "set a timer", (1, 2)), ((1, 2), "set a timer for ten", (1, 2, 3))]], indirect=True
)
def test_a_turn_that_goes_on_is_read_again(transcriber: Scripted) -> None:
    reader, recognizer = transcriber
    assert reader.final(audio(5000)).text == "set a timer"
    assert reader.final(audio(9000)).text == "set a timer for ten"
    assert (recognizer.heard[1][:9000] == audio(9000)).all()


@pytest.mark.parametrize(
    "wrong", [{"partial_ms": 0}, {"pre_roll_ms": -1}, {"tail_ms": -1}, {"max_turn_s": 0}]
)
def test_impossible_settings_are_refused(wrong: dict[str, int]) -> None:
    with pytest.raises(ValueError, match=next(iter(wrong))):
        StreamConfig(**wrong)
