"""`assistant doctor --loopback`, and that without it the doctor is the old one."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from ended import Command

from assistant.commands import loopback
from assistant.microphone.devices.streams import Wanted
from assistant.microphone.loopback.signals import programme, shaped_noise
from assistant.microphone.loopback.take import Take
from tts.errors import TtsError

RATE = 16000
SOUND = programme(shaped_noise(8, RATE), RATE)
Recorded = Callable[[float], list[Wanted]]


@pytest.fixture
def recorded(monkeypatch: pytest.MonkeyPatch) -> Recorded:
    """The echo comes back at a level; gives what was wanted."""

    def set_gain(gain: float) -> list[Wanted]:
        wanted: list[Wanted] = []

        async def record(wants: Wanted, _sound: object, _rate: int, _thread: object) -> Take:
            wanted.append(wants)
            played = np.concatenate([SOUND, np.zeros(RATE, np.float32)])
            echo = gain * np.concatenate([np.zeros(800), played])
            noise = 1e-4 * np.random.default_rng(0).standard_normal(len(echo))
            return Take(played, RATE, 0.0, (echo + noise).astype(np.float32), RATE, 0.0)

        monkeypatch.setattr(loopback, "_record", record)
        return wanted

    return set_gain


def test_a_good_way_exits_0(assistant: Command, recorded: Recorded, tmp_path: Path) -> None:
    config = tmp_path / "talk.toml"
    config.write_text('[microphone]\ninput = "USB"\noutput = "HDMI"\nlatency_ms = 80\n')
    wanted = recorded(0.3)
    ended = assistant("doctor", "--loopback", "--output", "speaker", "--config", config)
    assert ended.code == 0, ended
    assert wanted == [Wanted("USB", "speaker", 0.08)]
    assert "50 ms" in " ".join(ended.out.split()) and "-10.5 dB against what is played" in " ".join(
        ended.out.split()
    )


def test_what_is_to_be_changed_has_a_line_and_exits_1(assistant: Command, recorded: Recorded) -> None:
    recorded(0.0)
    ended = assistant("doctor", "--loopback")
    assert ended.code == 1
    assert ended.out.splitlines()[-1].startswith("loudspeaker: with headphones all is well; else turn it up")


def test_noise_is_played_in_place_of_a_voice_that_cannot_be_loaded(
    assistant: Command, recorded: Recorded, monkeypatch: pytest.MonkeyPatch
) -> None:
    def missing(*_: object) -> None:
        raise TtsError(Path("voice.onnx"), "cannot be read")

    recorded(0.3)
    monkeypatch.setattr(loopback, "load_speaker", missing)
    ended = assistant("doctor", "--loopback")
    assert ended.code == 0
    assert "cannot be read: noise is played in place of the voice" in ended.out


@pytest.mark.parametrize("words", [("--input", "USB"), ("--seconds", "10"), ("--config", "a.toml")])
def test_options_of_the_loopback_need_it(assistant: Command, words: tuple[str, ...]) -> None:
    ended = assistant("doctor", *words)
    assert ended.code == 2 and "belong to --loopback" in ended.err


def test_without_it_the_doctor_checks_the_machine(
    assistant: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    called: list[str] = []
    monkeypatch.setattr("assistant.doctor.doctor.doctor", lambda: called.append("machine"))
    monkeypatch.setattr(loopback, "run_loopback", lambda *_: called.append("loopback"))
    assert assistant("doctor").code == 0
    assert called == ["machine"]
