"""Our own requests: what the file says, and what is spoken of it."""

import json
from pathlib import Path

import numpy as np
import pytest
import soundfile

from assistant.config import Config
from assistant.endpointing.clips import parts_of
from assistant.endpointing.corpus import REQUESTS, Request, read_requests, write_corpus
from assistant.endpointing.hear import Hearing
from assistant.endpointing.points import turn_of

SPOKEN = [
    Request("list", ("Buy eggs", "flour", "and a lemon.")),
    Request("two_sentences", ("I have a headache.", "Can I take two aspirins?")),
    Request("none", ("Turn off the fan.",)),
]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("corpus")
    write_corpus(folder, SPOKEN, 1)
    return folder


def test_every_line_has_a_kind_and_parts() -> None:
    requests = read_requests(REQUESTS.read_text(encoding="utf-8"))
    assert Request("filler", ("Um", "what day is it today?")) in requests
    assert Request("none", ("Pause.",)) in requests
    for request in requests:
        assert (request.kind == "none") == (len(request.parts) == 1), request
        assert all(request.parts), request


def test_the_index_says_what_was_spoken(folder: Path) -> None:
    entries = json.loads((folder / "index.json").read_text(encoding="utf-8"))
    assert [entry["text"] for entry in entries] == [
        "Buy eggs, flour, and a lemon.",
        "I have a headache. Can I take two aspirins?",
        "Turn off the fan.",
    ]
    assert [entry["pause_kinds"] for entry in entries] == [["list"] * 2, ["two_sentences"], []]
    for entry in entries:
        for start, end in entry["pauses"]:
            assert 0.25 <= (end - start) / entry["sample_rate"] <= 1.4
    assert {part: len(clips) for part, clips in parts_of([folder]).items()} == {
        "fit": 3,
        "choose": 0,
        "report": 0,
    }


def test_pauses_hold_noise_alone(folder: Path) -> None:
    for entry in json.loads((folder / "index.json").read_text(encoding="utf-8")):
        audio, _ = soundfile.read(folder / entry["file"])
        start, end = entry["speech_start_sample"], entry["speech_end_sample"]
        pauses = entry["pauses"]
        silent = [audio[:start], *(audio[pause:resumed] for pause, resumed in pauses), audio[end:]]
        edges = [start, *(edge for pause in pauses for edge in pause), end]
        voiced = [audio[edges[i] : edges[i + 1]] for i in range(0, len(edges), 2)]
        assert max(float(np.std(part)) for part in silent) * 4 < min(float(np.std(part)) for part in voiced)


def test_a_seed_gives_the_same_audio_again(folder: Path, tmp_path: Path) -> None:
    write_corpus(tmp_path, SPOKEN[:1], 1)
    assert (tmp_path / "000.flac").read_bytes() == (folder / "000.flac").read_bytes()


@pytest.mark.models
def test_a_session_finds_the_pauses_and_the_end(folder: Path) -> None:
    turn = turn_of(parts_of([folder])["fit"][0], Hearing(Config()))
    assert [point.kind for point in turn.points if point.lasts_ms > 200] == ["list", "list", "no pause"]
    assert turn.points[-1].is_end
    assert abs(turn.points[-1].silence.voice_end - turn.end_sample) < 3200, "0.2 s"
    *_, marks_before, marks_at_end = (point.silence.features[0] for point in turn.points)
    assert marks_before < marks_at_end, "a closing mark is likelier at the end"
