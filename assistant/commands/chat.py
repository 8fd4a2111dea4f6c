"""`assistant chat`: a typed conversation; replies stream as text and, if wanted, as speech."""

import asyncio
import signal
from collections.abc import AsyncIterator
from pathlib import Path
from typing import TextIO

import typer

from assistant.commands.preflight import check_sound_file
from assistant.commands.say import write_speech
from assistant.commands.speech_options import SpeechOptions
from assistant.config import read_config
from assistant.models.language import load_language
from assistant.models.load import locate_llm
from assistant.models.pool import ModelPool, Models, frozen
from assistant.models.speech import load_speaker, locate_voice
from assistant.models.store import ModelStore
from assistant.runtime import Clock, Recorder
from assistant.session.conversation import ItemAdded
from assistant.session.events import Failed, Listener, ReplyDone, TextDelta
from assistant.session.session import Input, Session, SessionConfig, Typed


def run_chat(source: TextIO, speech: Path | None, config_path: Path | None, options: SpeechOptions) -> None:
    """Answer every line of `source` until it ends; write all replies' speech to `speech` then.

    A line whose reply fails goes unanswered, as if it had not been typed.
    """
    config = options.over(read_config(config_path))
    if speech:
        check_sound_file(speech)
    path = None if config.llm.is_remote else locate_llm(config.llm, ModelStore())
    voice = locate_voice(config.tts, ModelStore()) if speech else None
    clock = Clock()
    pool = ModelPool(frozen(lambda: Models(load_language(config.llm, path))), clock)
    try:
        replies = asyncio.run(_converse(source, pool, SessionConfig(config.llm.system_prompt), clock))
    finally:
        pool.close()
    if speech and replies:
        write_speech(speech, load_speaker(config.tts, voice), replies)


async def _converse(source: TextIO, pool: ModelPool, config: SessionConfig, clock: Clock) -> list[str]:
    stages = pool.open()
    try:
        session = Session(stages, config, clock, Recorder())
        chat = Chat(session)
        await session.run(chat.lines(source))
        return chat.replies
    finally:
        await stages.close()


def _read_line(source: TextIO) -> str:
    """The next line. Ctrl-C ends the wait for it, which asyncio's own handler would not."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        return source.readline()
    finally:
        signal.signal(signal.SIGINT, before)


class Chat:
    """A terminal's side of a typed conversation."""

    def __init__(self, session: Session) -> None:
        self.replies: list[str] = []
        self._session, self._events = session, session.subscribe()

    async def lines(self, source: TextIO) -> AsyncIterator[Input]:
        """Each line, once the one before it is answered. Nothing else happens while one is awaited."""
        while True:
            if source.isatty():
                typer.echo("> ", nl=False)
            line = _read_line(source)
            if not line:
                return
            if line.strip():
                yield Typed(line.strip())
                await self._show(self._events)

    async def _show(self, events: Listener) -> None:
        """Print the reply as it comes."""
        added, failed = [], None
        async for event in events:
            match event:
                case ItemAdded(item=item):
                    added.append(item.id)
                case TextDelta(text=text):
                    typer.echo(text, nl=False)
                case Failed(why=why):
                    failed = why
                case ReplyDone(heard=heard):
                    self._end(heard, added, failed)
                    return

    def _end(self, reply: str, added: list[str], failed: str | None) -> None:
        typer.echo()
        if failed is None:
            self.replies.append(reply)
            return
        typer.echo(f"assistant: no reply: {failed}", err=True)
        for item in added:
            if item in self._session.conversation:
                self._session.conversation.remove(item)
