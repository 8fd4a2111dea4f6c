"""Clips from a file or a folder: what the index says comes through, and every mistake in it is named."""

import json
from pathlib import Path

import numpy as np
import pytest
import soundfile

from assistant.audio import AudioError, Clip, ClipError, find_clips, read_clip

TRACES = Path(__file__).parents[3] / "traces"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    soundfile.write(tmp_path / "a.wav", np.zeros(8000), 16000)
    return tmp_path


def write_index(folder: Path, content: object) -> None:
    (folder / "index.json").write_text(content if isinstance(content, str) else json.dumps(content))


def refusal(path: Path) -> str:
    with pytest.raises(ClipError) as caught:
        find_clips(path)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_an_index_gives_each_clip_its_text_and_labels(folder: Path) -> None:
    entry = {
        "file": "a.wav",
        "text": "Hello there.",
        "voice": "unknown keys are allowed",
        "speech_start_sample": 100,
        "speech_end_sample": 7000,
        "pauses": [[1000, 2000], [3000, 4000]],
        "pause_kinds": ["list", "filler"],
        "over_reply_ms": 300,
        "sample_rate": 16000,
    }
    write_index(folder, [entry, {"file": "a.wav"}])
    labelled, bare = find_clips(folder)
    pauses = ((1000, 2000), (3000, 4000))
    kinds = ("list", "filler")
    assert labelled == Clip(folder / "a.wav", "Hello there.", 100, 7000, 16000, pauses, kinds, 300)
    assert labelled.name == "a.wav"
    assert bare == Clip(folder / "a.wav", None, None, None, None, ())


@pytest.mark.parametrize("name", ["a.wav", "a.FLAC", "a.opus", "a"])
def test_a_single_file_is_a_clip_without_labels(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_bytes(b"find_clips reads no audio")
    assert find_clips(tmp_path / name) == [Clip(tmp_path / name)]


def test_paths_without_clips_are_refused(folder: Path) -> None:
    assert refusal(folder / "gone") == f"{folder / 'gone'}: no such file or folder"
    assert refusal(folder) == f"{folder}: the folder has no index.json"
    assert refusal(folder / ("x" * 300)).endswith("File name too long")


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        ("", "not JSON: Expecting value: line 1 column 1 (char 0)"),
        ('[{"file": "a.wav"},', "not JSON: "),
        ("[" * 100_000, "not JSON: "),
        ("9" * 5000, "not JSON: "),
        ({"file": "a.wav"}, "expected a list of clips, found an object"),
        ([], "expected a list of clips, found an empty list"),
        (None, "expected a list of clips, found null"),
    ],
)
def test_a_malformed_index_is_refused(folder: Path, content: object, reason: str) -> None:
    write_index(folder, content)
    assert refusal(folder).startswith(f"{folder / 'index.json'}: {reason}")


def test_an_index_that_is_not_text_is_refused(folder: Path) -> None:
    (folder / "index.json").write_bytes(b"\xff\xfa\x00")
    assert "index.json: not JSON: 'utf-8' codec" in refusal(folder)


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"file": None}, '"file" should be a string, found null'),
        ({"file": 3}, '"file" should be a string, found a number'),
        ({"file": ""}, "\"file\" is '', which does not exist"),
        ({"file": "b.wav"}, "\"file\" is 'b.wav', which does not exist"),
        ({"file": "b\n\0.wav"}, "\"file\" is 'b\\n\\x00.wav', which does not exist"),
        ({"file": "../a.wav"}, "\"file\" is '../a.wav', which is outside the folder"),
        ({"file": "sub/../../a.wav"}, "\"file\" is 'sub/../../a.wav', which is outside the folder"),
        ({"file": "/a.wav"}, "\"file\" is '/a.wav', which is outside the folder"),
        ({"text": ["Hello."]}, '"text" should be a string, found a list'),
        ({"sample_rate": "16000"}, '"sample_rate" should be a whole number, found a string'),
        ({"sample_rate": 0}, '"sample_rate" is 0, outside 4000..192000 Hz'),
        (
            {"speech_start_sample": True},
            '"speech_start_sample" should be a whole number, found true or false',
        ),
        ({"speech_end_sample": 1.5}, '"speech_end_sample" should be a whole number, found a fraction'),
        ({"speech_start_sample": -1}, '"speech_start_sample" is -1, below 0'),
        ({"pauses": {}}, '"pauses" should be a list of [start, end] in samples'),
        ({"pauses": [[1, 2, 3]]}, '"pauses" should be a list of [start, end] in samples'),
        ({"pauses": [[1, "2"]]}, '"pauses" should be a list of [start, end] in samples'),
        ({"pause_kinds": "list"}, '"pause_kinds" should be a list of strings'),
        ({"pause_kinds": [7]}, '"pause_kinds" should be a list of strings'),
        ({"pauses": [[5, 8]], "pause_kinds": ["a", "b"]}, "a word for each of 1 pauses"),
        ({"over_reply_ms": -1}, '"over_reply_ms" is -1, below 0'),
        ({"pauses": [7]}, '"pauses" should be a list of [start, end] in samples'),
        ({"speech_start_sample": 9, "speech_end_sample": 9}, "out of order: [9, 9]"),
        ({"pauses": [[-2, 5]]}, "out of order: [-2, 5]"),
        ({"pauses": [[5, 4]]}, "out of order: [5, 4]"),
        ({"pauses": [[5, 8], [7, 9]]}, "out of order: [5, 8, 7, 9]"),
        ({"speech_start_sample": 6, "pauses": [[5, 8]]}, "out of order: [6, 5, 8]"),
        ({"pauses": [[5, 8]], "speech_end_sample": 7}, "out of order: [5, 8, 7]"),
    ],
)
def test_a_mistake_is_named_by_entry_and_key(folder: Path, change: dict[str, object], reason: str) -> None:
    write_index(folder, [{"file": "a.wav"}, {"file": "a.wav", **change}])
    message = refusal(folder)
    assert message.startswith(f"{folder / 'index.json'}: entry 1: ")
    assert message.endswith(reason)


def test_entries_that_are_no_objects_or_have_no_file_are_refused(folder: Path) -> None:
    write_index(folder, ["a.wav"])
    assert refusal(folder).endswith("entry 0: expected an object, found a string")
    write_index(folder, [{"text": "Hello."}])
    assert refusal(folder).endswith('entry 0: the key "file" is missing')


def test_labels_that_do_not_fit_the_audio_are_refused(folder: Path) -> None:
    path = folder / "a.wav"
    audio, rate = read_clip(Clip(path, speech_end_sample=8000, sample_rate=16000))
    assert (len(audio), rate) == (8000, 16000)
    with pytest.raises(AudioError, match=r"a\.wav: has 16000 Hz where index\.json says 24000"):
        read_clip(Clip(path, sample_rate=24000))
    with pytest.raises(AudioError, match=r"a\.wav: ends at sample 8000, before its label 8001"):
        read_clip(Clip(path, speech_end_sample=8001))


def test_the_recorded_traces_are_varied_and_their_labels_fit() -> None:
    clips = find_clips(TRACES)
    assert len(clips) >= 8
    assert any(clip.pauses for clip in clips)
    assert any(not clip.pauses for clip in clips)
    assert any(clip.reference == "Stop." for clip in clips)
    for clip in clips:
        audio, rate = read_clip(clip)
        start, end = clip.speech_start_sample, clip.speech_end_sample
        assert start is not None
        assert end is not None
        spoken, after = audio[start:end], audio[end + rate :]
        assert len(after) >= 1.9 * rate  # about three seconds of silence from the label on
        assert np.sqrt(np.mean(spoken**2)) > 4 * np.sqrt(np.mean(after**2))
