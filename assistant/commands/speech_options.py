"""The options of commands that speak: `--voice`, `--speed` and `--volume`, in place of the file's `[tts]`."""

from dataclasses import dataclass, replace

from assistant.config import Config, ConfigError
from tts.stream import MAX_VOLUME, MIN_VOLUME
from tts.tempo import MAX_SPEED, MIN_SPEED


@dataclass(frozen=True)
class SpeechOptions:
    """What was given on the command line; numbers as text, so that whatever is wrong is told in one line."""

    voice: str | None = None
    speed: str | None = None
    volume: str | None = None

    def over(self, config: Config) -> Config:
        """`config` with what was given; raises ConfigError."""
        tts = config.tts
        if self.speed is not None:
            tts = replace(tts, speed=_number("--speed", self.speed, MIN_SPEED, MAX_SPEED))
        if self.volume is not None:
            tts = replace(tts, volume=_number("--volume", self.volume, MIN_VOLUME, MAX_VOLUME))
        if self.voice is not None:
            try:
                tts = replace(tts, voice=self.voice)
            except ValueError as error:
                raise ConfigError(f"--{error}") from error
        return replace(config, tts=tts)


def _number(option: str, text: str, least: float, most: float) -> float:
    """The number that `text` is, if it is allowed; raises ConfigError."""
    try:
        number = float(text)
        allowed = least <= number <= most
    except ValueError:
        allowed = False
    if not allowed:
        raise ConfigError(f"{option} must be {least:g} to {most:g}, not {text!r}")
    return number
