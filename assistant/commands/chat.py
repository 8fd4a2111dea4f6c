"""`assistant chat`: a typed conversation; replies stream as text and, if wanted, as speech."""

import asyncio
import re
import signal
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import TextIO

import typer

from assistant.commands.household import open_skills
from assistant.commands.preflight import check_sound_file
from assistant.commands.say import write_speech
from assistant.commands.speech_options import SpeechOptions
from assistant.commands.typed import read_line
from assistant.config import read_config
from assistant.models.language import load_language
from assistant.models.load import locate_adapter, locate_llm
from assistant.models.pool import ModelPool, Models, frozen
from assistant.models.speech import load_speaker, locate_voice
from assistant.models.store import ModelStore
from assistant.runtime import Clock, Recorder
from assistant.session.conversation import ItemAdded
from assistant.session.events import Failed, ReplyDone, ReplyDropped, ReplyStarted, TextDelta
from assistant.session.request import ReplyRequest
from assistant.session.session import Input, Session, SessionConfig, Typed
from assistant.session.stages import Stages
from assistant.session.turn import ReplyCancelled
from assistant.spelling import nearest

_COMMANDS = {"/help": "what can be typed", "/quit": "leave, as Ctrl-D does"}
_HELP = "".join(f"{name}   {meaning}\n" for name, meaning in _COMMANDS.items()) + (
    "Ctrl-C  stop the reply; twice: leave"
)


def run_chat(source: TextIO, speech: Path | None, config_path: Path | None, options: SpeechOptions) -> None:
    """Answer every line of `source` until it ends; write all replies' speech to `speech` then.

    A line whose reply fails goes unanswered, as if it had not been typed.
    """
    config = options.over(read_config(config_path))
    if speech:
        check_sound_file(speech)
    path = None if config.llm.is_remote else locate_llm(config.llm, ModelStore())
    adapter = locate_adapter(config.llm, ModelStore())
    voice = locate_voice(config.tts, ModelStore()) if speech else None
    clock = Clock()
    with open_skills(config) as skills:
        language = frozen(lambda: Models(load_language(config.llm, path, adapter), skills=skills.open))
        pool = ModelPool(language, clock)
        try:
            chat = asyncio.run(_converse(source, pool, SessionConfig(config.llm.system_prompt), clock))
        finally:
            pool.close()
    if speech and chat.replies:
        write_speech(speech, load_speaker(config.tts, voice), chat.replies)
    if chat.interrupts > 1:
        raise KeyboardInterrupt  # which ends the command as anywhere else


async def _converse(source: TextIO, pool: ModelPool, config: SessionConfig, clock: Clock) -> "Chat":
    stages = pool.open()
    try:
        return await converse(source, stages, config, clock)
    finally:
        await stages.close()


async def converse(source: TextIO, stages: Stages, config: SessionConfig, clock: Clock) -> "Chat":
    """Answer every line of `source` until it ends or the user leaves."""
    session = Session(stages, config, clock, Recorder())
    chat = Chat(session, source)
    with _on_interrupt(chat):
        async with asyncio.TaskGroup() as group:
            group.create_task(session.run(chat.inputs()), name="session")
            group.create_task(chat.run(), name="chat")
    return chat


@contextmanager
def _on_interrupt(chat: "Chat") -> Iterator[None]:
    loop = asyncio.get_running_loop()

    def interrupt(_number: int, _frame: FrameType | None) -> None:
        loop.call_soon_threadsafe(chat.interrupt)

    before = signal.signal(signal.SIGINT, interrupt)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


class Chat:
    """A terminal's side of a typed conversation."""

    def __init__(self, session: Session, source: TextIO) -> None:
        self.replies: list[str] = []
        self._announced: int | None = None  # what was said last that answers nothing
        self.interrupts = 0  # since the last line; two of them leave
        self._session, self._events, self._source = session, session.subscribe(), source
        # A line, two interrupts and the end: a line is taken once the one before it is answered.
        self._inputs: asyncio.Queue[Input | None] = asyncio.Queue(4)

    async def inputs(self) -> AsyncIterator[Input]:
        """What the session is given."""
        while (item := await self._inputs.get()) is not None:
            yield item

    def interrupt(self) -> None:
        """Ctrl-C in a reply stops it; a second one, or one without a terminal, ends the conversation."""
        self.interrupts += 1 if self._source.isatty() else 2
        if self.interrupts == 1:
            self._inputs.put_nowait(ReplyCancelled())
        elif self.interrupts == 2:
            self._inputs.put_nowait(None)

    async def run(self) -> None:
        """Answer each line, once the one before it is answered. Nothing else happens while one is awaited."""
        while self.interrupts < 2 and (line := self._next_line()) is not None:
            self.interrupts = 0
            self._inputs.put_nowait(Typed(line))
            await self._show()
        self._inputs.put_nowait(None)

    def _next_line(self) -> str | None:
        """What is typed next but for commands, which are carried out; None when the user leaves."""
        while True:
            try:
                line = read_line(self._source, "> ")
            except KeyboardInterrupt:
                self.interrupts += 1 if self._source.isatty() else 2
                if self.interrupts > 1:
                    return None
                typer.echo("\nCtrl-C again, Ctrl-D or /quit leaves")
                continue
            except ValueError as error:
                typer.echo(f"assistant: {error}", err=True)
                continue
            if line is None or line == "/quit":
                return None
            if line == "/help":
                typer.echo(_HELP)
            elif re.fullmatch("/[a-z]+", line):
                typer.echo(f"assistant: no command {line!r}{nearest(line, _COMMANDS)}", err=True)
            elif line:
                return line

    async def _show(self) -> None:
        """Print the reply as it comes."""
        added, failed = [], None
        async for event in self._events:
            match event:
                case ItemAdded(item=item):
                    added.append(item.id)
                case ReplyStarted(number=number, request=ReplyRequest(say=str(text))):
                    self._announced = number
                    typer.echo(f"* {text}")
                case TextDelta(number=number, text=text) if number != self._announced:
                    typer.echo(text, nl=False)
                case Failed(why=why):
                    failed = why
                case ReplyDropped():
                    typer.echo()
                    return
                case ReplyDone(number=number, heard=heard) if number != self._announced:
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
