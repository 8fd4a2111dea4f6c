"""Audio on the wire: streams in and out, and what of it is refused."""

import base64
import re
import struct
from itertools import pairwise, product

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from numpy.typing import NDArray

from assistant.server.formats import FORMATS, PCM, PCMA, PCMU, AudioFormat, Incoming, Outgoing, decode_base64
from assistant.server.wire import WireError

VOICE_RATE = 24000

every_format = pytest.mark.parametrize("audio_format", FORMATS.values(), ids=FORMATS)
telephone = pytest.mark.parametrize("audio_format", [PCMU, PCMA], ids=["pcmu", "pcma"])
cuts = st.lists(st.integers(0, 2000), max_size=8).map(sorted)


def tone(hz: float, rate: int, seconds: float = 0.5) -> NDArray[np.float32]:
    return (0.5 * np.sin(2 * np.pi * hz * np.arange(round(seconds * rate)) / rate)).astype(np.float32)


def level_db(audio: NDArray[np.float32], hz: float, rate: int) -> float:
    """The level of a tone in the middle of `audio`, against that of `tone`."""
    middle = audio[len(audio) // 8 : -len(audio) // 8]
    middle = middle[: len(middle) // (rate // 100) * (rate // 100)]  # whole periods of any multiple of 100 Hz
    wave = np.exp(-2j * np.pi * hz * np.arange(len(middle)) / rate)
    return float(20 * np.log10(2 * np.abs(np.mean(middle * wave)) / 0.5 + 1e-12))


def rms_db(audio: NDArray[np.float32]) -> float:
    middle = audio[len(audio) // 8 : -len(audio) // 8].astype(np.float64)
    return float(10 * np.log10(np.mean(middle**2) / 0.125 + 1e-12))


def received(audio_format: AudioFormat, *parts: bytes) -> NDArray[np.float32]:
    incoming = Incoming(audio_format)
    return np.concatenate([*(incoming.push(part) for part in parts), incoming.flush()])


def sent(audio_format: AudioFormat, *parts: NDArray[np.float32], rate: int = VOICE_RATE) -> bytes:
    outgoing = Outgoing(audio_format, rate)
    return b"".join([*(outgoing.push(part) for part in parts), outgoing.flush()])


def test_formats_are_those_of_the_protocol() -> None:
    assert {name: (f.rate, f.sample_bytes) for name, f in FORMATS.items()} == {
        "audio/pcm": (24000, 2),
        "audio/pcmu": (8000, 1),
        "audio/pcma": (8000, 1),
    }


def test_bytes_are_counted_as_samples_and_milliseconds() -> None:
    assert [PCM.samples(size) for size in (0, 1, 2, 959, 960)] == [0, 0, 1, 479, 480]
    assert [PCM.ms(size) for size in (0, 47, 48, 960, 48_000)] == [0, 0, 1, 20, 1000]
    assert [PCMU.ms(size) for size in (7, 8, 160, 8000)] == [0, 1, 20, 1000]
    assert [PCM.size(20), PCMA.size(20)] == [960, 160]


@every_format
@given(data=st.binary(max_size=4000), cut=cuts)
def test_how_incoming_bytes_are_cut_does_not_change_the_audio(
    audio_format: AudioFormat, data: bytes, cut: list[int]
) -> None:
    size = audio_format.sample_bytes
    data = data[: len(data) // size * size]
    edges = [0, *(min(at * size, len(data)) for at in cut), len(data)]
    pieces = received(audio_format, *(data[start:end] for start, end in pairwise(edges)))
    whole = received(audio_format, data)
    np.testing.assert_array_equal(whole, pieces)
    assert whole.dtype == np.float32
    assert abs(len(whole) - audio_format.samples(len(data)) * 16000 / audio_format.rate) <= 1


@every_format
@given(samples=st.lists(st.floats(width=32) | st.floats(-1, 1, width=32), max_size=400), cut=cuts)
@example(samples=[float("nan"), float("inf"), -float("inf"), 3e38, -3e38] * 40, cut=[1, 2, 3, 50])
def test_how_speech_is_cut_does_not_change_the_bytes(
    audio_format: AudioFormat, samples: list[float], cut: list[int]
) -> None:
    audio = np.repeat(np.array(samples, np.float32), 5)
    whole = sent(audio_format, audio)
    assert whole == sent(audio_format, *np.split(audio, [min(at, len(audio)) for at in cut]))
    assert len(whole) % audio_format.sample_bytes == 0
    assert abs(audio_format.samples(len(whole)) - len(audio) * audio_format.rate / VOICE_RATE) <= 1


@given(st.lists(st.integers(-32768, 32767)))
def test_pcm_of_the_voice_is_exact(samples: list[int]) -> None:
    audio = np.array(samples, np.float32) / 32768
    assert sent(PCM, audio) == struct.pack(f"<{len(samples)}h", *samples)


def test_every_part_has_whole_samples() -> None:
    """A client decodes each by itself, and PCM waits for nothing."""
    outgoing = Outgoing(PCM, VOICE_RATE)
    assert [len(outgoing.push(np.zeros(n, np.float32))) for n in (1, 0, 7, 480)] == [2, 0, 14, 960]
    assert outgoing.flush() == b""


def test_half_a_sample_is_refused_and_the_stream_goes_on() -> None:
    incoming, data = Incoming(PCM), PCM.encode(tone(440, 24000))
    heard = [incoming.push(data[:960])]
    with pytest.raises(ValueError, match="959 bytes"):
        incoming.push(data[:959])
    heard += [incoming.push(data[960:]), incoming.flush()]
    np.testing.assert_array_equal(np.concatenate(heard), received(PCM, data))


@every_format
@pytest.mark.parametrize("hz", [300, 1000, 3000])
def test_a_tone_comes_in_as_loud_as_it_is(audio_format: AudioFormat, hz: float) -> None:
    heard = received(audio_format, audio_format.encode(tone(hz, audio_format.rate)))
    assert abs(level_db(heard, hz, 16000)) < 0.1
    assert abs(rms_db(heard)) < 0.1  # and nothing else with it, such as its image at 8000 - hz


@every_format
@pytest.mark.parametrize("hz", [300, 1000, 3000])
def test_a_tone_goes_out_as_loud_as_it_is(audio_format: AudioFormat, hz: float) -> None:
    heard = audio_format.decode(sent(audio_format, tone(hz, VOICE_RATE)))
    assert abs(level_db(heard, hz, audio_format.rate)) < 0.1
    assert abs(rms_db(heard)) < 0.1


@telephone
@pytest.mark.parametrize("hz", [4400, 5000, 7000, 11000])
def test_what_a_telephone_cannot_carry_is_removed(audio_format: AudioFormat, hz: float) -> None:
    """Left in, 5 kHz would be heard at 3 kHz."""
    assert rms_db(audio_format.decode(sent(audio_format, tone(hz, VOICE_RATE)))) < -40
    naive = audio_format.decode(audio_format.encode(tone(hz, VOICE_RATE)[::3]))
    assert rms_db(naive) > -1


@every_format
def test_nan_is_silence_and_the_rest_is_heard(audio_format: AudioFormat) -> None:
    audio = tone(1000, VOICE_RATE)
    bad = audio.copy()
    bad[100:110] = np.nan
    heard, expected = (audio_format.decode(sent(audio_format, a)) for a in (bad, np.nan_to_num(bad)))
    np.testing.assert_array_equal(heard, expected)
    assert abs(level_db(heard, 1000, audio_format.rate)) < 0.1


@every_format
def test_what_is_too_loud_is_clipped_and_does_not_wrap_around(audio_format: AudioFormat) -> None:
    loud = np.repeat(np.array([0, 100, -100, np.inf, -np.inf], np.float32), 600)
    heard = audio_format.decode(sent(audio_format, loud))
    for place, sign in ((1, 1), (2, -1), (3, 1), (4, -1)):
        length = len(heard) // 5
        middle = heard[place * length + length // 4 : (place + 1) * length - length // 4]
        assert (sign * middle > 0.9).all()


@every_format
def test_a_flushed_stream_begins_anew(audio_format: AudioFormat) -> None:
    first, second = tone(440, VOICE_RATE, 0.1), tone(700, VOICE_RATE, 0.1)
    outgoing, incoming = Outgoing(audio_format, VOICE_RATE), Incoming(audio_format)
    for audio in (first, second):
        data = outgoing.push(audio) + outgoing.flush()
        assert data == sent(audio_format, audio)
        heard = np.concatenate([incoming.push(data), incoming.flush()])
        np.testing.assert_array_equal(heard, received(audio_format, data))
    assert outgoing.flush() == b"" and len(incoming.flush()) == 0


@pytest.mark.parametrize(("audio_format", "most_ms"), [(PCM, 15), (PCMU, 35), (PCMA, 35)])
def test_audio_comes_while_it_is_still_being_spoken(audio_format: AudioFormat, most_ms: int) -> None:
    """What the user waits for: how much of the audio so far is still held back."""
    incoming, part = Incoming(audio_format), bytes(audio_format.size(20))
    given_ms, heard_ms = 0, 0.0
    for _ in range(50):
        given_ms += 20
        heard_ms += len(incoming.push(part)) / 16
        assert given_ms - heard_ms < most_ms


@given(st.binary(min_size=1))
def test_base64_is_decoded(data: bytes) -> None:
    assert decode_base64(base64.b64encode(data).decode(), PCMU) == data


def refusal(text: str, audio_format: AudioFormat = PCMU) -> WireError:
    with pytest.raises(WireError) as caught:
        decode_base64(text, audio_format, "event_1")
    return caught.value


@pytest.mark.parametrize(
    "text",
    ["", "AAA", "AAAA=", "AA A", "AAAA\n", " AAAA", "AA-_", "ÀÀÀÀ", "\ud800AAA", "data:audio/pcm;base64,AAAA",
     "AAAA" * 1000 + "!"],
)  # fmt: skip
def test_what_is_no_base64_is_refused(text: str) -> None:
    error = refusal(text)
    assert (error.code, error.param, error.event_id) == ("invalid_value", "audio", "event_1")
    assert len(error.message) < 60


def test_base64_is_that_of_rfc_4648() -> None:
    for length in range(1, 10):
        for letters in product("A=", repeat=length):
            text = "".join(letters)
            if re.fullmatch("(?:AAAA)*(?:AAAA|AAA=|AA==)", text):
                assert decode_base64(text, PCMU) == bytes(text.count("A") * 6 // 8)
            else:
                assert refusal(text).message == "'audio' is not base64"


def test_audio_has_at_least_one_sample_and_whole_ones() -> None:
    assert refusal("").message == "'audio' is empty"
    assert decode_base64("AAA=", PCM) == b"\0\0" and decode_base64("AA==", PCMA) == b"\0"
    error = refusal("AAAA", PCM)
    assert error.message == "'audio' has 3 bytes, no whole number of audio/pcm samples"
    assert (error.code, error.param, error.event_id) == ("invalid_value", "audio", "event_1")
