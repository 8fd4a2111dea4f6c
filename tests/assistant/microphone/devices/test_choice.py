"""Choosing devices by name, and the one line that each thing wrong with them is."""

import sys
from pathlib import Path

import pytest
from ended import Command

from assistant.microphone.devices.choice import choose, problems, table
from assistant.microphone.devices.errors import (
    AmbiguousDevice,
    CannotOpen,
    DeviceBusy,
    DeviceError,
    NoDevice,
    OnlyZeros,
    PermissionDenied,
    PortAudioMissing,
    RateRefused,
    UnknownDevice,
    WrongDirection,
)
from assistant.microphone.devices.port import Device
from assistant.microphone.devices.portaudio import translated

BUILT_IN = Device(0, "Built-in Audio", "ALSA", 2, 2, 44100, default_input=True, default_output=True)
USB_MIC = Device(1, "USB Microphone: Blue", "ALSA", 1, 0, 48000)
USB_MIC_JACK = Device(2, "USB Microphone: Blue", "JACK", 1, 0, 48000)
USB_CAM = Device(3, "USB Camera", "ALSA", 8, 0, 16000)
SPEAKER = Device(4, "Monitor HDMI", "ALSA", 0, 8, 48000)
ALL = (BUILT_IN, USB_MIC, USB_MIC_JACK, USB_CAM, SPEAKER)


def test_without_a_name_it_is_the_systems_default() -> None:
    assert choose(ALL, "input", None) is BUILT_IN
    assert choose(ALL, "output", None) is BUILT_IN


def test_without_a_default_it_is_the_first_that_can() -> None:
    assert choose((SPEAKER, USB_CAM), "input", None) is USB_CAM


@pytest.mark.parametrize(
    ("name", "device"),
    [("blue", USB_MIC), ("camera", USB_CAM), ("usb blue jack", USB_MIC_JACK), ("Blue, JACK", USB_MIC_JACK)],
)
def test_a_part_of_the_name_in_any_case_and_order(name: str, device: Device) -> None:
    assert choose(ALL, "input", name) is device


def test_one_name_under_two_host_apis_is_that_of_the_defaults() -> None:
    assert choose((USB_MIC_JACK, USB_MIC, BUILT_IN), "input", "Blue") is USB_MIC


def test_a_whole_name_comes_before_those_that_contain_it() -> None:
    default = Device(7, "default", "ALSA", 2, 2, 48000)
    assert choose((Device(6, "sysdefault", "ALSA", 2, 2, 48000), default), "input", "default") is default


def test_a_name_that_fits_two_names_both() -> None:
    with pytest.raises(AmbiguousDevice) as caught:
        choose(ALL, "input", "usb")
    assert "USB Camera, ALSA" in str(caught.value) and "USB Microphone: Blue, ALSA" in str(caught.value)


@pytest.mark.parametrize("name", ["webcam", "3", ""])
def test_an_unknown_name_names_what_there_is_and_a_number_is_none(name: str) -> None:
    with pytest.raises(UnknownDevice) as caught:
        choose(ALL, "input", name)
    assert caught.value.candidates == (
        "Built-in Audio, ALSA",
        "USB Microphone: Blue, ALSA",
        "USB Microphone: Blue, JACK",
        "USB Camera, ALSA",
    )


def test_a_loudspeaker_is_no_microphone() -> None:
    with pytest.raises(WrongDirection, match="'HDMI' is a loudspeaker only"):
        choose(ALL, "input", "HDMI")
    with pytest.raises(WrongDirection, match="'camera' is a microphone only"):
        choose(ALL, "output", "camera")


def test_only_an_output_and_only_an_input() -> None:
    with pytest.raises(NoDevice, match="no microphone"):
        choose((SPEAKER,), "input", None)
    with pytest.raises(NoDevice, match="no loudspeaker"):
        choose((USB_CAM,), "output", "anything")
    assert [str(error).split(":")[0] for error in problems(())] == ["no microphone", "no loudspeaker"]
    assert problems(ALL) == []


@pytest.mark.parametrize("system", ["linux", "darwin", "win32"])
def test_everything_wrong_is_one_line_with_its_remedy(system: str) -> None:
    errors = [
        kind("what it is", system) for kind in (PortAudioMissing, DeviceBusy, PermissionDenied, OnlyZeros)
    ]
    for error in [*errors, NoDevice("input", system)]:
        assert error.remedy and str(error).endswith(f": {error.remedy}") and "\n" not in str(error)


def portaudio_error(text: str, code: int, host: str = "") -> Exception:
    return RuntimeError(text, code, (0, -1, host)) if host else RuntimeError(text, code)


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (portaudio_error("Device unavailable", -9985), DeviceBusy),
        (portaudio_error("Unanticipated host error", -9999, "Device or resource busy"), DeviceBusy),
        (portaudio_error("Unanticipated host error", -9999, "Permission denied"), PermissionDenied),
        (portaudio_error("Unanticipated host error", -9999, "Access is denied."), PermissionDenied),
        (portaudio_error("Illegal combination of I/O devices", -9993), DeviceBusy),
        (portaudio_error("Invalid sample rate", -9997), RateRefused),
        (portaudio_error("Internal PortAudio error", -9986), CannotOpen),
    ],
)
def test_portaudios_errors_are_told_as_what_they_mean(error: Exception, kind: type[DeviceError]) -> None:
    told = translated(error, USB_CAM)
    assert type(told) is kind and str(told).startswith("USB Camera ") and "\n" not in str(told)


def test_the_table_marks_defaults_and_says_what_a_device_has() -> None:
    assert table((BUILT_IN, SPEAKER)).splitlines() == [
        "Microphones (--input):",
        "  * Built-in Audio, ALSA  (44100 Hz, 2 channels)",
        "",
        "Loudspeakers (--output):",
        "  * Built-in Audio, ALSA  (44100 Hz, 2 channels)",
        "    Monitor HDMI, ALSA  (48000 Hz, 8 channels)",
    ]
    assert table((SPEAKER,)).splitlines()[:2] == ["Microphones (--input):", "    none"]


@pytest.mark.parametrize("command", ["devices", "talk"])
@pytest.mark.parametrize("library", ["missing", "without PortAudio"])
def test_without_portaudio_a_command_is_one_line(
    command: str, library: str, assistant: Command, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.delitem(sys.modules, "sounddevice", raising=False)
    if library == "missing":
        monkeypatch.setitem(sys.modules, "sounddevice", None)
    else:
        (tmp_path / "sounddevice.py").write_text("raise OSError('PortAudio library not found')")
        monkeypatch.syspath_prepend(tmp_path)
    code, out, err = assistant(command)
    assert (code, out) == (1, "") and err.count("\n") == 1
    assert err.startswith("assistant: ") and "pip install -e '.[mic]'" in err


def test_push_to_talk_without_a_terminal_is_one_line(assistant: Command) -> None:
    code, out, err = assistant("talk", "--push-to-talk")
    assert (code, out) == (1, "") and "needs a terminal" in err and err.count("\n") == 1
