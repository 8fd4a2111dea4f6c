"""A sound server of one's own with a loudspeaker and a microphone, for programs that know only ALSA.

What is played into the sink "air" is what the microphone hears; the monitor of the sink "speaker" is what is
heard in the room. Needs PulseAudio, its ALSA plugin and PortAudio.
"""

import ctypes.util
import os
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

_TOOLS = ("pulseaudio", "pactl", "paplay", "parecord")
_PLUGIN = "alsa-lib/libasound_module_pcm_pulse.so"
_START_S = 10.0
_ASOUND = """</usr/share/alsa/alsa.conf>
pcm.!default { type pulse server "SERVER" hint { show on description "Default" } }
pcm.mic { type pulse server "SERVER" device "mic" hint { show on description "Microphone" } }
pcm.speaker { type pulse server "SERVER" device "speaker" hint { show on description "Speaker" } }
"""


def unsupported_reason() -> str | None:
    """What keeps the room from being built here; None if it can be."""
    for tool in _TOOLS:
        if not shutil.which(tool):
            return f"no {tool} (Debian: pulseaudio, pulseaudio-utils)"
    if not ctypes.util.find_library("portaudio"):
        return "no PortAudio (Debian: libportaudio2)"
    if not [path for path in Path("/usr/lib").glob(f"*/{_PLUGIN}") if path.is_file()]:
        return "no ALSA plugin of PulseAudio (Debian: libasound2-plugins)"
    return None


class Room:
    """A running server. `environment` is what makes a program use its devices."""

    def __init__(self, folder: Path) -> None:
        self._folder, self._socket = folder, folder / "native"
        server = f"unix:{self._socket}"
        (folder / "client.conf").write_text("autospawn = no\nenable-shm = no\n")
        (folder / "asound.conf").write_text(_ASOUND.replace("SERVER", server))
        self.environment: Mapping[str, str] = {
            **os.environ,
            "ALSA_CONFIG_PATH": str(folder / "asound.conf"),
            "PULSE_CLIENTCONFIG": str(folder / "client.conf"),
            "PULSE_RUNTIME_PATH": str(folder),
            "PULSE_SERVER": server,
        }
        self._server: subprocess.Popen[bytes] | None = None
        self._helpers: list[subprocess.Popen[bytes]] = []

    def start(self) -> None:
        """Start the server, or start it again after a crash."""
        command = ["pulseaudio", "-n", "--daemonize=no", "--use-pid-file=no", "--exit-idle-time=-1"]
        module = f"module-native-protocol-unix socket={self._socket} auth-anonymous=1"
        self._server = subprocess.Popen(
            [*command, "--disable-shm=yes", "-L", module],
            env={**self.environment, "HOME": str(self._folder), "XDG_RUNTIME_DIR": str(self._folder)},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        deadline = time.monotonic() + _START_S
        while self._control("info").returncode:
            assert self._server.poll() is None and time.monotonic() < deadline, "PulseAudio does not start"
            time.sleep(0.05)
        null = ("load-module", "module-null-sink", "rate=48000", "norewinds=1")
        for words in (
            (*null, "sink_name=speaker", "channels=2"),
            (*null, "sink_name=air", "channels=1"),
            ("load-module", "module-remap-source", "source_name=mic", "master=air.monitor"),
            ("set-default-sink", "speaker"),
            ("set-default-source", "mic"),
        ):
            self._control(*words).check_returncode()

    def _control(self, *words: str) -> subprocess.CompletedProcess[bytes]:
        return subprocess.run(["pactl", *words], env=self.environment, capture_output=True, check=False)

    def echo(self, delay_ms: int) -> None:
        """Let the microphone hear the loudspeaker, as loud as it is, so much later or a little more."""
        words = ("source=speaker.monitor", "sink=air", f"latency_msec={delay_ms}", "adjust_time=0")
        self._control("load-module", "module-loopback", *words).check_returncode()

    def say(self, path: Path) -> None:
        """Play a WAV file into the microphone."""
        self._help("paplay", "--device=air", str(path))

    def record(self, path: Path) -> None:
        """Write what the loudspeaker plays to a WAV file, until the room is closed or the server crashes."""
        self._help("parecord", "--device=speaker.monitor", "--rate=48000", "--channels=1", str(path))

    def _help(self, *command: str) -> None:
        self._helpers.append(
            subprocess.Popen(
                [*command, "--latency-msec=30"],
                env=self.environment,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
            )
        )

    def crash(self) -> None:
        """End the server without a word."""
        assert self._server is not None, "a server that runs"
        self._server.kill()
        self._server.wait()

    def close(self) -> None:
        """End everything that was started."""
        for process in [*self._helpers, *([self._server] if self._server else [])]:
            process.send_signal(signal.SIGTERM)
            try:
                process.wait(5)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


@contextmanager
def room() -> Iterator[Room]:
    """A room with a server that runs; nothing is left of it."""
    with tempfile.TemporaryDirectory(prefix="room-") as folder:  # short: sockets' names are
        opened = Room(Path(folder))
        try:
            opened.start()
            yield opened
        finally:
            opened.close()
