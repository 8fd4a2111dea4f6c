"""Skills as commands use them: with the user's file, time zone and home."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path

from platformdirs import user_data_path

from assistant.config import Config
from assistant.home.entities import Home
from assistant.home.scripted import ScriptedHome
from assistant.skills import Announcements, Services, Skills, Store
from assistant.skills.household import household

_FILE = "household.db"


@contextmanager
def open_skills(config: Config, *, home: Home | None = None, in_memory: bool = False) -> Iterator[Skills]:
    """The skills of `config`; `in_memory` they forget all. Raises StoreError and SkillError."""
    announcements = Announcements()
    store = Store(None if in_memory else _file(config))
    try:
        services = Services(store, _now, announcements, home or ScriptedHome(()), config.skills.country)
        yield household(services, announcements) if config.skills.enabled else Skills((), services)
    finally:
        store.close()


def _file(config: Config) -> Path:
    if config.skills.file is not None:
        return Path(config.skills.file).expanduser()
    return user_data_path("assistant", appauthor=False) / _FILE


def _now() -> datetime:
    return datetime.now().astimezone()
