"""Speed and volume lose no words: what is spoken at each is recognized as what was written."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from asr.eval.feed import Clocks, feed_whole
from asr.eval.score import total, word_errors
from asr.recognizer import Recognizer
from assistant.audio import Resampler
from assistant.commands.say import speak_text
from assistant.models.speech import ASR, load_recognizer, pick_asr
from tts.stream import Speaker, SpeakerConfig
from tts.voice import Voice

pytestmark = pytest.mark.models

TEXTS = """\
The capital of France is Paris.
You should leave for the airport at seven in the morning.
Octopuses have three hearts and blue blood.
Mix the flour with the water, then wait for an hour.
It will rain this weekend, so take an umbrella with you.
I have set a timer for ten minutes.
The moon is very far away from the earth.
I am sorry, but I do not know who wrote that book.
Blue light is scattered more than red light, so the sky looks blue.
Cold water and salt take red wine out of a white shirt.
Your mother called this evening and asked how you are.
There are sixteen ounces in a pound.
I have turned off the lights in the living room.
Milk, eggs and two loaves of bread are on your shopping list.
The universe is almost fourteen billion years old.
Good exercises for your back are walking, swimming and stretching.
She plays the piano every day after school.
The next train to Boston leaves in five minutes.
Please speak a little louder, I could not hear you.
A sheep slept in the shade of the old apple tree."""


@pytest.fixture(scope="module")
def voice() -> Voice:
    return Voice()


@pytest.fixture
def recognizer(model_path: Callable[[str], Path]) -> Recognizer:
    return load_recognizer(pick_asr({name: model_path(name) for name in ASR}))


@pytest.mark.parametrize(("speed", "volume"), [(0.8, 100), (1.0, 25), (1.25, 100), (1.5, 100)])
def test_of_20_sentences_at_most_6_percent_of_the_words_are_lost(
    speed: float, volume: float, voice: Voice, recognizer: Recognizer
) -> None:
    """Measured on 50: 1 % and, at 1.5, 3 %. With the model's own speeds it was 16 % at 1.5."""
    speaker = Speaker(voice, SpeakerConfig(speed=speed, volume=volume))
    errors = []
    for text in TEXTS.splitlines():
        resampler = Resampler(Voice.sample_rate)
        spoken = [resampler.push(chunk.audio) for chunk in speak_text(speaker, text)]
        audio = np.concatenate([np.zeros(3200, np.float32), *spoken, resampler.flush()])
        errors.append(word_errors(text, feed_whole(recognizer, audio, Clocks()).text))
    assert total(errors).reference_words > 150
    assert total(errors).wer <= 0.06
