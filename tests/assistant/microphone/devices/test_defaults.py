"""Which devices are the system's default ones now, asked of another process."""

import asyncio
import io
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from fake_port import MICROPHONE, SPEAKER, FakePort

from assistant.microphone.devices.defaults import Defaults, another_process, answer, follow_defaults, found

SOUNDDEVICE = """
import os
class PortAudioError(Exception): pass
def _initialize():
    global name
    with open(os.environ["DEFAULT"]) as file:
        name = file.read()
def _terminate(): pass
_initialize()
def query_hostapis():
    return [{"name": "Core Audio"}]
def query_devices(kind=None):
    device = dict(index=0, name=name, hostapi=0, max_input_channels=1, max_output_channels=2,
                  default_samplerate=48000.0)
    return device if kind else [device]
"""


def test_the_default_devices_are_found_and_one_that_is_missing_is_none() -> None:
    assert found((MICROPHONE, SPEAKER)) == Defaults("Mic, ALSA", "Speaker, ALSA")
    assert found((SPEAKER,)) == Defaults(None, "Speaker, ALSA")
    second = replace(MICROPHONE, name="Second")
    assert found((replace(MICROPHONE, default_input=False), second)).input == "Second, ALSA"


def test_every_question_is_answered_by_looking_again(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "stdin", io.StringIO("\n\n"))
    port = FakePort()
    answer(port)
    assert port.refreshes == 2
    assert capsys.readouterr().out == '{"input": "Mic, ALSA", "output": "Speaker, ALSA"}\n' * 2


def test_linux_has_sound_servers_for_it() -> None:
    assert follow_defaults("linux") is None
    assert follow_defaults("darwin") is follow_defaults("win32") is another_process


def test_another_process_sees_what_ours_would_not_and_ends_with_us(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "sounddevice.py").write_text(SOUNDDEVICE)
    default = tmp_path / "default"
    default.write_text("Built-in")
    monkeypatch.setenv("DEFAULT", str(default))
    root = Path(__file__).parents[3]
    monkeypatch.setenv("PYTHONPATH", f"{tmp_path}:{root}")

    async def main() -> None:
        async with another_process() as ask:
            assert await ask() == Defaults("Built-in, Core Audio", "Built-in, Core Audio")
            default.write_text("Headset")
            assert await ask() == Defaults("Headset, Core Audio", "Headset, Core Audio")

    asyncio.run(main())


def test_a_process_that_cannot_look_answers_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "sounddevice.py").write_text("raise OSError('PortAudio library not found')")
    monkeypatch.setenv("PYTHONPATH", f"{tmp_path}:{Path(__file__).parents[3]}")

    async def main() -> None:
        async with another_process() as ask:
            assert await ask() is None
            assert await ask() is None

    asyncio.run(main())
