"""The real models, for what was not recorded: each thing is asked of them once, however often wanted."""

from collections import Counter, OrderedDict
from collections.abc import Callable, Hashable, Iterator
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path
from typing import Any, Generic, TypeVar, cast

from assistant.models.pool import Models
from assistant.runtime import Clock, Worker
from assistant.session.scheduled import Generator, SessionLanguageModel
from assistant.trace.errors import TraceError

T = TypeVar("T")


class Stream(Generic[T]):
    """What a real model streams, as far as anyone has asked; once closed it begins again if need be."""

    def __init__(self, begin: Callable[[], Iterator[T]]) -> None:
        self._begin, self._items = begin, list[T]()
        self._source: Iterator[T] | None = None

    def item(self, index: int) -> T:
        """The `index`-th item; raises StopIteration if there are not so many."""
        while index >= len(self._items):
            self._items.append(next(self._open()))
        return self._items[index]

    def close(self) -> None:
        """Give back what the model holds for it."""
        if (close := getattr(self._source, "close", None)) is not None:
            close()
        self._source = None

    def _open(self) -> Iterator[T]:
        if self._source is None:
            self._source = self._begin()
            for _ in self._items:
                next(self._source)
        return self._source


class Unrecorded:
    """The real models, loaded when something is asked of them that was not recorded; `strict`: refused."""

    def __init__(
        self, folder: Path, load: Callable[[], Models], *, sessions: int, strict: bool = False
    ) -> None:
        """`folder` is named in errors; the models have places for so many `sessions`."""
        self.counts: Counter[str] = Counter()
        """How often each stage was asked for what was not recorded."""
        self._folder, self._load, self._sessions, self._strict = folder, load, sessions, strict
        self._answers: dict[tuple[str, str], Any] = {}
        self._open: OrderedDict[tuple[str, str], Stream[Any]] = OrderedDict()

    @property
    def asked(self) -> Counter[str]:
        """How often the real model of each stage was asked."""
        return Counter(stage for stage, _ in self._answers)

    def answer(self, stage: str, given: str, real: Callable[[], T]) -> T:
        """What the real model of `stage` answers to what has this digest; TraceError as of `note`."""
        self.note(stage)
        if (stage, given) not in self._answers:
            self._make_room()
            self._answers[stage, given] = real()
        return cast("T", self._answers[stage, given])

    def stream(self, stage: str, given: str, real: Callable[[], Iterator[T]]) -> Stream[T]:
        """What it streams. As many streams are kept open as the language model has places."""
        self.note(stage)
        key = stage, given

        def begin() -> Iterator[T]:
            self._make_room()
            self._open[key] = stream
            return real()

        stream: Stream[T] = self._answers.setdefault(key, Stream(begin))
        return stream

    def note(self, stage: str) -> None:
        """Count a call; raises TraceError if it is to be refused: to a session, a model's error."""
        self.counts[stage] += 1
        if self._strict:
            self.check()

    def check(self) -> None:
        """Raise TraceError if anything was refused."""
        if self._strict and self.counts:
            stages = ", ".join(f"{stage} ({count})" for stage, count in sorted(self.counts.items()))
            raise TraceError(f"{self._folder}: asked for what was not recorded: {stages}")

    @cached_property
    def models(self) -> Models:
        """The real ones."""
        return self._load()

    @contextmanager
    def generator(self) -> Iterator[Generator]:
        """The real language model, with a sequence of its own."""
        opened = self.models.language.open(_Now("real"), Clock())
        assert isinstance(opened.language, SessionLanguageModel), "a model in this process"
        try:
            yield opened.language.generator
        finally:
            opened.close(_raise)

    def close(self) -> None:
        """Give back what the language model holds; the models may be used by others then."""
        while self._open:
            self._open.popitem()[1].close()

    def _make_room(self) -> None:
        while len(self._open) >= self._sessions:
            self._open.popitem(last=False)[1].close()


def _raise(error: Exception | None) -> None:
    if error is not None:
        raise error


class _Now(Worker):
    """Runs what is posted at once: what a real model has to do at its beginning takes no time."""

    def post(self, function: Callable[[], None], *, lane: Hashable | None = None) -> None:  # noqa: ARG002
        function()
