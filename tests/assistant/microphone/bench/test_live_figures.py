"""A recording made by hand: what is found in it can be read off the places of its tones."""

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pytest
import soundfile
from numpy.typing import NDArray

from asr.eval.score import WordErrors
from assistant.audio import Clip
from assistant.microphone.bench.live_figures import paired, stretches, transcripts, turns
from assistant.microphone.bench.live_room import Recorded, Said

RATE = 16_000
SECONDS = 16.0

# Said at 1.0 to 2.0 s in silence, at 8.0 to 9.0 s over the reply, and at 13.0 to 13.5 s in silence.
CLIPS = (
    ("What is the capital of France?", 1.0, 2.0),
    ("And of Spain?", 8.0, 9.0),
    ("Thank you.", 13.0, 13.5),
)
# The first reply has a pause of 0.2 s between words, and a gap of 0.6 s; the third never comes.
TONES = ((2.5, 4.0), (4.2, 5.0), (5.6, 8.3), (9.75, 11.25))
STARTED_S = 100.0  # the room, by the machine's clock


@dataclass
class Understanding:
    """A recognizer that says what it is told to, once each."""

    texts: list[str]
    given_s: list[float] = field(default_factory=list)

    def transcribe(self, audio: NDArray[np.float32]) -> "Understood":
        self.given_s.append(len(audio) / RATE)
        return Understood(self.texts.pop(0))


@dataclass(frozen=True)
class Understood:
    text: str


def sounding(*tones: tuple[float, float]) -> NDArray[np.float32]:
    """Silence of -54 dBFS, and at `tones` 220 Hz that are loud from their first sample to their last."""
    audio = np.full(round(SECONDS * RATE), 0.002, np.float32)
    for start, end in tones:
        at = np.arange(round(start * RATE), round(end * RATE))
        audio[at] = 0.1 * np.cos(2 * np.pi * 220 * at / RATE)
        audio[[at[0], at[-1]]] = 0.1
    return audio


def write_lines(path: Path, lines: Sequence[dict[str, object]]) -> None:
    path.write_text("".join(json.dumps(line) + "\n" for line in lines), encoding="utf-8")


def monotonic_ns(room_s: float) -> int:
    return round((STARTED_S + room_s) * 1e9)


@pytest.fixture
def recorded(tmp_path: Path) -> Recorded:
    """The program stopped a reply at 8.2 s. The second event of a clip was noticed 50 ms late."""
    soundfile.write(tmp_path / "speaker.wav", sounding(*TONES), RATE)
    events: list[dict[str, object]] = [{"event": "room", "t": 0.0, "monotonic_ns": monotonic_ns(0.7)}]
    for (_, start, end), late in zip(CLIPS, (0, 0.05, 0), strict=True):
        times = {"t": start - 0.3, "monotonic_ns": monotonic_ns(start - 0.3 + late)}
        events += [{"event": "user_clip", "speech_start_s": start, "speech_end_s": end, **times}]
        events += [{"event": "user_clip_end", "t": end, "monotonic_ns": monotonic_ns(end)}]
    write_lines(tmp_path / "events.jsonl", events)
    # The first stop after the barge-in began is the third of them.
    log = [{"event": "stop", "monotonic_ns": monotonic_ns(at)} for at in (4.5, 7.9, 8.2, 10.0, 11.5)]
    write_lines(tmp_path / "log.jsonl", [{"event": "usage", "monotonic_ns": monotonic_ns(8.1)}, *log])
    understood = [{"transcript": words, "reply": "..."} for words, _, _ in CLIPS]
    (tmp_path / "talk.json").write_text(json.dumps({"turns": understood}), encoding="utf-8")
    return Recorded(tmp_path, tuple(Said(Clip(tmp_path / "clip.wav", words), "0") for words, _, _ in CLIPS))


def test_pauses_between_words_are_part_of_a_stretch_and_longer_ones_are_not() -> None:
    assert stretches(sounding(*TONES), RATE) == [(2.5, 5.0), (5.6, 8.3), (9.75, 11.25)]
    assert stretches(sounding((1, 2), (2.39, 3), (3.41, 4)), RATE) == [(1, 3), (3.41, 4)]
    assert stretches(sounding(), RATE) == []


def test_the_time_to_a_reply_its_length_and_its_gap(recorded: Recorded) -> None:
    first, second, third = turns(recorded, [])
    assert (first.said, first.start_s, first.end_s) == CLIPS[0]
    assert first.answered_ms == pytest.approx(500) and second.answered_ms == pytest.approx(750)
    assert first.reply_s == pytest.approx(8.3 - 2.5) and second.reply_s == pytest.approx(1.5)
    assert first.longest_gap_s == pytest.approx(0.6) and second.longest_gap_s == 0
    assert (third.answered_ms, third.reply_s, third.longest_gap_s) == (None, 0, 0)


def test_a_barge_in_is_decided_and_then_silent(recorded: Recorded) -> None:
    first, second, third = turns(recorded, [])
    assert second.over_reply
    assert second.decided_ms == pytest.approx(200) and second.silent_ms == pytest.approx(300)
    for quiet in (first, third):
        assert (quiet.over_reply, quiet.decided_ms, quiet.silent_ms) == (False, None, None)


def test_a_reply_that_ends_by_itself_was_not_decided_on(recorded: Recorded) -> None:
    write_lines(recorded.folder / "log.jsonl", [{"event": "stop", "monotonic_ns": monotonic_ns(11.5)}])
    stopped_later = turns(recorded, [])[1]
    (recorded.folder / "log.jsonl").unlink()
    without_a_log = turns(recorded, [])[1]
    for turn in (stopped_later, without_a_log):
        assert turn.decided_ms is None and turn.silent_ms == pytest.approx(300)


def test_the_last_four_words_of_a_reply_are_looked_for_at_the_end_of_what_was_heard(
    recorded: Recorded,
) -> None:
    """Heard are the first reply without its last word, and the second from its beginning on."""
    replies = ["It is Paris, a city on the river Seine.", "Madrid. It lies on a high plain in the middle."]
    recognizer = Understanding(["It is Paris, a city on the river", "Madrid, it lies"])
    first, second, third = turns(recorded, replies, recognizer)
    assert (first.last_words_heard, second.last_words_heard, third.last_words_heard) == (3, 0, 0)
    assert (first.heard, second.heard, third.heard) == (
        "It is Paris, a city on the river",
        "Madrid, it lies",
        "",
    )
    # Each reply whole, and 0.1 s behind it; the one that is not there is not listened to.
    assert recognizer.given_s == pytest.approx([5.8 + 0.1, 1.5 + 0.1]) and recognizer.texts == []


def test_transcripts_are_those_of_the_programs_report(recorded: Recorded) -> None:
    assert transcripts(recorded) == ["What is the capital of France?", "And of Spain?", "Thank you."]


FRANCE, STOP = "What is the capital of France?", "Stop talking, please."


@pytest.mark.parametrize("at", [0, 1, 2])
def test_a_transcript_that_no_clip_has_a_word_of_is_nobodys(at: int) -> None:
    """Two insertions of a neighbour's, or two words that nobody said: nobody said them."""
    understood = [FRANCE, STOP]
    understood.insert(at, "Thirty eggs.")
    assert paired([FRANCE, STOP], understood) == (
        [WordErrors(0, 0, 0, reference_words=6), WordErrors(0, 0, 0, reference_words=3)],
        ["Thirty eggs."],
    )


def test_both_turns_of_a_clip_that_was_cut_are_its_own() -> None:
    errors, nobodys = paired([FRANCE, STOP], ["What is the", "capitol of France?", STOP])
    assert errors == [WordErrors(1, 0, 0, reference_words=6), WordErrors(0, 0, 0, reference_words=3)]
    assert nobodys == []


def test_a_clip_without_a_transcript_lost_all_its_words() -> None:
    errors, nobodys = paired([FRANCE, STOP, "Thank you."], [FRANCE, "Thank you."])
    assert [each.deletions for each in errors] == [0, 3, 0] and nobodys == []
    assert paired([STOP], []) == ([WordErrors(0, 0, 3, reference_words=3)], [])


def test_a_clip_that_was_misunderstood_keeps_its_transcript() -> None:
    """One word of one wrong, and one too many: less than one lost and two of nobody's."""
    assert paired(["Twelve."], ["Well then."]) == ([WordErrors(1, 1, 0, reference_words=1)], [])
