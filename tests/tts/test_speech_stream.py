from collections.abc import Iterator

import numpy as np
import pytest
from hibari import Hibari
from numpy.typing import NDArray

from tts.phrases import PhraseSplitter
from tts.stream import Speaker, SpeakerConfig, SpeechChunk
from tts.voice import Utterance, Voice

THRESHOLD = 10 ** (-50 / 20)
REPLY = (
    "Sure, I can help with that! First, mix 2.5 cups of flour with water. Then wait for an hour, "
    "and bake it at 220 degrees until it is brown: the recipe is on example.com. 😊 Enjoy"
)


class CountingVoice(Voice):
    """The real voice, counting how often the acoustic half runs."""

    prepared = 0

    def prepare(self, phrase: str) -> Utterance | None:
        self.prepared += 1
        return super().prepare(phrase)


@pytest.fixture(scope="module")
def voice() -> CountingVoice:
    return CountingVoice()


@pytest.fixture
def speaker(voice: CountingVoice) -> Speaker:
    voice.prepared = 0
    return Speaker(voice)


def join(chunks: list[SpeechChunk]) -> NDArray[np.float32]:
    return np.concatenate([chunk.audio for chunk in chunks])


def silences(audio: NDArray[np.float32]) -> tuple[int, int]:
    """Samples before the first and after the last loud one."""
    loud = np.flatnonzero(np.abs(audio) > THRESHOLD)
    return int(loud[0]), len(audio) - 1 - int(loud[-1])


@pytest.mark.parametrize(
    ("phrase", "pause_ms"),
    [
        ("Hello there.", 250),
        (" Really?", 250),
        ("(It works!) 😊", 250),
        ("- one item\n", 250),
        ("No problem,", 120),
        ("Here it is:", 120),
        (" I think so", 20),
    ],
)
def test_silence_around_a_phrase_is_what_its_punctuation_asks_for(
    speaker: Speaker, phrase: str, pause_ms: int
):
    before, after = silences(join(list(speaker.speak(phrase))))
    assert before == 240  # 10 ms
    assert after == pause_ms * 24


def test_speech_is_the_voice_unchanged_between_its_silences(speaker: Speaker):
    phrase = "Hello there, how are you doing today Sam?"
    hibari = Hibari()
    reference = hibari.from_ids(hibari.ids(hibari.g2p(phrase)), rng=np.random.default_rng(0))
    loud = np.flatnonzero(np.abs(reference) > THRESHOLD)
    reference = reference[loud[0] : loud[-1] + 1]
    spoken = join(list(speaker.speak(phrase)))[240 : -250 * 24]
    offset = len(spoken) - len(reference)  # int8 scales may move the first or last sample over the threshold
    assert abs(offset) <= 48
    lags = {}
    for lag in range(-48, 49):
        a, b = reference[100:-100], spoken[100 + lag : 100 + lag + len(reference) - 200]
        if len(a) == len(b):
            lags[lag] = 10 * np.log10(np.sum(a**2) / np.sum((a - b) ** 2))
    assert max(lags.values()) >= 25


def test_text_of_the_chunks_is_the_phrase_word_by_word(speaker: Speaker):
    for phrase in [
        "Hello there, Sam.",
        ' "It costs $3.50 at example.com," she said',
        "One — two\n",
        " (well) yes!",
    ]:
        chunks = list(speaker.speak(phrase))
        assert "".join(chunk.text for chunk in chunks) == phrase
        assert all(chunk.sample_rate == 24000 for chunk in chunks)
    texts = [chunk.text for chunk in speaker.speak("Hello there, Sam.") if chunk.text]
    assert texts == ["Hello", " there,", " Sam."]


def test_words_end_where_the_sound_of_them_ends(speaker: Speaker):
    chunks = list(speaker.speak("Yesterday, tomorrow."))
    audio = join(chunks)
    ends = np.cumsum([len(chunk.audio) for chunk in chunks])
    first_word_end = next(end for end, chunk in zip(ends, chunks, strict=True) if chunk.text)
    window = np.convolve(audio[: len(audio) - 250 * 24] ** 2, np.ones(1200), "valid")
    quietest = int(np.argmin(window[2400:-2400])) + 2400 + 600  # the pause at the comma
    assert abs(first_word_end - quietest) <= 0.15 * 24000


@pytest.mark.parametrize("speed", [0.5, 0.8, 1.25, 1.5])
def test_speed_divides_the_length_of_speech(speaker: Speaker, speed: float):
    lengths = []
    for phrase in (
        "The capital of France is Paris.",
        REPLY[:33],
        " and bake it at 220 degrees until it is brown:",
    ):
        natural, changed = (join(list(speaker.speak(phrase, speed=s))) for s in (1.0, speed))
        lengths.append((len(natural), len(changed)))
        assert silences(changed)[0] == 240
        assert silences(changed)[1] == pytest.approx(silences(natural)[1] / speed, abs=1)
    natural_samples, changed_samples = np.sum(lengths, axis=0)
    assert changed_samples * speed == pytest.approx(natural_samples, rel=0.05)


@pytest.mark.parametrize("speed", [0.25, 0.5, 1.25, 1.5])
def test_words_end_where_they_do_at_any_speed(speaker: Speaker, speed: float):
    """Every word's share of the phrase is about the same, and the comma's pause is between two of them."""
    phrase = "Yesterday, tomorrow."

    def shares(at: float) -> list[float]:
        chunks = list(speaker.speak(phrase, speed=at))
        assert "".join(chunk.text for chunk in chunks) == phrase
        ends = np.cumsum([len(chunk.audio) for chunk in chunks])
        spoken = ends[-1] - 250 * 24 / at
        return [end / spoken for end, chunk in zip(ends, chunks, strict=True) if chunk.text]

    assert shares(speed) == pytest.approx(shares(1.0), abs=0.06)
    chunks = list(speaker.speak(phrase, speed=speed))
    audio, first = join(chunks), next(i for i, chunk in enumerate(chunks) if chunk.text)
    end = sum(len(chunk.audio) for chunk in chunks[: first + 1])
    spoken = audio[: len(audio) - round(250 * 24 / speed)]
    window = np.convolve(spoken**2, np.ones(1200), "valid")
    edge = round(2400 / speed)
    quietest = int(np.argmin(window[edge:-edge])) + edge + 600
    assert abs(end - quietest) <= 0.15 * 24000 / min(1, speed)


def test_the_first_sound_is_not_cut_off_at_a_low_speed(speaker: Speaker, voice: CountingVoice):
    for phrase in ("Hi.", "Please wait.", "Almost everything is fine."):
        utterance = voice.prepare(phrase)
        assert utterance is not None
        whole = np.concatenate(list(voice.render(utterance)))
        loud = np.flatnonzero(np.abs(whole) > THRESHOLD)
        spoken = join(list(speaker.speak(phrase, speed=0.25)))
        # 10 ms of lead, and a pause of a second. Both ends may move by 14 ms of the original.
        assert len(spoken) == pytest.approx(240 + 4 * (loud[-1] - loud[0]) + 24000, abs=2 * 4 * 14 * 24)


def test_speeds_are_cached_apart(speaker: Speaker, voice: CountingVoice):
    usual, fast = (join(list(speaker.speak("Hello there.", speed=speed))) for speed in (1.0, 1.25))
    assert len(fast) < len(usual)
    assert voice.prepared == 2
    np.testing.assert_array_equal(join(list(speaker.speak("Hello there.", speed=1.25))), fast)
    np.testing.assert_array_equal(join(list(speaker.speak("Hello there."))), usual)
    assert voice.prepared == 2


def test_first_chunk_comes_before_the_phrase_is_finished(
    voice: CountingVoice, monkeypatch: pytest.MonkeyPatch
):
    windows = []
    render = voice.render

    def counted(utterance: Utterance, **kwargs: object) -> Iterator[NDArray[np.float32]]:
        for audio in render(utterance, **kwargs):
            windows.append(len(audio))
            yield audio

    monkeypatch.setattr(voice, "render", counted)
    chunk = next(
        Speaker(voice).speak("Well, I think the best way to learn a language is to speak it every day.")
    )
    assert len(windows) == 1
    assert len(chunk.audio) > 1000


def test_a_whole_reply_has_no_click_and_no_clipping(speaker: Speaker):
    splitter = PhraseSplitter()
    phrases = [*splitter.push(REPLY), *splitter.flush()]
    spoken = [list(speaker.speak(phrase)) for phrase in phrases]
    assert "".join(chunk.text for chunks in spoken for chunk in chunks) == REPLY
    audio = join([chunk for chunks in spoken for chunk in chunks])
    assert np.isfinite(audio).all()
    assert np.abs(audio).max() < 0.95
    joints = np.cumsum([len(chunk.audio) for chunks in spoken for chunk in chunks])[:-1]
    jumps = np.abs(np.diff(audio))
    away = np.ones(len(jumps), bool)
    away[joints - 1] = False
    assert jumps[joints[joints < len(audio)] - 1].max() <= np.quantile(jumps[away], 0.9999)
    starts = np.cumsum([0, *(sum(len(chunk.audio) for chunk in chunks) for chunks in spoken)])
    for start in starts[:-1]:
        assert np.abs(audio[start : start + 24]).max(initial=0) < THRESHOLD
    voiced = audio[np.abs(audio) > THRESHOLD]
    assert -30 < 20 * np.log10(np.sqrt(np.mean(voiced**2))) < -18


@pytest.mark.parametrize("phrase", ["...", " 😊", "**\n", ""])
def test_nothing_to_say_keeps_its_text(speaker: Speaker, phrase: str):
    (chunk,) = speaker.speak(phrase)
    assert chunk.text == phrase
    assert chunk.audio.shape == (0,)


def test_repeated_phrase_comes_from_the_cache_unchanged(speaker: Speaker, voice: CountingVoice):
    first = list(speaker.speak("Hello there."))
    again = list(speaker.speak("Hello there."))
    assert voice.prepared == 1
    assert [chunk.text for chunk in again] == [chunk.text for chunk in first]
    np.testing.assert_array_equal(join(again), join(first))
    with pytest.raises(ValueError, match="read-only"):
        again[0].audio[0] = 1


def test_cache_is_bounded_and_keeps_what_was_used_last(voice: CountingVoice):
    speaker = Speaker(voice, SpeakerConfig(cache_phrases=2))
    for phrase in ["One.", "Two.", "One.", "Three."]:
        list(speaker.speak(phrase))
    voice.prepared = 0
    list(speaker.speak("One."))
    assert voice.prepared == 0
    list(speaker.speak("Two."))
    assert voice.prepared == 1
    short = Speaker(voice, SpeakerConfig(cache_seconds=0.5))
    list(short.speak("A phrase of more than half a second."))
    voice.prepared = 0
    list(short.speak("A phrase of more than half a second."))
    assert voice.prepared == 1


def test_stopped_phrase_ends_early_and_is_not_kept(speaker: Speaker, voice: CountingVoice):
    phrase = "Well, I think the best way to learn a new language is to speak it every day."
    stopped = []
    chunks = []
    for chunk in speaker.speak(phrase, should_stop=lambda: bool(stopped)):
        chunks.append(chunk)
        stopped.append(True)
    heard = "".join(chunk.text for chunk in chunks)
    assert phrase.startswith(heard)
    assert len(heard) < len(phrase) / 2
    whole = list(speaker.speak(phrase))
    assert voice.prepared == 2
    assert "".join(chunk.text for chunk in whole) == phrase
    assert list(speaker.speak(phrase, should_stop=lambda: True)) == []


def test_warm_up_keeps_nothing(speaker: Speaker, voice: CountingVoice):
    speaker.warm_up()
    assert voice.prepared == 1
    list(speaker.speak("Hello there, how are you doing today?"))
    assert voice.prepared == 2


def test_the_speed_is_the_configurations_where_nobody_asks_for_another(voice: CountingVoice):
    quick, natural = Speaker(voice, SpeakerConfig(speed=1.25)), Speaker(voice)
    for asked, same in ((None, 1.25), (1.0, 1.0), (0.8, 0.8)):
        spoken = join(list(quick.speak("Hello there, Sam.", speed=asked)))
        np.testing.assert_array_equal(spoken, join(list(natural.speak("Hello there, Sam.", speed=same))))


@pytest.mark.parametrize("volume", [1, 25, 50])
def test_the_volume_is_a_share_of_the_amplitude_and_moves_no_word(voice: CountingVoice, volume: float):
    loud = list(Speaker(voice).speak("Hello there, Sam."))
    soft = list(Speaker(voice, SpeakerConfig(volume=volume)).speak("Hello there, Sam."))
    assert [chunk.text for chunk in soft] == [chunk.text for chunk in loud]
    np.testing.assert_allclose(join(soft), join(loud) * volume / 100, rtol=1e-6)


@pytest.mark.parametrize("speed", [0, 0.24, 1.51, -1, float("nan"), float("inf")])
def test_a_speed_out_of_range_is_refused(speaker: Speaker, speed: float):
    with pytest.raises(ValueError, match=r"a speed is from 0\.25 to 1\.5"):
        list(speaker.speak("Hello.", speed=speed))
