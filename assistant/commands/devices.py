"""`assistant devices`: the microphones and loudspeakers of this machine."""

import typer

from assistant.microphone.devices.choice import problems, table
from assistant.microphone.devices.portaudio import PortAudio, native_messages_dropped


def run_devices() -> None:
    """Print every device, the default ones marked; raises DeviceError where one cannot talk with them."""
    with native_messages_dropped():
        devices = PortAudio().devices()
    typer.echo(table(devices))
    for error in problems(devices):
        raise error
