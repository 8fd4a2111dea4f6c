"""The names of voices, and how each reads."""

from pathlib import Path

import pytest
from hibari.tts import ASSETS
from hibari.voices import VOICES

from tts.stream import SpeakerConfig
from tts.voice import Voice
from tts.voices import DEFAULT, NAMES, is_british

HEART = Path(ASSETS) / "hibari.onnx"


def test_every_voice_is_one_of_hibaris_and_has_the_graph_of_the_first():
    assert DEFAULT in NAMES
    assert {VOICES[name]["bytes"] for name in NAMES} == {HEART.stat().st_size}


@pytest.mark.parametrize(("name", "near"), [("ema", "emma"), ("Fable", "fable"), ("heart ", "heart")])
def test_an_unknown_voice_is_refused_with_the_nearest(name: str, near: str):
    with pytest.raises(ValueError, match=f"heart, emma, fable or kore, not '{name}'; did you mean '{near}'"):
        SpeakerConfig(voice=name)


def test_a_name_that_is_like_none_is_refused_without_a_guess():
    with pytest.raises(ValueError, match=r"or kore, not 'xyz'$"):
        SpeakerConfig(voice="xyz")


@pytest.mark.parametrize(("name", "sound"), [("kore", "sk"), ("emma", "ʃ")])
def test_a_voice_reads_by_the_rules_of_its_country(name: str, sound: str):
    """Americans begin "schedule" as "skip", the British as "shed". The voice's own file is not here."""
    utterance = Voice(name, model=HEART).prepare("schedule")
    assert utterance is not None
    letters = "".join(filter(str.islower, utterance.symbols))  # without pads and stress
    assert letters.startswith(sound)
    assert is_british(name) == (sound == "ʃ")
