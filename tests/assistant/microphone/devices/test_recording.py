"""Sample numbers of a microphone's stream stay time, whatever is lost. At 1 kHz a sample is 1 ms."""

import numpy as np
import pytest

from assistant.microphone.devices.port import BlockTime
from assistant.microphone.devices.recording import Recording
from assistant.microphone.devices.timeline import ClockOffset, Timeline

RATE, BLOCK = 1000, 10
EPOCH_S, LATENCY_S = 1e9, 0.013
MS = 1_000_000


class Device:
    """Gives blocks of counting samples; the one that ends at t ms comes 13 ms later."""

    def __init__(self, channels: int = 1) -> None:
        self.now_ns = 0
        self.wakes = 0
        self.first = 0
        self.channels = channels
        self.recording = Recording(RATE, self.wake, lambda: self.now_ns)

    def wake(self) -> None:
        self.wakes += 1

    def give(self, blocks: int = 1, *, lost: int = 0, late_ms: float = 0, epoch_s: float = EPOCH_S) -> None:
        """Some blocks; before the first so many samples are lost, and the device says so."""
        for number in range(blocks):
            flagged = lost > 0 and number == 0
            self.first += lost * flagged
            at_s = self.first / RATE
            now_s = at_s + BLOCK / RATE + LATENCY_S
            self.now_ns = round(now_s * 1e9 + late_ms * MS)
            audio = np.full((BLOCK, self.channels), -1, np.float32)
            audio[:, 0] = np.arange(self.first, self.first + BLOCK)
            self.recording.callback(audio, BlockTime(epoch_s + at_s, epoch_s + now_s, flagged))
            self.first += BLOCK

    def read(self) -> tuple[int, list[float]]:
        """Where what was recorded begins, and all of it."""
        pieces = list(self.recording.read())
        ends = [start + len(audio) for start, audio in pieces]
        assert [start for start, _ in pieces[1:]] == ends[:-1], "a hole"
        return pieces[0][0], np.concatenate([audio for _, audio in pieces]).tolist()


def test_what_was_recorded_comes_in_order_and_wakes_the_reader() -> None:
    device = Device()
    device.give(3)
    assert device.read() == (0, list(range(30))) and device.wakes == 3
    device.give()
    assert device.read() == (30, list(range(30, 40)))


def test_a_reader_is_woken_when_there_is_as_much_as_it_waits_for() -> None:
    device = Device()
    device.give(2)
    device.read()
    device.recording.wait_for(25)
    device.give(2)
    assert device.wakes == 2
    device.give()
    assert device.wakes == 3


def test_of_eight_channels_the_first_is_heard() -> None:
    device = Device(channels=8)
    device.give()
    assert device.read() == (0, list(range(10)))


def test_a_sample_was_recorded_when_the_converter_had_it() -> None:
    device = Device()
    device.give(20)
    device.read()
    assert device.recording.timeline.at_ns(200) == pytest.approx(200 * MS, abs=1000)


def test_a_callback_that_is_late_moves_no_sample() -> None:
    device = Device()
    device.give(100)
    device.give(1, late_ms=8)
    device.give(10)
    device.read()
    assert device.recording.timeline.at_ns(1110) == pytest.approx(1110 * MS, abs=1000)


def test_what_the_device_lost_is_silence_of_the_same_length() -> None:
    device = Device()
    device.give(50)
    device.give(2, lost=30)
    assert device.read() == (0, [*range(500), *[0] * 30, *range(530, 550)])
    assert (device.recording.overflows, device.recording.silenced) == (1, 30)
    assert device.recording.timeline.at_ns(550) == pytest.approx(550 * MS, abs=1000)


def test_what_nobody_fetched_for_two_seconds_is_silence() -> None:
    device = Device()
    device.give(250)  # of 10 ms; 200 are kept
    assert device.read() == (0, [*[0] * 500, *range(500, 2500)])
    assert device.recording.silenced == 500


def test_what_was_lost_before_anybody_listened_is_no_loss() -> None:
    device = Device()
    device.give(250)
    device.recording.skip()
    assert (device.recording.overflows, device.recording.silenced) == (0, 0)
    device.give(1)
    assert device.read() == (2500, [*range(2500, 2510)])


def test_a_device_that_states_no_times_is_taken_to_be_at_once() -> None:
    recording = Recording(RATE, lambda: None, lambda: 5_000 * MS)
    recording.callback(np.zeros((10, 1), np.float32), BlockTime(0.0, 0.0))
    assert [start for start, _ in recording.read()] == [0]
    assert recording.timeline.at_ns(0) == 5_000 * MS


def test_a_jump_of_the_streams_clock_is_noticed_and_a_small_step_is_followed() -> None:
    device = Device()
    device.give(100)
    device.give(250, epoch_s=EPOCH_S + 0.4)
    device.read()
    assert not device.recording.jumped
    assert device.recording.timeline.at_ns(device.first) == pytest.approx(device.first * MS, abs=1000)
    device.give(1, epoch_s=EPOCH_S + 3600)
    device.read()
    assert device.recording.jumped


def test_one_callback_that_is_seconds_late_is_no_jump_but_a_clock_that_was_set_back_is() -> None:
    """It waited for the interpreter while the models were loaded."""
    device = Device()
    device.give(50)
    device.give(1, late_ms=3000)
    device.give(50)
    device.read()
    assert not device.recording.jumped
    device.give(30, epoch_s=EPOCH_S - 3600)
    device.read()
    assert device.recording.jumped


def test_what_came_before_anybody_listened_is_skipped() -> None:
    device = Device()
    device.give(300)
    device.recording.skip()
    device.give()
    assert device.read() == (3000, list(range(3000, 3010)))


def test_a_line_is_not_moved_by_times_that_scatter() -> None:
    """A millisecond of scatter, and one time in ten 20 ms late, as on a busy machine."""
    random, line = np.random.default_rng(0), Timeline(48000)
    for block in range(200):
        late = 20 * MS if block % 10 == 0 else 0
        line.note(block * 480, round(block * 10 * MS + random.normal(0, MS) + late))
    assert line.at_ns(200 * 480) == pytest.approx(2000 * MS, abs=0.3 * MS)
    assert line.sample_at(line.at_ns(4321)) == pytest.approx(4321, abs=0.01)


def stated(line: Timeline, first: int, late_ms: list[float]) -> int:
    """Note a block of 10 ms at 48 kHz for each of these, so late; the number of the block behind them."""
    for block, late in enumerate(late_ms, first):
        line.note(block * 480, round((block * 10 + late) * MS))
    return first + len(late_ms)


def test_a_loudspeaker_that_ran_dry_has_moved_by_what_its_times_say_once_it_plays_again() -> None:
    """PulseAudio states the blocks that fill its buffer as 8 ms earlier than they will sound."""
    line = Timeline(48000)
    end = stated(line, 0, [-7.5] * 8 + [0.0] * 200)
    assert line.moved_ns == pytest.approx(7.5 * MS, abs=1)  # a stream that begins is no better
    before = line.at_ns(0)
    line.restart()
    end = stated(line, end, [140.0] * 8)
    assert line.at_ns(0) == pytest.approx(140 * MS, abs=1)
    assert line.moved_ns == pytest.approx(147.5 * MS, abs=1)
    stated(line, end, [147.5] * 30)
    assert line.at_ns(0) == pytest.approx(147.5 * MS, abs=1)
    assert line.moved_ns - 7.5 * MS == pytest.approx(line.at_ns(0) - before, abs=1)


def test_a_step_that_the_device_does_not_tell_is_noticed_in_a_tenth_of_a_second() -> None:
    line = Timeline(48000, steps=True)
    end = stated(line, 0, [0.0] * 300)
    stated(line, end, [8.0] * 11)
    assert (line.at_ns(0), line.moved_ns) == (8 * MS, 8 * MS)


def test_a_microphones_times_that_are_corrected_after_they_have_wandered_are_no_step() -> None:
    """As PulseAudio's: 2.5 ms a second away from the truth, and back at once."""
    line = Timeline(48000)
    stated(line, 0, [-0.025 * (block % 300) for block in range(20, 1200)])
    assert abs(line.moved_ns) < 1 * MS


@pytest.mark.parametrize(
    "late_ms",
    [
        [block * 0.025 for block in range(1000)],
        [30.0 * (block % 10 > 6) for block in range(1000)],  # three in ten are late
    ],
    ids=["wander", "bursts"],
)
def test_times_that_wander_and_blocks_that_are_late_are_no_steps(late_ms: list[float]) -> None:
    line = Timeline(48000, steps=True)
    stated(line, 0, late_ms)
    assert abs(line.moved_ns) < 1 * MS  # of wander, while it settles


def test_blocks_that_come_at_once_have_one_measurement() -> None:
    """As 600 ms of a microphone behind a stall, of which PulseAudio states most as 5 ms early."""
    line = Timeline(48000)
    for block in range(200):
        line.note(block * 480, block * 10 * MS, block * 10 * MS)
    for block in range(200, 260):
        line.note(block * 480, (block * 10 - 5) * MS, 2600 * MS + block * 10_000)
    assert (line.at_ns(0), line.moved_ns) == (0, 0)


def test_a_clock_that_was_set_back_by_less_than_a_second_is_followed_in_a_fifth_of_a_second() -> None:
    offset = ClockOffset()
    for block in range(100):
        offset.note(EPOCH_S + block / 100, block * 10 * MS)
    for block in range(100, 121):
        offset.note(EPOCH_S - 0.4 + block / 100, block * 10 * MS)
    assert offset.monotonic_ns(EPOCH_S - 0.4 + 1.21) == pytest.approx(1210 * MS, abs=1000)
    assert not offset.jumped


def test_the_offset_of_the_clocks_is_that_of_the_promptest_callback() -> None:
    offset = ClockOffset()
    for block in range(100):
        offset.note(EPOCH_S + block / 100, block * 10 * MS + (block * 7919 % 13) * MS)
    assert offset.monotonic_ns(EPOCH_S + 3) == pytest.approx(3000 * MS, abs=1000)
