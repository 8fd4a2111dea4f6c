"""Skills as commands use them: with the user's file, time zone and home."""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

from platformdirs import user_data_path

from assistant.config import Config
from assistant.home.entities import Home
from assistant.home.late import LateHome
from assistant.mqtt.callbacks import Callbacks
from assistant.mqtt.connect import connected
from assistant.skills import Announcements, Services, Skills, Store, StoreError
from assistant.skills.skills import Conversation
from assistant.skills.tools import FUNCTIONS, tool

if TYPE_CHECKING:
    from assistant.mqtt.bridge import Bridge

_FILE = "household.db"
_ROOM_FOR_TOOLS = 4096  # tokens of context; telling a model of all functions takes about 1500
_SETTLED_S = 0.5
_MOST_NAMES = 300


@dataclass(frozen=True)
class Household:
    """Skills that are being made ready in a thread, while models are loaded: it takes most of a second."""

    announcements: Announcements
    home: LateHome
    _skills: Future[Skills]

    def open(self) -> Conversation:
        """The skills of one conversation, once they are ready; raises SkillError and StoreError."""
        return self._skills.result().open()


@contextmanager
def open_skills(config: Config, *, home: Home | None = None, in_memory: bool = False) -> Iterator[Household]:
    """The skills of `config`; `in_memory` they forget all. Raises StoreError."""
    announcements, late = Announcements(), LateHome(home)
    store = Store(None if in_memory else _file(config))
    services = Services(store, _now, announcements, late, config.skills.country)

    def make() -> Skills:
        if not config.skills.enabled:
            return Skills((), services)
        from assistant.skills.household import household  # noqa: PLC0415  # its libraries take half a second

        skills = household(services, announcements)
        if config.llm.is_remote or config.llm.context >= _ROOM_FOR_TOOLS:
            skills.tools = tuple(map(tool, FUNCTIONS))
        else:  # of calls that a model this small makes of its own accord hardly one is right
            skills.calls = ()
        skills.warm_up()
        return skills

    with ThreadPoolExecutor(1, "skills") as thread:
        try:
            yield Household(announcements, late, thread.submit(make))
        finally:
            thread.shutdown()
            store.close()


@asynccontextmanager
async def at_home(
    config: Config,
    skills: Household,
    expect: Callable[[Sequence[str]], None],
    *,
    mute: Callable[[bool], None] | None = None,
    tell: Callable[[str], None] = lambda _: None,
) -> AsyncIterator["Bridge | None"]:
    """What skills can switch, for as long as the context lasts: the home behind `[mqtt]`, if that is set.

    `expect` is told its names, in a thread. Raises BrokerError.
    """
    callbacks = Callbacks(skills.announcements, mute, tell)
    async with connected(config.mqtt, callbacks) as bridge:
        if bridge is None:
            yield None
            return
        changed = asyncio.Event()
        skills.home.changed = changed.set
        skills.home.become(bridge)
        # No TaskGroup: what is raised inside the context is to leave it as it is.
        task = asyncio.create_task(_tell_names(skills.home, changed, expect), name="names")
        try:
            yield bridge
        finally:
            task.cancel()
            await asyncio.wait({task})
            if not task.cancelled():
                task.result()


async def _tell_names(home: Home, changed: asyncio.Event, expect: Callable[[Sequence[str]], None]) -> None:
    """Tell the names of the home once it has changed; devices are announced many at once.

    In a thread: of 200 names a recognizer makes its tokens in 70 ms, in which nobody would be heard.
    """
    while True:
        await changed.wait()
        await asyncio.sleep(_SETTLED_S)
        changed.clear()
        entities = home.entities[:_MOST_NAMES]
        names = dict.fromkeys(name for entity in entities for name in (entity.name, entity.area) if name)
        await asyncio.to_thread(expect, tuple(names))


def _file(config: Config) -> Path:
    if config.skills.file is not None:
        try:
            return Path(config.skills.file).expanduser()
        except RuntimeError as error:
            raise StoreError(f"[skills] file {config.skills.file}: {error}") from error
    return user_data_path("assistant", appauthor=False) / _FILE


def _now() -> datetime:
    return datetime.now().astimezone()
