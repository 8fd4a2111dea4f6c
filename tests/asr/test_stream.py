"""The transcript of a growing utterance, exactly, in a made-up language whose tokens have exact times."""

import copy
import pickle
import random
import re
from collections.abc import Iterator, Sequence
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from scripted_recognizer import COMMA, RATE, SUFFIXES, WORDS, Full, pause, recognizer, text, voice

from asr.audio import AudioSpan
from asr.boundaries import SegmentConfig
from asr.recognizer import Recognizer
from asr.stabilize import Partial
from asr.stream import StreamConfig, Transcriber
from asr.words import Hypothesis

Array = NDArray[np.float32]
# Whatever its confidence, every word counts, unless a test says otherwise.
BOTH = tuple(StreamConfig(show=0, min_confidence=0, second_pass=again) for again in (False, True))


def speech(
    seconds: float, seed: int = 0, pauses: tuple[float, float] = (0.25, 1.2)
) -> tuple[list[int], Array]:
    """Sentences of words of one or two tokens, with pauses between them, and pauses before and after."""
    rng = random.Random(seed)
    tokens: list[int] = []
    audio = [pause(0.3)]
    while sum(map(len, audio)) < seconds * RATE:
        sentence = [rng.choice(WORDS) for _ in range(rng.randint(1, 12))]
        if rng.random() < 0.5:
            sentence += [rng.choice(SUFFIXES), COMMA]
        tokens += sentence
        audio += [voice(sentence, rng.uniform(0.2, 0.4)), pause(rng.uniform(*pauses))]
    return tokens, np.concatenate([*audio, pause(0.5)])


def chunked(audio: Array, rng: random.Random, longest_s: float = 1.0) -> Iterator[AudioSpan]:
    at = 0
    while at < len(audio):
        end = at + rng.randint(1, round(longest_s * RATE))
        yield AudioSpan(audio[at:end], at)
        at = min(end, len(audio))


def follow(transcriber: Transcriber, spans: Iterator[AudioSpan] | Sequence[AudioSpan]) -> list[Partial]:
    return [transcriber.partial(span) for span in spans]


def end_of(audio: Array) -> AudioSpan:
    return AudioSpan(audio[len(audio) :], len(audio))


def never_retracts(partials: Sequence[Partial]) -> None:
    before = ""
    for partial in partials:
        assert partial.stable.startswith(before)
        assert partial.text.startswith(before)
        before = partial.stable


@pytest.mark.parametrize("config", BOTH)
def test_words_appear_as_they_are_said_and_become_stable_a_little_later(config: StreamConfig) -> None:
    audio = np.concatenate([pause(0.3), voice([10, 20, 30], 0.4), pause(0.5)])
    transcriber = Transcriber(recognizer(), replace(config, stability_delay_ms=240))
    shown = {
        end: transcriber.partial(AudioSpan(audio[: end * RATE // 1000])) for end in range(100, 2001, 100)
    }
    # The words are heard at 690, 1090 and 1490 ms, when their frame is over; for 96 ms each is misheard.
    assert [shown[end].text for end in (600, 700, 900, 1100, 1200, 1600)] == [
        "", "w11", "w10", "w10", "w10 w20", "w10 w20 w31",
    ]  # fmt: skip
    # Two readings agree on it at 900 ms, 200 ms after its end, but only from 240 ms on is that enough.
    assert [shown[end].stable for end in (900, 1000, 1300, 1400, 1700, 1800)] == [
        "", "w10", "w10", "w10 w20", "w10 w20", "w10 w20 w30",
    ]  # fmt: skip
    assert transcriber.final(end_of(audio)).text == "w10 w20 w30"


def test_a_stable_word_with_which_letters_go_on_stays_as_it_was_shown() -> None:
    """The suffix comes 0.5 s later than anyone waits; partials keep the word, the final text has it whole."""
    suffix = SUFFIXES[3]
    audio = np.concatenate([pause(0.3), voice([10], 0.4), voice([suffix], 1.2), voice([20], 0.4), pause(0.8)])
    transcriber = Transcriber(recognizer(), replace(BOTH[0], stability_delay_ms=240))
    stable = [transcriber.partial(AudioSpan(audio[:end])).stable for end in range(1600, len(audio), 1600)]
    assert list(dict.fromkeys(stable)) == ["", "w10", "w10 w20"]
    assert transcriber.final(end_of(audio)).text == f"w10x{suffix} w20"


@pytest.mark.parametrize("config", BOTH)
def test_unstable_words_are_shown_up_to_the_first_unsure_one(config: StreamConfig) -> None:
    """w20 is said with a certainty of 0.6, w16 and w24 with 1; misheard ones with 0.1 less."""
    audio = np.concatenate([pause(0.3), voice([16, 20, 24], 0.4), pause(0.8)])
    transcriber = Transcriber(recognizer(), replace(config, show=0.65, stability_delay_ms=400))
    shown = {
        end: transcriber.partial(AudioSpan(audio[: end * RATE // 1000])) for end in range(100, 2301, 100)
    }
    assert [shown[end].text for end in (900, 1200, 1600, 1700, 2000)] == [
        "w16", "w16", "w16 w20 w25", "w16 w20 w24", "w16 w20 w24",
    ]  # fmt: skip
    assert [shown[end].stable for end in (1400, 1600, 2000)] == ["w16", "w16 w20", "w16 w20 w24"]


@pytest.mark.parametrize("config", BOTH)
@pytest.mark.parametrize(
    ("said", "understood"),
    [([15], ""), ([15, 23, 31], ""), ([15, 16, 23], "w15 w16 w23"), ([15, 23, 31, 39], "w15 w23 w31 w39")],
)
def test_three_words_of_which_it_is_unsure_are_nothing(
    config: StreamConfig, said: list[int], understood: str
) -> None:
    """Said with a certainty of 0.3 each, w16 with 1, so that the second three have one of 0.45."""
    audio = np.concatenate([pause(0.3), voice(said, 0.4), pause(0.5)])
    transcriber = Transcriber(recognizer(), replace(config, min_confidence=0.35))
    assert transcriber.final(AudioSpan(audio)).text == understood


def keeps_what_was_stable(stable: str, final: str) -> None:
    """`final` begins with the words of `stable`; letters or a comma may have come behind a word since.

    A suffix is said up to 0.4 s after its word and heard a frame later: that may be after the stability
    delay.
    """
    shown, written = stable.split(), final.split()
    assert len(shown) <= len(written)
    for word, whole in zip(shown, written, strict=False):
        assert re.fullmatch(rf"{re.escape(word)}(x\d+)?,?", whole)


@pytest.mark.parametrize("config", BOTH)
@given(seed=st.integers(0, 2**32), longest_s=st.sampled_from([0.05, 0.4, 3, 30]))
@example(seed=24, longest_s=0.05)  # "w461" is stable 0.01 s before "x892" is heard
@settings(max_examples=8, deadline=None)
def test_any_chunking_gives_the_words_that_were_said(
    config: StreamConfig, seed: int, longest_s: float
) -> None:
    tokens, audio = speech(random.Random(seed).choice([3, 30]), seed)
    transcriber = Transcriber(recognizer(), config)
    partials = follow(transcriber, chunked(audio, random.Random(seed), longest_s))
    never_retracts(partials)
    final = transcriber.final(end_of(audio))
    assert final.text == text(tokens)
    keeps_what_was_stable(partials[-1].stable, final.text)


@pytest.mark.parametrize("config", BOTH)
def test_in_ten_minutes_no_word_is_lost_or_doubled(config: StreamConfig) -> None:
    tokens, audio = speech(600)
    transcriber = Transcriber(recognizer(), config)
    partials = follow(transcriber, chunked(audio, random.Random(1)))
    never_retracts(partials)
    assert transcriber.final(end_of(audio)).text == text(tokens)
    assert partials[-1].text == text(tokens).rstrip(",")


@pytest.mark.parametrize("config", BOTH)
def test_long_silences_lose_no_word(config: StreamConfig) -> None:
    """A piece ends in each of them, however short it is, and the silence is not read again and again."""
    tokens, audio = speech(120, seed=3, pauses=(2.5, 6.0))
    transcriber = Transcriber(recognizer(), config)
    partials = follow(transcriber, chunked(audio, random.Random(1), 0.3))
    never_retracts(partials)
    assert transcriber.final(end_of(audio)).text == text(tokens)
    assert partials[-1].text == text(tokens).rstrip(",")
    transcriber.partial(AudioSpan(pause(60.0), len(audio)))
    assert transcriber._segment.seconds < 5


@pytest.mark.parametrize("config", BOTH)
def test_what_was_shown_as_stable_stays_behind_a_boundary_even_if_it_was_misheard(
    config: StreamConfig,
) -> None:
    """With no stability delay many words are wrong; the final text knows better."""
    tokens, audio = speech(20, seed=14)
    hasty = replace(
        config, stability_delay_ms=0, segment=SegmentConfig(shortest_s=2, longest_s=20, stability_delay_s=1.5)
    )
    transcriber = Transcriber(recognizer(), hasty)
    partials = follow(transcriber, chunked(audio, random.Random(1), 0.06))
    never_retracts(partials)
    assert partials[-1].text != text(tokens)
    assert transcriber.final(end_of(audio)).text == text(tokens)


@pytest.mark.parametrize("config", BOTH)
def test_who_never_pauses_is_cut_all_the_same(config: StreamConfig) -> None:
    rng = random.Random(2)
    tokens = [rng.choice(WORDS) for _ in range(400)]
    audio = np.concatenate([voice(tokens, 0.25), pause(0.5)])
    models = recognizer()
    transcriber = Transcriber(models, config)
    partials = follow(transcriber, chunked(audio, rng))
    never_retracts(partials)
    assert transcriber.final(end_of(audio)).text == text(tokens)
    assert isinstance(models.full, Full)
    assert all(len(heard) < 21 * RATE for heard in models.full.heard)


def held_bytes(transcriber: Transcriber) -> int:
    """All that the transcriber keeps, without the words, and what its models keep of it."""
    state = copy.copy(transcriber.__dict__)
    for name in ("_models", "_ended", "_rescored"):
        del state[name]
    segment = copy.copy(state.pop("_segment"))
    del segment.__dict__["_models"]
    return len(pickle.dumps([state, segment.__dict__]))


@pytest.mark.parametrize("config", BOTH)
def test_what_is_kept_and_done_does_not_grow_in_half_an_hour(config: StreamConfig) -> None:
    tokens, audio = speech(1800, seed=3)
    models = recognizer()
    transcriber = Transcriber(models, config)
    kept, rows = [], []
    for span in chunked(audio, random.Random(4), 3):
        transcriber.partial(span)
        kept.append(held_bytes(transcriber))
        rows.append(models.decoder.rows)
    assert transcriber.final(end_of(audio)).text == text(tokens)
    assert max(kept) < 22 * RATE * 4 * 1.5
    work = np.diff(rows)
    third = len(work) // 3
    assert work[-third:].mean() < 1.2 * work[:third].mean()


@pytest.mark.parametrize("config", BOTH)
def test_times_are_those_of_the_utterance_behind_a_boundary_too(config: StreamConfig) -> None:
    rng = random.Random(5)
    audio, ends_s = [pause(0.5)], []
    for number in range(40):
        audio += [voice([10 + number], rng.uniform(0.2, 0.5)), pause(rng.choice([0, 0.5]))]
        ends_s.append((sum(map(len, audio[:-1])) / RATE) - 0.01)
    whole = np.concatenate(audio)
    transcriber = Transcriber(recognizer(), config)
    follow(transcriber, chunked(whole, rng))
    words = transcriber.final(end_of(whole)).words
    assert [word.text for word in words] == [f"w{10 + number}" for number in range(40)]
    for word, end_s in zip(words, ends_s, strict=True):
        assert word.end_s == pytest.approx(end_s, abs=0.05)
        assert word.start_s <= word.end_s
        assert word.stable


@pytest.mark.parametrize("config", BOTH)
@given(data=st.data())
@settings(max_examples=15, deadline=None)
def test_audio_that_is_handed_over_twice_is_heard_once(config: StreamConfig, data: st.DataObject) -> None:
    tokens, audio = speech(14, seed=6)
    transcriber = Transcriber(recognizer(), config)
    end, partials = 0, []
    while end < len(audio):
        start = data.draw(st.integers(0, end))
        end = min(len(audio), end + data.draw(st.integers(0, 4 * RATE)) + RATE // 10)
        partials.append(transcriber.partial(AudioSpan(audio[start:end], start)))
    never_retracts(partials)
    assert transcriber.final(AudioSpan(audio)).text == text(tokens)
    assert transcriber.final(AudioSpan(audio)).text == text(tokens)


@pytest.mark.parametrize("config", BOTH)
@pytest.mark.parametrize("lost_s", [0.2, 0.9, 100.0])
def test_lost_audio_costs_its_words_and_no_others(config: StreamConfig, lost_s: float) -> None:
    """What is lost is silence, of a second at most: the words after it are late by no more than that."""
    audio = np.concatenate([pause(0.2), voice([10, 11], 0.4), pause(0.3)])
    after = np.concatenate([pause(0.3), voice([12, 13], 0.4), pause(0.2)])
    start = len(audio) + round(lost_s * RATE)
    transcriber = Transcriber(recognizer(), config)
    transcriber.partial(AudioSpan(audio))
    for heard in (0.82, 0.9):
        middle = transcriber.partial(AudioSpan(after[: round(heard * RATE)], start))
        assert middle.text == "w10 w11 w12"
    assert middle.stable == "w10 w11"  # the third was read twice, but ended just now
    final = transcriber.final(AudioSpan(after, start))
    assert final.text == "w10 w11 w12 w13"
    assert final.words[2].end_s == pytest.approx(1.3 + min(lost_s, 1) + 0.69, abs=0.05)


@pytest.mark.parametrize("config", BOTH)
def test_a_turn_may_go_on_after_its_final_text(config: StreamConfig) -> None:
    tokens, audio = speech(40, seed=7)
    transcriber = Transcriber(recognizer(), config)
    partials = []
    for index, span in enumerate(chunked(audio, random.Random(8), 2)):
        partials.append(transcriber.partial(span))
        if index % 3 == 0:
            final = transcriber.final(end_of(audio[: span.end_sample]))
            assert final.text.startswith(partials[-1].stable)
    never_retracts(partials)
    assert transcriber.final(end_of(audio)).text == text(tokens)


@pytest.mark.parametrize("config", BOTH)
def test_the_last_word_is_heard_to_its_end(config: StreamConfig) -> None:
    """For that the final reading has silence behind it: 96 ms are misheard."""
    audio = voice([10, 20], 0.4)
    assert Transcriber(recognizer(), config).final(AudioSpan(audio)).text == "w10 w20"
    assert Transcriber(recognizer(), replace(config, tail_ms=0)).final(AudioSpan(audio)).text == "w10 w21"


def test_the_final_reading_verifies_what_the_stream_has_read() -> None:
    audio = np.concatenate([voice([10, 20, 30], 0.4), pause(0.3)])
    models = recognizer()
    transcriber = Transcriber(models)
    follow(transcriber, chunked(audio, random.Random(0)))
    before = models.decoder.passes
    final = transcriber.final(end_of(audio))
    assert (final.tokens, final.accepted) == ((10, 20, 30), 3)
    assert models.decoder.passes == before + 2


@pytest.mark.parametrize(("said", "passes"), [([10, 20, 30], 2), ([10, 20, 30, 40], 1)])
def test_where_partials_have_read_enough_the_second_pass_alone_reads_it_again(
    said: list[int], passes: int
) -> None:
    """More than three words in more than a second: no guard asks the first pass."""
    audio = np.concatenate([voice(said, 0.4), pause(0.3)])
    models = recognizer()
    transcriber = Transcriber(models)
    follow(transcriber, chunked(audio, random.Random(0)))
    before = models.decoder.passes
    final = transcriber.final(end_of(audio))
    assert (final.text, final.accepted) == (text(said), len(said))
    assert models.decoder.passes == before + passes
    assert transcriber.final(end_of(audio)).text == final.text


@pytest.mark.parametrize("config", BOTH)
def test_another_utterance_starts_from_nothing(config: StreamConfig) -> None:
    transcriber = Transcriber(recognizer(), config)
    tokens, audio = speech(25, seed=9)
    follow(transcriber, chunked(audio, random.Random(0)))
    assert transcriber.final(end_of(audio)).text == text(tokens)
    second = np.concatenate([voice([10, 20], 0.4), pause(0.3)])
    transcriber.begin(1_000_000)
    early = transcriber.partial(AudioSpan(np.concatenate([audio, second[:4000]]), 1_000_000 - len(audio)))
    assert early.text == ""
    final = transcriber.final(AudioSpan(second, 1_000_000))
    assert final.text == "w10 w20"
    assert final.words[0].end_s == pytest.approx(0.39, abs=0.05)


@pytest.mark.parametrize("config", BOTH)
@pytest.mark.parametrize("samples", [0, 1, 80, 383, 384, 3000])
def test_next_to_nothing_is_read_as_nothing(config: StreamConfig, samples: int) -> None:
    transcriber = Transcriber(recognizer(), config)
    for _ in range(3):
        assert transcriber.partial(AudioSpan(pause(samples / RATE))).text == ""
    assert transcriber.partial(AudioSpan(pause(0), samples)).words == ()
    final = transcriber.final(AudioSpan(pause(samples / RATE)))
    assert (final.text, final.words) == ("", ())


@pytest.mark.parametrize("config", BOTH)
def test_chunks_of_no_samples_change_nothing(config: StreamConfig) -> None:
    tokens, audio = speech(12, seed=10)
    transcriber = Transcriber(recognizer(), config)
    for span in chunked(audio, random.Random(0)):
        shown = transcriber.partial(span)
        again = transcriber.partial(AudioSpan(audio[:0], span.end_sample))
        assert again.text == shown.text
    assert transcriber.final(end_of(audio)).text == text(tokens)


Calls = list[Partial | Hypothesis]


def calls(transcriber: Transcriber, audio: Array, seed: int) -> Iterator[Partial | Hypothesis]:
    """One call at a time: partials, now and then a final text on the way, then another utterance."""
    rng = random.Random(seed)
    for span in chunked(audio, rng, 2):
        yield transcriber.partial(span)
        if rng.random() < 0.2:
            yield transcriber.final(end_of(audio[: span.end_sample]))
    yield transcriber.final(end_of(audio))
    transcriber.begin()
    yield transcriber.final(AudioSpan(audio[: 3 * RATE]))


@pytest.mark.parametrize("config", BOTH)
@given(seed=st.integers(0, 2**32))
@settings(max_examples=5, deadline=None)
def test_transcribers_of_one_recognizer_do_not_hear_each_other(config: StreamConfig, seed: int) -> None:
    """Three sessions whose calls come in any order get what each gets alone."""
    models, rng = recognizer(), random.Random(seed)
    audios = [speech(seconds, seed + seconds)[1] for seconds in (4, 12, 25)]
    sessions = [calls(Transcriber(models, config), audio, n) for n, audio in enumerate(audios)]
    together: list[Calls] = [[] for _ in audios]
    open_ = list(range(len(audios)))
    while open_:
        chosen = rng.choice(open_)
        if (result := next(sessions[chosen], None)) is None:
            open_.remove(chosen)
        else:
            together[chosen].append(result)
    for n, (audio, results) in enumerate(zip(audios, together, strict=True)):
        assert results == list(calls(Transcriber(recognizer(), config), audio, n))


class Hallucinating(Full):
    """Reads a word where nobody speaks, as full attention does."""

    def encode(self, audio: Array) -> Array:
        hidden = super().encode(audio)
        if not hidden.any():
            hidden[0] = WORDS[0]
        return hidden


def test_no_word_is_made_of_silence() -> None:
    models = recognizer()
    hallucinating = Recognizer(models.stream, Hallucinating(), models.decoder, models.vocabulary)
    transcriber = Transcriber(hallucinating)
    assert transcriber.final(AudioSpan(pause(2))).text == ""
    transcriber.begin()
    tokens, audio = speech(9, seed=11)
    audio = np.concatenate([audio, pause(60)])
    follow(transcriber, chunked(audio, random.Random(0)))
    assert transcriber.final(end_of(audio)).text == text(tokens)


@pytest.mark.parametrize("config", BOTH)
@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_a_sample_that_is_no_number_harms_no_other(config: StreamConfig, bad: float) -> None:
    """The encoder only sees numbers; else its state would be lost until the next boundary."""
    models = recognizer()
    heard: list[Array] = []

    class Watched(type(models.stream)):  # type: ignore[misc]
        def push(self, state: object, audio: Array) -> Array:
            heard.append(audio)
            return np.asarray(super().push(state, audio))

    transcriber = Transcriber(Recognizer(Watched(), models.full, models.decoder, models.vocabulary), config)
    audio = np.concatenate([voice([10, 20], 0.4), pause(0.3)])
    audio[1000] = bad
    transcriber.partial(AudioSpan(audio))
    transcriber.final(end_of(audio))
    assert all(np.isfinite(piece).all() and np.abs(piece).max(initial=0) <= 1 for piece in heard)
    assert np.isfinite(np.concatenate([heard[0], *models.full.heard])).all()
    assert np.isnan(audio[1000]) or np.isinf(audio[1000])  # the caller's audio stays as it was


@pytest.mark.parametrize(
    "wrong",
    [{"partial_ms": 0}, {"pre_roll_ms": -1}, {"tail_ms": -1}, {"stability_delay_ms": -1}, {"max_turn_s": 0}],
)
def test_impossible_settings_are_refused(wrong: dict[str, int]) -> None:
    with pytest.raises(ValueError, match=next(iter(wrong))):
        StreamConfig(**wrong)


def test_boundaries_are_where_the_settings_want_them() -> None:
    """Words that are cut off sooner are still the same words."""
    tokens, audio = speech(20, seed=12)
    config = StreamConfig(segment=SegmentConfig(shortest_s=2, longest_s=4, stability_delay_s=0.5))
    models = recognizer()
    transcriber = Transcriber(models, config)
    follow(transcriber, chunked(audio, random.Random(0), 0.3))
    assert transcriber.final(end_of(audio)).text == text(tokens)
    assert len(models.full.heard) >= 5
    assert max(map(len, models.full.heard)) <= 4.6 * RATE
