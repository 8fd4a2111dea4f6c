"""Decoding with full attention: exactly with a made-up language, and against Moonshine's own library."""

from collections.abc import Callable, Iterator
from pathlib import Path

import jiwer
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from moonshine_voice.transcriber import ModelArch, Transcriber
from numpy.typing import NDArray
from recordings import recordings
from scripted_recognizer import RATE, WORDS, pause, recognizer, text, voice

from asr.decode import token_limit
from asr.recognizer import Recognizer

MODEL = ("moonshine-tiny-en-encoder", "moonshine-tiny-en-decoder", "moonshine-tiny-en-tokenizer")
Array = NDArray[np.float32]


# Exactly


@given(st.lists(st.sampled_from(WORDS), max_size=8), st.lists(st.sampled_from(WORDS), max_size=8))
@settings(deadline=None)
def test_a_draft_is_kept_as_far_as_it_is_right(said: list[int], draft: list[int]) -> None:
    audio = np.concatenate([voice(said), pause(0.2)])
    hypothesis = recognizer().transcribe(audio, draft)
    right = next((n for n, (a, b) in enumerate(zip(said, draft, strict=False)) if a != b), None)
    assert hypothesis.tokens == tuple(said)
    assert hypothesis.text == text(said)
    assert hypothesis.accepted == (min(len(said), len(draft)) if right is None else right)


def test_words_have_times_from_the_offset_on() -> None:
    hypothesis = recognizer().transcribe(np.concatenate([voice([10, 11], 0.5), pause(0.2)]), offset_s=7.0)
    assert [word.text for word in hypothesis.words] == ["w10", "w11"]
    assert [word.end_s for word in hypothesis.words] == pytest.approx([7.49, 7.99], abs=0.04)
    assert hypothesis.words[0].start_s >= 7


# The models themselves


@pytest.fixture(scope="module")
def model(default_recognizer: Recognizer) -> Recognizer:
    return default_recognizer


@pytest.fixture(scope="module")
def independent(
    model_path: Callable[[str], Path], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Transcriber]:
    """Moonshine's own C++ library on the same files, with nothing cut away by its voice detector."""
    folder = tmp_path_factory.mktemp("tiny-en")
    for name, file in zip(
        MODEL, ("encoder_model.ort", "decoder_model_merged.ort", "tokenizer.bin"), strict=True
    ):
        (folder / file).symlink_to(model_path(name))
    options = {
        "vad_threshold": 0.0,
        "vad_max_segment_duration": 60,
        "identify_speakers": "false",
        "return_audio_data": "false",
    }
    with Transcriber(folder, ModelArch.TINY, options=options) as transcriber:
        yield transcriber


def words(written: str) -> str:
    return " ".join("".join(c if c.isalnum() or c == "'" else " " for c in written.lower()).split())


@pytest.mark.models
def test_transcripts_equal_those_of_moonshines_own_library(
    model: Recognizer, independent: Transcriber
) -> None:
    """Word for word, but for one near tie where both round to 8 bits, each in its way."""
    theirs, ours = [], []
    for recording in recordings().values():
        (line,) = independent.transcribe_without_streaming(recording.audio.tolist()).lines
        heard = round(line.duration * RATE)  # it drops what does not fill its last window
        assert len(recording.audio) - 512 < heard <= len(recording.audio)
        theirs.append(words(line.text))
        ours.append(words(model.transcribe(recording.audio[:heard]).text))
    different = [pair for pair in zip(theirs, ours, strict=True) if pair[0] != pair[1]]
    assert len(different) <= 1, different
    assert jiwer.wer(theirs, ours) <= 0.03


@pytest.fixture(scope="module")
def alone(model: Recognizer) -> dict[str, tuple[int, ...]]:
    """The tokens of some recordings, read without a draft."""
    return {name: model.transcribe(recordings()[name].audio).tokens for name in ("000", "002", "018")}


@pytest.mark.models
@pytest.mark.parametrize("name", ["000", "002", "018"])
@given(data=st.data())
@settings(max_examples=10, deadline=None, derandomize=True)
def test_no_draft_changes_anything(
    model: Recognizer, alone: dict[str, tuple[int, ...]], name: str, data: st.DataObject
) -> None:
    tokens = alone[name]
    cut = data.draw(st.integers(0, len(tokens)))
    wrong = data.draw(st.lists(st.integers(3, 32767), max_size=6))
    rest = tokens[cut + 1 :] if data.draw(st.booleans()) else ()
    drafted = model.transcribe(recordings()[name].audio, [*tokens[:cut], *wrong, *rest])
    assert drafted.tokens == tokens
    assert drafted.accepted >= cut


@pytest.mark.models
def test_more_than_ten_seconds_are_read(model: Recognizer) -> None:
    turns = [recordings()[name] for name in ("000", "005", "014", "018")]
    audio = np.concatenate([turn.audio[: turn.end + 8000] for turn in turns])
    assert len(audio) > 11 * RATE
    said = " ".join(words(turn.text) for turn in turns)
    assert jiwer.wer(said, words(model.transcribe(audio).text)) <= 0.1


@pytest.mark.models
def test_who_says_it_twice_is_written_twice(model: Recognizer) -> None:
    """The guard against repetition looks at where it was heard."""
    turn = recordings()["000"]
    said = turn.audio[: turn.end + 8000]
    once = words(model.transcribe(said).text)
    assert words(model.transcribe(np.concatenate([said, said])).text) == f"{once} {once}"


@pytest.mark.models
@pytest.mark.parametrize("samples", [0, 1, 80, 894, 895, 1599, 1600, 2 * RATE])
def test_silence_of_any_length_is_read(model: Recognizer, samples: int) -> None:
    hypothesis = model.transcribe(np.zeros(samples, np.float32))
    assert len(hypothesis.tokens) <= token_limit(samples / RATE)
    assert hypothesis.text == hypothesis.text.strip()


@pytest.mark.models
def test_noise_is_not_transcribed_without_end(model: Recognizer) -> None:
    noise = np.random.default_rng(0).normal(scale=0.3, size=3 * RATE).astype(np.float32)
    assert len(model.transcribe(noise).tokens) <= token_limit(3)


@pytest.mark.models
def test_words_spell_the_text_and_lie_where_it_is_spoken(model: Recognizer) -> None:
    """The end of the last word is that of the voice: 0.19 s too late in the median."""
    late_s = []
    for recording in recordings().values():
        hypothesis = model.transcribe(recording.audio)
        assert " ".join(word.text for word in hypothesis.words) == hypothesis.text
        assert hypothesis.words[0].end_s * RATE > recording.start
        late_s.append(hypothesis.words[-1].end_s - recording.end / RATE)
    assert abs(np.median(late_s)) < 0.2
