"""Files from outside, good and bad; the resampler on tones; frames; files that appear whole or not at all."""

import os
import struct
import wave
from pathlib import Path

import numpy as np
import pytest
import soundfile

from assistant.audio import AudioError, Resampler, frames, read_audio, write_wav

RATE = 16000


def tone(seconds: float = 0.25, rate: int = RATE, hz: float = 440.0) -> np.ndarray:
    return (0.5 * np.sin(2 * np.pi * hz * np.arange(int(seconds * rate)) / rate)).astype(np.float32)


def refusal(path: Path, **options: float) -> str:
    """The reason read_audio gives, after checking that it is one line that names the file."""
    with pytest.raises(AudioError) as caught:
        read_audio(path, **options)
    message = str(caught.value)
    assert message == f"{path}: {caught.value.reason}"
    assert "\n" not in message
    return caught.value.reason


def encoded(tmp_path: Path, container: str, subtype: str) -> bytes:
    path = tmp_path / "whole"
    noise = 0.1 * np.random.default_rng(1).standard_normal(12000)
    soundfile.write(path, noise, 24000, format=container, subtype=subtype)
    return path.read_bytes()


@pytest.mark.parametrize(
    ("suffix", "subtype", "tolerance"),
    [
        ("wav", "PCM_U8", 2**-7),
        ("wav", "PCM_16", 2**-15),
        ("wav", "PCM_24", 2**-23),
        ("wav", "PCM_32", 2**-23),
        ("wav", "FLOAT", 0),
        ("wav", "DOUBLE", 0),
        ("wav", "ULAW", 0.02),
        ("flac", "PCM_16", 2**-15),
        ("flac", "PCM_24", 2**-23),
        ("ogg", "VORBIS", 0.03),
    ],
)
def test_every_sample_format_gives_the_same_mono_float32(
    tmp_path: Path, suffix: str, subtype: str, tolerance: float
) -> None:
    path = tmp_path / f"a.{suffix}"
    soundfile.write(path, tone(), RATE, subtype=subtype)
    audio, rate = read_audio(path)
    assert audio.dtype == np.float32
    assert (audio.shape, rate) == ((4000,), RATE)
    np.testing.assert_allclose(audio, tone(), atol=tolerance)


def test_a_wav_written_by_pythons_own_module_is_read(tmp_path: Path) -> None:
    with wave.open(str(tmp_path / "a.wav"), "wb") as file:
        file.setnchannels(2)
        file.setsampwidth(1)
        file.setframerate(8000)
        file.writeframes(bytes([128, 0, 192, 64, 255, 255]))  # left, right; silence is 128
    audio, rate = read_audio(tmp_path / "a.wav")
    assert rate == 8000
    np.testing.assert_allclose(audio, [-0.5, 0.0, 127 / 128])


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf, 1e30])
def test_the_first_sample_that_is_no_number_is_named(tmp_path: Path, value: float) -> None:
    stereo = np.zeros((100_000, 2), np.float32)
    stereo[80_000, 1] = value
    stereo[90_000] = np.nan
    soundfile.write(tmp_path / "a.wav", stereo, RATE, subtype="FLOAT")
    assert refusal(tmp_path / "a.wav") == f"sample 80000 (5.000 s) is {np.float32(value)}"


@pytest.mark.parametrize(
    ("container", "subtype"),
    [("WAV", "PCM_16"), ("WAV", "FLOAT"), ("WAVEX", "PCM_24"), ("FLAC", "PCM_16"), ("OGG", "VORBIS")],
)
def test_a_file_cut_anywhere_is_refused(tmp_path: Path, container: str, subtype: str) -> None:
    whole = encoded(tmp_path, container, subtype)
    path = tmp_path / "cut"
    path.write_bytes(whole)
    assert len(read_audio(path)[0]) == 12000
    # A WAV that ends earlier than it says by less than its header is one that counts the header.
    last = len(whole) - (101 if container.startswith("WAV") else 1)
    cuts = {*range(0, 120), *np.linspace(120, last, 40, dtype=int).tolist(), last - 1}
    for cut in sorted(cuts):
        path.write_bytes(whole[:cut])
        refusal(path)


def test_a_truncated_wav_says_how_much_is_missing(tmp_path: Path) -> None:
    path = tmp_path / "cut.wav"
    path.write_bytes(encoded(tmp_path, "WAV", "PCM_16")[:-1001])
    assert refusal(path) == "is truncated: its header promises 1001 bytes more than it has"


def test_chunks_before_and_after_the_samples_are_skipped(tmp_path: Path) -> None:
    content = encoded(tmp_path, "WAV", "PCM_16")
    at = content.index(b"data")
    extra = b"LIST" + struct.pack("<I", 5) + b"hello\0"  # an odd chunk is padded by one byte
    (tmp_path / "a.wav").write_bytes(content[:at] + extra + content[at:] + extra)
    assert len(read_audio(tmp_path / "a.wav")[0]) == 12000


@pytest.mark.parametrize("name", ["notes.wav", "notes.raw"])
def test_what_is_not_audio_is_refused(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    path.write_bytes(b"")
    assert refusal(path) == "is empty (0 bytes)"
    path.write_bytes(b"Dear diary, " * 1000)
    assert refusal(path) == "is not a WAV, FLAC, Ogg, MP3, AIFF, AU or CAF file"
    path.write_bytes(b"fLaC\0\0\0\x22" + bytes(range(256)) * 100)
    assert refusal(path).startswith("damaged, truncated or not audio")
    path.write_bytes(b"RIFF\xff\xff\xff\x7fWAVE" + bytes(1000))
    assert refusal(path).startswith("damaged, truncated or not audio")
    path.write_bytes(b"fLaC" + bytes(range(256)) * 100)
    assert refusal(path).startswith("is not a ")


def test_a_header_without_samples_is_refused(tmp_path: Path) -> None:
    soundfile.write(tmp_path / "a.wav", np.zeros(0), RATE)
    assert refusal(tmp_path / "a.wav") == "holds no audio (0 samples)"


def test_paths_that_are_no_readable_file_are_refused(tmp_path: Path) -> None:
    assert refusal(tmp_path / "gone.wav") == "No such file or directory"
    assert refusal(tmp_path) == "is a folder"
    os.mkfifo(tmp_path / "pipe.wav")
    assert refusal(tmp_path / "pipe.wav") == "is not a regular file"


@pytest.mark.skipif(os.geteuid() == 0, reason="nothing is forbidden to root")
def test_a_file_without_permission_is_refused(tmp_path: Path) -> None:
    write_wav(tmp_path / "a.wav", tone(), RATE)
    (tmp_path / "a.wav").chmod(0)
    assert refusal(tmp_path / "a.wav") == "Permission denied"


@pytest.mark.parametrize(("rate", "accepted"), [(3999, False), (4000, True), (192000, True), (192001, False)])
def test_sample_rates_outside_the_limits_are_refused(tmp_path: Path, rate: int, accepted: bool) -> None:
    path = tmp_path / "a.wav"
    soundfile.write(path, tone(), rate)
    if accepted:
        assert read_audio(path)[1] == rate
    else:
        assert refusal(path) == f"has a sample rate of {rate} Hz, outside 4000..192000"


def test_a_file_longer_than_the_limit_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.wav"
    soundfile.write(path, np.zeros(2 * RATE + 1), RATE)
    assert refusal(path, max_seconds=2) == "is 2 s long, more than the limit of 2 s"
    assert len(read_audio(path, max_seconds=2.001)[0]) == 2 * RATE + 1


@pytest.mark.parametrize("source", [8000, 11025, 24000, 44100, 48000])
@pytest.mark.parametrize("hz", [150, 997, 3000])
def test_a_resampled_tone_is_the_same_tone(source: int, hz: float) -> None:
    resampler = Resampler(source)
    parts = [resampler.push(part) for part in frames(tone(1.0, source, hz), source)]
    audio = np.concatenate([*parts, resampler.flush()])
    assert audio.dtype == np.float32
    assert abs(len(audio) - RATE) <= 1
    angle = 2 * np.pi * hz * np.arange(800, RATE - 800) / RATE  # without the ends, where the tone is cut
    waves = np.stack([np.sin(angle), np.cos(angle)], axis=1)
    (sine, cosine), *_ = np.linalg.lstsq(waves, audio[800 : RATE - 800])
    np.testing.assert_allclose(audio[800 : RATE - 800], waves @ [sine, cosine], atol=1e-4)
    assert abs(np.hypot(sine, cosine) - 0.5) < 1e-3
    assert abs(np.arctan2(cosine, sine)) / (2 * np.pi * hz) < 0.00015  # seconds by which it is moved


def test_resampling_removes_what_the_lower_rate_cannot_carry() -> None:
    resampler = Resampler(24000)
    heard = resampler.push(tone(1.0, 24000, hz=10000))  # folded back it would be heard at 6 kHz
    assert np.abs(heard[800:]).max() < 1e-4


def test_resampled_audio_comes_while_it_is_still_being_spoken() -> None:
    """What the user would wait for: at most 15 ms of the audio pushed so far is still held back."""
    for source in (24000, 44100, 48000):
        resampler, given, received = Resampler(source), 0, 0
        for part in frames(tone(1.0, source), source):
            given += len(part)
            received += len(resampler.push(part))
            assert given / source - received / RATE < 0.015


def test_how_the_stream_is_cut_does_not_change_it() -> None:
    audio = np.random.default_rng(0).standard_normal(9000).astype(np.float32)
    whole, parts = Resampler(44100, 24000), Resampler(44100, 24000)
    once = np.concatenate([whole.push(audio), whole.flush()])
    cut = np.split(audio, [1, 2, 700, 700, 5000])
    np.testing.assert_array_equal(once, np.concatenate([*(parts.push(part) for part in cut), parts.flush()]))


def test_equal_rates_pass_audio_through() -> None:
    resampler = Resampler(RATE, RATE)
    np.testing.assert_array_equal(resampler.push(tone()), tone())
    assert len(resampler.flush()) == 0


def test_frames_are_20_ms_and_the_last_may_be_shorter() -> None:
    assert [len(frame) for frame in frames(np.zeros(700, np.float32), RATE)] == [320, 320, 60]
    assert list(frames(np.zeros(0, np.float32), RATE)) == []
    audio = np.arange(11025, dtype=np.float32)
    cut = list(frames(audio, 11025))
    assert len(cut) == 50  # one second: 220.5 samples each
    assert cut[25][0] == 11025 / 2 // 1
    np.testing.assert_array_equal(np.concatenate(cut), audio)
    with pytest.raises(ValueError, match="0 ms"):
        next(frames(audio, RATE, 0))


def test_written_wav_is_read_by_pythons_own_module(tmp_path: Path) -> None:
    path = tmp_path / "a.wav"
    audio = np.array([0, 0.5, -0.5, 1, -1, 2.5, -9, 1 / 32768], np.float32)
    write_wav(path, audio, 24000)
    with wave.open(str(path), "rb") as file:
        assert (file.getnchannels(), file.getsampwidth(), file.getframerate()) == (1, 2, 24000)
        pcm = np.frombuffer(file.readframes(100), "<i2")
    assert pcm.tolist() == [0, 16384, -16384, 32767, -32768, 32767, -32768, 1]


def test_writing_a_flac_and_reading_it_back_changes_nothing(tmp_path: Path) -> None:
    pcm = np.random.default_rng(2).integers(-32768, 32768, 5000)
    write_wav(tmp_path / "a.flac", (pcm / 32768).astype(np.float32), RATE)
    audio, rate = read_audio(tmp_path / "a.flac")
    assert rate == RATE
    np.testing.assert_array_equal(audio * 32768, pcm)


def test_a_failed_write_leaves_what_was_there_and_nothing_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "reply.wav"
    write_wav(path, tone(), RATE)
    before = path.read_bytes()

    def disk_full(self: Path, content: bytes) -> int:
        with self.open("wb") as file:
            file.write(content[: len(content) // 2])
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "write_bytes", disk_full)
    with pytest.raises(AudioError, match=r"reply\.wav: cannot be written \(No space left on device\)"):
        write_wav(path, tone(1.0), RATE)
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]


def test_what_cannot_be_written_is_refused(tmp_path: Path) -> None:
    (tmp_path / "folder.wav").mkdir()
    (tmp_path / "file").write_bytes(b"")
    cases = {
        "a.mp3": (tone(), RATE, "name it .wav or .flac"),
        "missing/a.wav": (tone(), RATE, "No such file or directory"),
        "file/a.wav": (tone(), RATE, "Not a directory"),
        "folder.wav": (tone(), RATE, "Is a directory"),
        "nan.wav": (np.array([0, np.nan], np.float32), RATE, "sample 1 is not a number"),
        "rate.flac": (tone(), 10_000_000, "cannot be written"),
    }
    for name, (audio, rate, reason) in cases.items():
        with pytest.raises(AudioError) as caught:
            write_wav(tmp_path / name, audio, rate)
        assert str(caught.value).startswith(f"{tmp_path / name}: cannot be written")
        assert reason in str(caught.value)
    assert sorted(each.name for each in tmp_path.iterdir()) == ["file", "folder.wav"]
