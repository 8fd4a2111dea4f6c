"""Hibari itself, on the whole sentence, is the reference."""

from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import onnx
import pytest
from hibari import Hibari
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from onnx import TensorProto, helper
from scipy.signal import stft

from tts.errors import TtsError
from tts.speakable import speakable
from tts.vocoder import HOP
from tts.voice import Voice

PHRASES = [
    "Hi.",
    "No problem,",
    "The capital of France is Paris.",
    "It costs $3.50, or 1,000 yen.",
    "Zebras eat grass and leaves",
    "Hello there, how are you doing today Sam?",
    "Photosynthesis is how plants turn sunlight into sugar.",
    "Well, I think the best way to learn a new language is to speak it every day, even if you are wrong.",
    "The quick brown fox jumps over the lazy dog while the old man in the grey coat sits quietly on a bench "
    "in the park and watches the children play their games until the sun goes down.",
]
MIN_SNR_DB = 25  # measured 27.4 to 33.7
MAX_SPECTRAL_DISTANCE_DB = 0.5  # measured 0.15 to 0.30; another seed of the noise gives 0.15 to 0.30


@pytest.fixture(scope="module")
def hibari() -> Hibari:
    return Hibari()


@pytest.fixture(scope="module")
def voice() -> Voice:
    return Voice()


def chunks_of(voice: Voice, phrase: str, **options: Callable[[], bool]) -> Iterator[NDArray[np.float32]]:
    utterance = voice.prepare(phrase)
    return iter(()) if utterance is None else voice.render(utterance, **options)


def whole_sentence(hibari: Hibari, phrase: str) -> NDArray[np.float32]:
    return hibari.from_ids(hibari.ids(hibari.g2p(phrase)), rng=np.random.default_rng(0))


def snr_db(reference: NDArray[np.float32], other: NDArray[np.float32]) -> float:
    return float(10 * np.log10(np.sum(reference**2) / np.sum((reference - other) ** 2)))


def spectral_distance_db(reference: NDArray[np.float32], other: NDArray[np.float32]) -> float:
    """RMS difference of the log spectra of the frames that hold speech, with a floor at -80 dB."""
    a, b = (np.abs(stft(audio, 24000, nperseg=1200)[2]) for audio in (reference, other))
    speech = a.max(axis=0) > 1e-3
    return float(np.sqrt(np.mean((20 * np.log10((a + 1e-4) / (b + 1e-4)))[:, speech] ** 2)))


@pytest.mark.parametrize("phrase", PHRASES, ids=lambda phrase: str(len(phrase)))
def test_joined_chunks_equal_the_whole_sentence(hibari: Hibari, voice: Voice, phrase: str):
    reference = whole_sentence(hibari, phrase)
    chunks = list(chunks_of(voice, phrase))
    joined = np.concatenate(chunks)
    assert joined.shape == reference.shape
    assert snr_db(reference, joined) >= MIN_SNR_DB
    assert spectral_distance_db(reference, joined) <= MAX_SPECTRAL_DISTANCE_DB
    assert np.abs(joined).max() < 1


@pytest.mark.parametrize("phrase", PHRASES[-3:], ids=lambda phrase: str(len(phrase)))
def test_joints_do_not_click(hibari: Hibari, voice: Voice, phrase: str):
    reference = whole_sentence(hibari, phrase)
    chunks = list(chunks_of(voice, phrase))
    assert len(chunks) >= 3
    bend, usual = (np.abs(np.diff(audio, 2)) for audio in (np.concatenate(chunks), reference))
    for joint in np.cumsum([len(chunk) for chunk in chunks])[:-1]:
        near = slice(joint - 2 * HOP, joint + 2 * HOP)
        assert bend[near].max() <= 1.3 * usual[near].max()


def test_first_chunk_is_short_at_any_length(voice: Voice):
    for phrase in PHRASES[-3:]:
        assert 0 < len(next(chunks_of(voice, phrase))) <= 0.4 * voice.sample_rate


def test_starting_late_gives_the_end_of_the_whole(hibari: Hibari, voice: Voice):
    reference = whole_sentence(hibari, PHRASES[5])
    utterance = voice.prepare(PHRASES[5])
    assert utterance is not None
    late = np.concatenate(list(voice.render(utterance, start=40)))
    assert snr_db(reference[41 * HOP :], late) >= MIN_SNR_DB


def test_durations_follow_the_phonemes(voice: Voice):
    utterance = voice.prepare("Hello there.")
    assert utterance is not None
    assert utterance.symbols == "\0həlˈO ðˈɛɹ.\0"  # noqa: RUF001
    assert len(utterance.durations) == len(utterance.symbols)
    assert utterance.durations.sum() == len(utterance.pitch) == utterance.features.shape[2]


def test_stops_between_two_windows(voice: Voice):
    answers = iter([False, False, True])
    chunks = list(chunks_of(voice, PHRASES[-1], should_stop=lambda: next(answers)))
    assert len(chunks) == 2


@pytest.mark.parametrize("phrase", ["", " ", "😊", "...", "|"])
def test_nothing_to_say_gives_no_audio(voice: Voice, phrase: str):
    assert list(chunks_of(voice, phrase)) == []


@settings(max_examples=60, deadline=None)
@given(phrase=st.text(max_size=60))
def test_any_text_can_be_spoken_or_has_nothing_to_say(voice: Voice, phrase: str):
    utterance = voice.prepare(speakable(phrase))
    assert utterance is None or len(utterance.pitch) > 0


@pytest.mark.parametrize(
    "phrase", ["9" * 200, "1," * 100, "a" * 400, "$" * 50 + "5", "XVIII" * 20, "1/0", "-" * 300]
)
def test_odd_text_can_be_spoken(voice: Voice, phrase: str):
    utterance = voice.prepare(speakable(phrase))
    assert (utterance is None) == (phrase[0] == "-")


def test_number_the_voice_cannot_name_does_not_stop_it(voice: Voice):
    utterance = voice.prepare("There are " + "9" * 60 + " of them.")
    assert utterance is not None
    assert [word[-1] for word in utterance.symbols.strip("\0").split()] == ["ɹ", "ɹ", "v", "m"]


def test_more_phonemes_than_the_model_has_learned_are_spoken_in_parts(hibari: Hibari, voice: Voice):
    phrase = "The river runs on and on through the old town and past the mill " * 9
    utterance = voice.prepare(phrase)
    assert utterance is not None
    assert utterance.symbols.count("\0") >= 4
    assert utterance.symbols.replace("\0\0", " ").strip("\0") == hibari.g2p(phrase)
    assert utterance.durations.sum() == len(utterance.pitch)
    audio = np.concatenate(list(chunks_of(voice, phrase)))
    assert len(audio) == HOP * len(utterance.pitch)
    assert np.abs(audio).max() < 1


def test_missing_model_is_named(tmp_path: Path):
    with pytest.raises(TtsError, match=r"gone\.onnx: no such file") as caught:
        Voice(model=tmp_path / "gone.onnx")
    assert caught.value.path == tmp_path / "gone.onnx"


def test_damaged_model_is_refused(tmp_path: Path, hibari: Hibari):
    path = tmp_path / "cut.onnx"
    path.write_bytes(Path(hibari.model_path).read_bytes()[:100_000])
    with pytest.raises(TtsError, match="not a readable ONNX file"):
        Voice(model=path)
    with pytest.raises(TtsError, match="not a readable ONNX file"):
        Voice(model=tmp_path)


def test_model_of_another_kind_is_refused(tmp_path: Path):
    value = helper.make_tensor_value_info("x", TensorProto.FLOAT, [1])
    graph = helper.make_graph([helper.make_node("Identity", ["x"], ["y"])], "other", [value], [value])
    onnx.save(helper.make_model(graph), tmp_path / "other.onnx")
    with pytest.raises(TtsError, match="not a Hibari voice"):
        Voice(model=tmp_path / "other.onnx")
