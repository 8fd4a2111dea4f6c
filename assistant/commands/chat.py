"""`assistant chat`: a typed conversation; replies stream as text and, if wanted, as speech."""

from collections.abc import Iterator
from pathlib import Path
from typing import TextIO

import typer

from assistant.commands.preflight import check_sound_file
from assistant.commands.say import write_speech
from assistant.config import read_config
from assistant.models.language import load_writer
from assistant.models.load import locate_llm
from assistant.models.speech import load_speaker
from assistant.models.store import ModelStore
from assistant.session.stages import ReplyWriter
from llm.decode.engine import EngineOutOfMemory
from llm.decode.generate import Finished, Token
from llm.text.chat import Message


def run_chat(source: TextIO, speech: Path | None, config_path: Path | None) -> None:
    """Answer every line of `source` until it ends; write all replies' speech to `speech` then.

    A line for whose reply there is no memory goes unanswered; any other error ends the conversation.
    """
    config = read_config(config_path)
    if speech:
        check_sound_file(speech)
    path = None if config.llm.is_remote else locate_llm(config.llm, ModelStore())
    writer = load_writer(config.llm, path)
    history = [Message("system", config.llm.system_prompt)]
    replies: list[str] = []
    for line in _lines(source):
        reply = ""
        try:
            for piece in answer(writer, history, line):
                typer.echo(piece, nl=False)
                reply += piece
        except EngineOutOfMemory as error:
            typer.echo()
            typer.echo(f"assistant: no reply: {error}", err=True)
            continue  # as if this line had not been typed
        typer.echo()
        history += [Message("user", line), Message("assistant", reply)]
        replies.append(reply)
    if speech and replies:
        write_speech(speech, load_speaker(config.tts), replies)


def answer(writer: ReplyWriter, history: list[Message], text: str) -> Iterator[str]:
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
