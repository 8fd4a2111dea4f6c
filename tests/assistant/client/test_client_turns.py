"""What is told of a turn: words that were heard, times, parts; and which time a millisecond sent has."""

import base64

import numpy as np
import pytest

from assistant.client.state import Over, Reply
from assistant.client.turns import parts, spoken, turn
from assistant.client.uplink import Uplink
from assistant.session.parts import PARTS

WORDS = "one two three four"  # 18 characters


@pytest.mark.parametrize(
    ("heard_ms", "audio_ms", "complete", "expected"),
    [
        (0, 1800, True, ""),
        (200, 1800, True, ""),
        (300, 1800, True, "one"),  # its 3 characters
        (400, 1800, True, "one"),
        (1200, 1800, True, "one two"),
        (1300, 1800, True, "one two three"),
        (1799, 1800, True, "one two three"),
        (1800, 1800, True, WORDS),
        (400, 600, False, "one"),  # so long a text takes more than 600 ms: 65 for each character
        (0, 0, False, ""),
    ],
)
def test_words_are_heard_in_proportion(
    heard_ms: float, audio_ms: float, complete: bool, expected: str
) -> None:
    reply = Reply("r", 0, text=WORDS, audio_ms=audio_ms, complete=complete)
    assert spoken(reply, heard_ms) == expected


def test_what_the_server_says_was_heard_counts() -> None:
    cut = Reply("r", 0, text=WORDS, audio_ms=1800, complete=True, interrupted=True, heard_ms=500)
    assert turn("t", Over(cut, "Count.", 900), None, None).heard == "one"
    told = Reply(
        "r", 0, text=WORDS, audio_ms=1800, complete=True, interrupted=True, heard_ms=500, heard="one two"
    )
    assert turn("t", Over(told, "Count.", 900), None, None).heard == "one two"


def test_parts_that_the_server_states_add_up_to_what_was_measured_here() -> None:
    stated = {f"{name}_ms": "10.0" for name in PARTS}
    found = parts(stated, 300.0)
    assert [part.name for part in found] == list(PARTS)
    assert [part.ms for part in found] == [*[10.0] * (len(PARTS) - 1), 300 - 10.0 * (len(PARTS) - 1)]
    assert parts({}, 300.0) == () == parts({**stated, "endpoint.wait_ms": "?"}, 300.0)


def test_a_millisecond_sent_has_the_time_at_which_it_was_recorded() -> None:
    uplink = Uplink()
    assert uplink.push(np.zeros(0, np.float32), 0) == () and uplink.recorded_ns(0) is None
    uplink.push(np.zeros(320, np.float32), 1_020_000_000)
    uplink.push(np.zeros(640, np.float32), 5_040_000_000)  # a pause was between them
    assert uplink.sent_ms == 60
    assert [uplink.recorded_ns(ms) for ms in (0, 15, 20, 21, 60)] == [
        1_000_000_000,
        1_015_000_000,
        1_020_000_000,
        5_001_000_000,
        5_040_000_000,
    ]
    assert uplink.recorded_ns(61) is None


def test_all_audio_is_sent_at_24_khz() -> None:
    uplink, sent = Uplink(), b""
    for _ in range(50):
        for event in uplink.push(np.full(320, 0.5, np.float32), 0):
            assert event["type"] == "input_audio_buffer.append"
            sent += base64.b64decode(event["audio"])
    sent += b"".join(base64.b64decode(event["audio"]) for event in uplink.flush())
    samples = np.frombuffer(sent, "<i2")
    assert len(samples) == 24000 and samples[12000] == pytest.approx(16384, abs=2)
