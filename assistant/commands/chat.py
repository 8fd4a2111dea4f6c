"""`assistant chat`: a typed conversation; replies stream as text and, if wanted, as speech."""

from collections.abc import Iterator
from pathlib import Path
from typing import TextIO

import numpy as np
import typer

from assistant.audio import write_wav
from assistant.commands.say import speak_text
from assistant.config import read_config
from assistant.load import load_writer, locate_llm
from assistant.models import ModelStore
from assistant.speech_models import load_speaker
from llm.chat import Message
from llm.generate import Finished, Token
from llm.responder import Responder


def run_chat(source: TextIO, speech: Path | None, config_path: Path | None) -> None:
    """Answer every line of `source` until it ends; write all replies' speech to `speech` then."""
    config = read_config(config_path)
    writer = load_writer(config.llm, locate_llm(config.llm, ModelStore()))
    history = [Message("system", config.llm.system_prompt)]
    replies: list[str] = []
    for line in _lines(source):
        reply = ""
        for piece in answer(writer, history, line):
            typer.echo(piece, nl=False)
            reply += piece
        typer.echo()
        history += [Message("user", line), Message("assistant", reply)]
        replies.append(reply)
    if speech and replies:
        speaker = load_speaker(config.tts)
        chunks = [chunk for reply in replies for chunk in speak_text(speaker, reply)]
        write_wav(speech, np.concatenate([chunk.audio for chunk in chunks]), chunks[0].sample_rate)


def answer(writer: Responder, history: list[Message], text: str) -> Iterator[str]:
    """The reply to `text`, piece by piece."""
    for item in writer.reply(writer.prompt(history, text), lambda: False):
        if isinstance(item, Token | Finished):
            yield item.text


def _lines(source: TextIO) -> Iterator[str]:
    while True:
        if source.isatty():
            typer.echo("> ", nl=False)
        line = source.readline()
        if not line:
            return
        if line.strip():
            yield line.strip()
