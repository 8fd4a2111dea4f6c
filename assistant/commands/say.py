"""`assistant say`: text to a sound file."""

import sys
from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np
import typer

from assistant.audio import AudioError, write_wav
from assistant.commands.preflight import check_sound_file
from assistant.commands.speech_options import SpeechOptions
from assistant.commands.typed import clean
from assistant.config import read_config
from assistant.models.speech import load_speaker, locate_voice
from assistant.models.store import ModelStore
from tts.phrases import split
from tts.speakable import is_readable
from tts.stream import Speaker, SpeechChunk


def run_say(text: str, output: Path, config_path: Path | None, options: SpeechOptions) -> None:
    """Speak `text`, or what standard input has if it is `-`, phrase by phrase as a reply into `output`."""
    config = options.over(read_config(config_path)).tts
    check_sound_file(output)
    text = clean(sys.stdin.read() if text == "-" else text)
    speaker = load_speaker(config, locate_voice(config, ModelStore()))
    seconds = write_speech(output, speaker, [text])
    typer.echo(f"{output}: {seconds:.1f} s")


def write_speech(path: Path, speaker: Speaker, texts: Iterable[str]) -> float:
    """Speak `texts` one after the other into `path`, and return how many seconds; raises AudioError."""
    readable = filter(is_readable, texts)
    spoken = [chunk for text in readable for chunk in speak_text(speaker, text) if len(chunk.audio)]
    if not spoken:
        raise AudioError(path, "not written: there is nothing in this text that can be spoken")
    audio, rate = np.concatenate([chunk.audio for chunk in spoken]), spoken[0].sample_rate
    write_wav(path, audio, rate)
    return len(audio) / rate


def speak_text(speaker: Speaker, text: str) -> Iterator[SpeechChunk]:
    """The chunks of all phrases of `text`."""
    for phrase in split(text):
        yield from speaker.speak(phrase)
