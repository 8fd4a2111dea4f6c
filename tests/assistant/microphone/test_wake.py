"""The gate of a wake word: what a session is given of recordings in which every sample is known."""

from collections.abc import Callable

import numpy as np
import pytest
from scripted_wake_word import PER_MS, ScriptedWakeWord

from assistant.microphone.devices.port import Audio
from assistant.microphone.wake import WakeGate
from assistant.session.ring import Frame

MS = 1_000_000
FRAME_MS = 20


def noise(ms: int) -> Audio:
    """Loud everywhere: no sample is 0."""
    random = np.random.default_rng(0)
    return (random.choice([-1, 1], ms * PER_MS) * random.uniform(0.1, 0.2, ms * PER_MS)).astype(np.float32)


class Given:
    """What comes out of a gate, and after how many milliseconds of recording each frame came."""

    def __init__(
        self,
        gate: WakeGate,
        audio: Audio,
        meanwhile: Callable[[int], None] = lambda _: None,
        frame_ms: int = FRAME_MS,
    ) -> None:
        self.frames: list[Frame] = []
        self.came_ms: list[int] = []
        size = frame_ms * PER_MS
        for end in range(size, len(audio) + 1, size):
            block = audio[end - size : end]
            meanwhile(end // PER_MS)
            for frame in gate.push(Frame(block, end // PER_MS * MS, block / 2)):
                self.frames.append(frame)
                self.came_ms.append(end // PER_MS)
        self.audio = np.concatenate([frame.audio for frame in self.frames])
        self.detect = np.concatenate([frame.detect for frame in self.frames if frame.detect is not None])


def test_asleep_it_gives_silence_with_the_numbers_and_times_of_what_was_recorded() -> None:
    word = ScriptedWakeWord([])
    audio = noise(3000)
    given = Given(WakeGate(word, 5), audio)
    assert not given.audio.any() and not given.detect.any()
    ends = np.cumsum([len(frame.audio) for frame in given.frames]) / PER_MS
    assert ends.tolist() == [frame.end_ns / MS for frame in given.frames]
    late = np.array(given.came_ms) - ends
    assert late.max() == 300 and len(given.audio) == 2700 * PER_MS
    assert (np.concatenate(word.heard) == audio).all()


@pytest.mark.parametrize("frame_ms", [10, 20, 32])
def test_the_turn_begins_in_the_quietest_moment_near_the_end_of_the_phrase(frame_ms: int) -> None:
    audio = noise(2400)
    audio[1000 * PER_MS : 1060 * PER_MS] *= 0.01
    gate = WakeGate(ScriptedWakeWord([1120]), 5)
    given = Given(gate, audio, frame_ms=frame_ms)
    (heard,) = np.nonzero(given.audio)
    assert 1000 <= heard[0] / PER_MS <= 1060
    assert (given.audio[heard[0] :] == audio[heard[0] : len(given.audio)]).all()
    assert (given.detect == given.audio / 2).all()
    assert len(given.audio) == len(audio) // (frame_ms * PER_MS) * frame_ms * PER_MS  # nothing is held back
    assert not gate.asleep and gate.phrase == ""


def test_the_end_of_the_phrase_may_be_behind_its_detection() -> None:
    audio = noise(2000)
    audio[1200 * PER_MS : 1240 * PER_MS] = 0.0001
    given = Given(WakeGate(ScriptedWakeWord([1000], -100, 400), 5), audio)
    (heard,) = np.nonzero(given.audio)
    assert 1200 <= heard[0] / PER_MS <= 1240 and (given.audio[heard[0] :] == audio[heard[0] :]).all()


def test_a_quieter_moment_farther_away_is_not_the_end_of_the_phrase() -> None:
    audio = noise(2000)
    audio[600 * PER_MS : 800 * PER_MS] = 0.0001  # before the phrase
    audio[1300 * PER_MS : 1400 * PER_MS] = 0.0001  # in the sentence behind it
    audio[950 * PER_MS : 1000 * PER_MS] *= 0.1
    given = Given(WakeGate(ScriptedWakeWord([1100]), 5), audio)
    (heard,) = np.nonzero(given.audio)
    assert 950 <= heard[0] / PER_MS <= 1000


def test_a_phrase_in_the_very_first_frame_wakes_as_well() -> None:
    audio = noise(1000)
    given = Given(WakeGate(ScriptedWakeWord([FRAME_MS]), 5), audio)
    (heard,) = np.nonzero(given.audio)
    assert heard[0] < FRAME_MS * PER_MS + 100 * PER_MS and len(given.audio) == len(audio)


def test_it_falls_asleep_when_nothing_was_going_on_for_its_time() -> None:
    word = ScriptedWakeWord([1000])
    gate = WakeGate(word, 2)
    audio = noise(9000)

    def turn(now_ms: int) -> None:
        gate.busy = 2500 < now_ms <= 5000

    given = Given(gate, audio, turn)
    (heard,) = np.nonzero(given.audio)
    assert heard[-1] + 1 == 7000 * PER_MS  # 2 s after 5 s
    assert (given.audio[2000 * PER_MS : 7000 * PER_MS] == audio[2000 * PER_MS : 7000 * PER_MS]).all()
    assert gate.asleep and gate.phrase == "hello there" and word.resets == 1


def test_without_a_turn_it_falls_asleep_after_its_time_and_wakes_again() -> None:
    word = ScriptedWakeWord([1000, 5000])
    gate = WakeGate(word, 2)

    def skip(_: int) -> None:
        word.skipped += 0 if gate.asleep else FRAME_MS * PER_MS

    audio = noise(6000)
    given = Given(gate, audio, skip)
    awake = np.flatnonzero(given.audio) // PER_MS
    gaps = np.flatnonzero(np.diff(awake) > 1)
    assert len(gaps) == 1
    assert awake[gaps[0]] == pytest.approx(1000 + 100 + 2000, abs=FRAME_MS)
    assert awake[gaps[0] + 1] == pytest.approx(4950, abs=170)  # the quietest moment anywhere in its window
    assert word.resets == 1


def test_a_voice_that_had_begun_when_it_fell_asleep_is_heard_whole() -> None:
    gate = WakeGate(ScriptedWakeWord([1000]), 2)

    def begun(now_ms: int) -> None:
        gate.busy = now_ms >= 3200  # 100 ms after it has fallen asleep

    audio = noise(4000)
    given = Given(gate, audio, begun)
    (heard,) = np.nonzero(given.audio)
    assert (given.audio[heard[0] :] == audio[heard[0] :]).all() and len(given.audio) == len(audio)
