"""The models on long-form audio that is joined out of traces/, and on audio nobody wants."""

import copy
import pickle
import random
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import pytest
from numpy.typing import NDArray
from recordings import Recording, recordings

from asr.audio import AudioSpan
from asr.eval.score import total, word_errors
from asr.recognizer import Recognizer
from asr.stabilize import Partial
from asr.stream import StreamConfig, Transcriber
from asr.words import Hypothesis

pytestmark = pytest.mark.models

RATE = 16000
STEP = RATE * 640 // 1000
Array = NDArray[np.float32]
CONFIGS = {"streaming": StreamConfig(second_pass=False), "final": StreamConfig()}


@pytest.fixture(scope="module")
def models(default_recognizer: Recognizer) -> Recognizer:
    return default_recognizer


@pytest.mark.parametrize("config", CONFIGS)
@pytest.mark.parametrize("seconds", [0.1, 0.3, 0.5, 1.0, 3.0])
def test_near_silence_is_nothing(models: Recognizer, config: str, seconds: float) -> None:
    noise = np.random.default_rng(1).normal(0, 1e-3, round(seconds * RATE)).astype(np.float32)
    for audio in (noise, np.zeros_like(noise)):
        assert Transcriber(models, CONFIGS[config]).final(AudioSpan(audio)).text == ""


@pytest.mark.parametrize("config", CONFIGS)
def test_short_turns_between_long_silences_are_not_lost(models: Recognizer, config: str) -> None:
    """With four seconds of silence inside a segment full attention took the audio for over."""
    names = ("005", "000", "006", "014")
    room = np.random.default_rng(0).normal(0, 1e-4, 4 * RATE).astype(np.float32)
    turns = [recordings()[name] for name in names]
    audio = np.concatenate([part for one in turns for part in (one.audio[one.start : one.end], room)])
    said = " ".join(one.text for one in turns)
    errors = word_errors(said, hear(models, CONFIGS[config], audio).final.text)
    assert errors.deletions <= 1
    assert errors.wer <= 0.1


@dataclass(frozen=True)
class Heard:
    """What a transcriber showed and wrote, and the bytes of its segment's state after each step."""

    partials: list[Partial]
    final: Hypothesis
    state_bytes: list[int]


def hear(models: Recognizer, config: StreamConfig, audio: Array) -> Heard:
    transcriber = Transcriber(models, config)
    partials, sizes = [], []
    for end in range(STEP, len(audio) + STEP, STEP):
        partials.append(transcriber.partial(AudioSpan(audio[max(0, end - STEP) : end], end - STEP)))
        sizes.append(state_bytes(transcriber))
    return Heard(partials, transcriber.final(AudioSpan(audio[len(audio) :], len(audio))), sizes)


@pytest.mark.parametrize("config", CONFIGS.values(), ids=CONFIGS)
def test_two_transcribers_of_one_recognizer_do_not_hear_each_other(
    models: Recognizer, config: StreamConfig
) -> None:
    """Their calls by turns, to the bit what each says alone."""
    audios = [turn(recordings()[name], 0.5) for name in ("000", "006")]
    recognizers = [Transcriber(models, config) for _ in audios]
    partials: list[list[Partial]] = [[], []]
    for start in range(0, max(map(len, audios)), STEP):
        for transcriber, audio, shown in zip(recognizers, audios, partials, strict=True):
            if start < len(audio):
                shown.append(transcriber.partial(AudioSpan(audio[start : start + STEP], start)))
    for transcriber, audio, shown in zip(recognizers, audios, partials, strict=True):
        apart = hear(models, config, audio)
        assert shown == apart.partials
        assert transcriber.final(AudioSpan(audio[len(audio) :], len(audio))) == apart.final
        assert apart.final.text


def test_transcribers_in_two_threads_hear_what_each_hears_alone(models: Recognizer) -> None:
    audios = [turn(recordings()[name], 0.5) for name in ("000", "006")]
    with ThreadPoolExecutor(2) as pool:
        together = list(pool.map(lambda audio: hear(models, StreamConfig(), audio), audios * 2))
    alone = [hear(models, StreamConfig(), audio) for audio in audios] * 2
    assert [(h.partials, h.final) for h in together] == [(h.partials, h.final) for h in alone]


def state_bytes(transcriber: Transcriber) -> int:
    """The segment: the audio since the last boundary, and all that encoder and decoder keep of it."""
    kept = copy.copy(transcriber._segment.__dict__)
    del kept["_models"]
    kept["_decoder"] = copy.copy(kept["_decoder"])
    kept["_decoder"].binding = None
    return len(pickle.dumps(kept))


def turn(recording: Recording, pause_s: float) -> Array:
    """Its voice, and the room's noise before and behind it."""
    end = recording.end + round(pause_s * RATE)
    audio = recording.audio[max(0, recording.start - 4096) : end]
    return np.pad(audio, (0, max(0, end - len(recording.audio))))


@pytest.fixture(scope="module")
def sentences() -> tuple[list[Recording], Array]:
    """Eighty seconds: every recording twice, in any order, with pauses of 0.3 to 1.2 s between them."""
    rng = random.Random(0)
    order = [*recordings().values()] * 2
    rng.shuffle(order)
    audio = np.concatenate([turn(recording, rng.uniform(0.3, 1.2)) for recording in order])
    assert 60 < len(audio) / RATE < 90
    return order, audio


@pytest.fixture(scope="module", params=CONFIGS)
def long_form(
    request: pytest.FixtureRequest, models: Recognizer, sentences: tuple[list[Recording], Array]
) -> tuple[Heard, StreamConfig]:
    config = CONFIGS[request.param]
    return hear(models, config, sentences[1]), config


def alone(models: Recognizer, config: StreamConfig) -> dict[str, str]:
    transcriber, texts = Transcriber(models, config), {}
    for name, recording in recordings().items():
        transcriber.begin()
        texts[name] = transcriber.final(AudioSpan(turn(recording, 0.3))).text
    return texts


def test_long_form_audio_is_read_as_well_as_its_sentences(
    models: Recognizer, sentences: tuple[list[Recording], Array], long_form: tuple[Heard, StreamConfig]
) -> None:
    heard, config = long_form
    texts = alone(models, config)
    said = " ".join(recording.text for recording in sentences[0])
    apart = total(
        [
            word_errors(recording.text, texts[recording.name.removesuffix(".flac")])
            for recording in sentences[0]
        ]
    )
    assert word_errors(said, heard.final.text).wer <= apart.wer + 0.01


def test_what_is_stable_is_never_taken_back(long_form: tuple[Heard, StreamConfig]) -> None:
    before = ""
    for partial in long_form[0].partials:
        assert partial.stable.startswith(before)
        before = partial.stable


def test_word_times_go_up(long_form: tuple[Heard, StreamConfig]) -> None:
    """At a boundary the last word may seem to end in the silence that is put behind it."""
    words = long_form[0].final.words
    assert all(word.start_s <= word.end_s for word in words)
    assert all(b.start_s >= a.end_s - 0.24 for a, b in pairwise(words))


def test_the_state_is_bounded(long_form: tuple[Heard, StreamConfig]) -> None:
    """It falls back at each boundary, and the last third of the audio needs no more than the first."""
    sizes = long_form[0].state_bytes
    third = len(sizes) // 3
    assert max(sizes[-third:]) <= 1.25 * max(sizes[:third])
    assert max(sizes) < 30e6


@pytest.mark.parametrize("config", CONFIGS.values(), ids=CONFIGS)
def test_silence_and_next_to_nothing_is_no_sentence(models: Recognizer, config: StreamConfig) -> None:
    for seconds in (0, 0.005, 0.09, 2, 5):
        assert not any(
            map(str.isalnum, hear(models, config, np.zeros(round(seconds * RATE), np.float32)).final.text)
        )


def degraded(audio: Array) -> dict[str, Array]:
    return {
        "offset": audio + np.float32(0.2),
        "clipped": np.clip(audio / np.abs(audio).max() * 4, -1, 1).astype(np.float32),
        "quiet": audio * np.float32(0.02),
        "broken": np.where(np.arange(len(audio)) % 4000 == 0, np.float32(np.nan), audio),
    }


def errors(models: Recognizer, config: StreamConfig, audios: Sequence[tuple[str, Array]]) -> float:
    return total([word_errors(text, hear(models, config, audio).final.text) for text, audio in audios]).wer


@pytest.mark.parametrize("kind", ["offset", "clipped", "quiet", "broken"])
def test_bad_audio_is_still_read(models: Recognizer, kind: str) -> None:
    turns = [(recording.text, turn(recording, 0.3)) for recording in list(recordings().values())[:2]]
    bad = [(text, degraded(audio)[kind]) for text, audio in turns]
    config = CONFIGS["final"]
    assert errors(models, config, bad) <= errors(models, config, turns) + 0.15
