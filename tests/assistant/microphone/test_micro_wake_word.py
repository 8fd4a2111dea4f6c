"""Wake words with the real package, on the assistant's own voice and the recorded turns."""

import importlib
from collections.abc import Mapping
from pathlib import Path
from typing import get_args

import numpy as np
import pytest

from asr.audio import RATE
from assistant.audio import find_clips, read_clip, to_asr_rate
from assistant.commands.talk import TalkRequest
from assistant.commands.talk_here import talk_here
from assistant.config import WakeName
from assistant.microphone import micro_wake_word
from assistant.microphone.devices.errors import NoWakeWord
from assistant.microphone.devices.port import Audio
from assistant.microphone.micro_wake_word import MicroWakeWord, open_wake_word, unsupported_reason
from assistant.microphone.wake import EARLY_MS, LATE_MS, WakeGate
from assistant.models.speech import asr_paths, load_recognizer
from assistant.models.store import ModelStore
from assistant.session.ring import Frame
from tts.voice import Voice

_reason = unsupported_reason()
installed = pytest.mark.skipif(_reason is not None, reason=_reason or "")
FRAME = RATE // 50
TRACES = Path(__file__).parents[3] / "traces"
SAID: Mapping[WakeName, str] = {
    "hey-jarvis": "Hey Jarvis",
    "hey-mycroft": "Hey Mycroft",
}  # okay-nabu does not hear the assistant's own voice


@pytest.fixture(scope="module")
def voice() -> Voice:
    return Voice()


def said(voice: Voice, text: str) -> Audio:
    """A sentence with a second of a quiet room on either side, as loud as somebody at a table."""
    utterance = voice.prepare(text)
    assert utterance
    sound = to_asr_rate(np.concatenate(list(voice.render(utterance))), voice.sample_rate)
    sound = np.pad(sound * 0.2 / np.abs(sound).max(), RATE)
    quiet = np.random.default_rng(0).standard_normal(len(sound)).astype(np.float32) * 0.0005
    return (sound + quiet)[: len(sound) // FRAME * FRAME]


def detections(word: MicroWakeWord, audio: Audio) -> int:
    return sum(word.push(audio[start : start + FRAME]) for start in range(0, len(audio), FRAME))


@installed
@pytest.mark.parametrize("name", SAID)
def test_a_phrase_is_detected_and_the_others_are_not(voice: Voice, name: WakeName) -> None:
    for phrase, text in SAID.items():
        found = detections(open_wake_word(name), said(voice, f"{text}, what time is it?"))
        assert (found > 0) == (phrase == name), text


@installed
@pytest.mark.parametrize("name", get_args(WakeName))
def test_no_phrase_is_found_in_turns_without_it(name: WakeName) -> None:
    word = open_wake_word(name)
    assert word.phrase.text == name.replace("-", " ")
    for clip in find_clips(TRACES):
        audio, rate = read_clip(clip)
        assert detections(word, to_asr_rate(audio, rate)) == 0, clip.path


@installed
def test_a_reset_forgets_the_first_half_of_a_phrase(voice: Voice) -> None:
    phrase = said(voice, "Hey Mycroft.")
    half = (len(phrase) // 2 - RATE // 10) // FRAME * FRAME
    whole, cut = open_wake_word("hey-mycroft"), open_wake_word("hey-mycroft")
    assert detections(whole, phrase[:half]) + detections(whole, phrase[half:]) > 0
    assert detections(cut, phrase[:half]) == 0
    cut.reset()
    assert detections(cut, phrase[half:]) == 0


@installed
@pytest.mark.models
@pytest.mark.parametrize("name", SAID)
def test_of_a_phrase_and_a_question_in_one_breath_the_turn_is_the_question(
    voice: Voice, name: WakeName
) -> None:
    audio = said(voice, f"{SAID[name]}, what time is it?")
    gate, given = WakeGate(open_wake_word(name), 8), []
    for end in range(FRAME, len(audio) + 1, FRAME):
        given += [frame.audio for frame in gate.push(Frame(audio[end - FRAME : end], end))]
    recognizer = load_recognizer(asr_paths(ModelStore()))
    assert len(recognizer.transcribe(audio).text.split()) > 4
    assert recognizer.transcribe(np.concatenate(given)).text == "What time is it?"


def test_phrases_end_where_a_gate_looks_for_it() -> None:
    for phrase in micro_wake_word._PHRASES.values():
        assert EARLY_MS <= phrase.earliest_ms < phrase.latest_ms <= LATE_MS


def test_where_the_package_is_missing_the_remedy_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(name: str) -> None:
        raise ModuleNotFoundError(name)

    monkeypatch.setattr(importlib, "import_module", missing)
    with pytest.raises(NoWakeWord, match=r"pip install -e '\.\[wake\]'"):
        open_wake_word("okay-nabu")


def test_a_wake_word_beside_push_to_talk_is_refused() -> None:
    request = TalkRequest(None, None, None, None, True, "okay-nabu", True)
    with pytest.raises(NoWakeWord, match="--wake off"):
        talk_here(request, None)
