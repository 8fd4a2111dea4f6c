"""Long-form audio out of short recordings, and what is measured while it is read, worked out by hand."""

from dataclasses import dataclass, field

import numpy as np
import pytest
from numpy.typing import NDArray
from scripted_models import Part, Text, Ticker

from asr.audio import AudioSpan
from asr.eval.long_form import join_recordings, transcribe_long_form

RATE = 16000
LENGTHS = {"one": 8000, "two words": 24_000, "three more words": 40_001}


def recordings() -> list[tuple[NDArray[np.float32], str]]:
    """Each of one value: 0.25, 0.5, 0.75."""
    values = np.float32([0.25, 0.5, 0.75])
    return [(np.full(n, v, np.float32), text) for v, (text, n) in zip(values, LENGTHS.items(), strict=True)]


def parts(audio: NDArray[np.float32]) -> list[tuple[int, NDArray[np.float32]]]:
    """What is heard one after the other: the number of the recording, or 0 for a pause, and its samples."""
    number = np.round(audio * 4).astype(int)
    edges = np.flatnonzero(np.diff(number)) + 1
    return [(int(np.round(piece[0] * 4)), piece) for piece in np.split(audio, edges)]


def test_long_form_audio_is_all_recordings_again_and_again_with_pauses() -> None:
    audio, text = join_recordings(recordings(), 1.5)
    assert audio.dtype == np.float32
    heard = parts(audio)
    spoken, pauses = heard[::2], heard[1::2]
    texts = list(LENGTHS)
    order = [number - 1 for number, _ in spoken]
    assert text == " ".join(texts[index] for index in order)
    assert [len(piece) for _, piece in spoken] == [LENGTHS[texts[index]] for index in order]
    rounds = [order[at : at + 3] for at in range(0, len(order) - 2, 3)]
    assert all(sorted(part) == [0, 1, 2] for part in rounds)  # none is heard again before all were
    assert len({tuple(part) for part in rounds}) > 1
    assert len(pauses) == len(spoken)
    assert all(number == 0 for number, _ in pauses)
    lengths = [len(piece) / RATE for _, piece in pauses]
    assert 0.4 <= min(lengths) < 0.6 and 1.0 < max(lengths) <= 1.2
    assert all(0.5e-4 < piece.std() < 2e-4 for _, piece in pauses)


@pytest.mark.parametrize("minutes", [0.01, 0.5, 3])
def test_it_ends_with_the_first_recording_that_makes_it_long_enough(minutes: float) -> None:
    audio, _ = join_recordings(recordings(), minutes)
    *_, (_, last), (_, pause) = parts(audio)
    assert len(audio) >= minutes * 60 * RATE
    assert len(audio) - len(last) - len(pause) < minutes * 60 * RATE


def test_it_is_the_same_every_time() -> None:
    first, again = join_recordings(recordings(), 0.5), join_recordings(recordings(), 0.5)
    assert (first[0] == again[0]).all() and first[1] == again[1]


def test_there_is_no_audio_of_nothing() -> None:
    with pytest.raises(ValueError, match="there are none"):
        join_recordings([], 1)


@dataclass
class Listener:
    """Takes `work_ms` for each partial, and as much as that and more for the final reading."""

    ticker: Ticker
    work_ms: list[float]
    line: str
    heard: list[NDArray[np.float32]] = field(default_factory=list)
    ended: bool = True

    def begin(self, start_sample: int = 0) -> None:
        assert start_sample == 0 and self.ended
        self.ended = False

    def partial(self, span: AudioSpan) -> Part:
        assert not self.ended
        assert span.start_sample == sum(map(len, self.heard))
        self.heard.append(span.audio)
        self.ticker.ms += self.work_ms.pop(0)
        return Part("", "")

    def final(self, span: AudioSpan) -> Text:
        assert span.start_sample == sum(map(len, self.heard)) and len(span.audio) == 0
        self.ticker.ms += 1e6
        self.ended = True
        return Text(self.line)


def test_every_minute_is_measured_for_itself() -> None:
    """125 s in steps of 700 ms: 85 of them and one of 500 ms in a minute, 7 and one of 100 ms in the rest."""
    audio = np.random.default_rng(0).standard_normal(125 * RATE).astype(np.float32)
    work = [10.0] * 86 + [10.0, 30.0] * 43 + [5.0] * 7 + [25.0]
    ticker = Ticker()
    listener = Listener(ticker, list(work), "turn on the the light")
    resident = iter([300.0, 310.5, 305.0])
    found = transcribe_long_form(
        listener, audio, "Turn on the lamp.", 700, ticker.clocks, lambda: next(resident)
    )
    assert listener.work_ms == [] and listener.ended
    np.testing.assert_array_equal(np.concatenate(listener.heard), audio)
    assert [len(piece) for piece in listener.heard[84:88]] == [11_200, 8000, 11_200, 11_200]
    first, second, rest = found.minutes
    assert first.partial_ms == pytest.approx([10.0] * 86)
    assert second.partial_ms == pytest.approx([10.0, 30.0] * 43)
    assert rest.partial_ms == pytest.approx([5.0] * 7 + [25.0])
    # Two cores are at work, so the processor's time is twice that.
    assert first.cpu_share == pytest.approx(2 * 0.86 / 60)
    assert second.cpu_share == pytest.approx(2 * 1.72 / 60)
    assert rest.cpu_share == pytest.approx(2 * 0.06 / 5)  # of the 5 s that are left
    assert [minute.resident_mb for minute in found.minutes] == [300.0, 310.5, 305.0]
    assert found.text == "turn on the the light"
    words = found.words
    assert (words.substitutions, words.insertions, words.deletions, words.reference_words) == (1, 1, 0, 4)
    assert next(resident, None) is None


def test_a_whole_number_of_minutes_has_no_empty_one() -> None:
    ticker = Ticker()
    listener = Listener(ticker, [1.0] * 120, "")
    found = transcribe_long_form(
        listener, np.zeros(120 * RATE, np.float32), "a b", 1000, ticker.clocks, lambda: 1.0
    )
    assert [len(minute.partial_ms) for minute in found.minutes] == [60, 60]
    assert found.words.deletions == 2
