"""`assistant say`: text to a sound file."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import typer

from assistant.audio import write_wav
from assistant.config import read_config
from assistant.speech_models import load_speaker
from tts.phrases import PhraseSplitter
from tts.stream import Speaker, SpeechChunk


def run_say(text: str, output: Path, config_path: Path | None) -> None:
    """Speak `text` phrase by phrase, as a reply would be spoken, into `output`."""
    chunks = [
        chunk for chunk in speak_text(load_speaker(read_config(config_path).tts), text) if len(chunk.audio)
    ]
    if not chunks:
        raise typer.BadParameter("there is nothing in this text that can be spoken")
    rate = chunks[0].sample_rate
    audio = np.concatenate([chunk.audio for chunk in chunks])
    write_wav(output, audio, rate)
    typer.echo(f"{output}: {len(audio) / rate:.1f} s")


def speak_text(speaker: Speaker, text: str) -> Iterator[SpeechChunk]:
    """The chunks of all phrases of `text`."""
    splitter = PhraseSplitter()
    for phrase in [*splitter.push(text), *splitter.flush()]:
        yield from speaker.speak(phrase)
