"""Which pages of a cache of keys and values are whose: the bookkeeping, without the cache.

A page holds `PAGE` tokens of a sequence. Sequences that begin alike may hold the same one; a page with a
name, which tells all tokens up to its end (`llm.serve.cache.block_names`), is stored for others when
nobody holds it any more, and given away when there is no other, the one that was not used for longest first.
"""

from collections import OrderedDict
from collections.abc import Sequence
from threading import Lock

from llm.decode.engine import EngineOutOfMemory


class Pages:
    """`total` pages, of which up to `most_stored` may be stored. May be used from several threads."""

    def __init__(self, total: int, most_stored: int) -> None:
        self.total, self.most_stored = total, most_stored
        self._free = list(range(total))[::-1]
        self._holders = [0] * total  # of each page
        self._names: dict[int, bytes] = {}  # of pages, held or stored
        self._named: dict[bytes, int] = {}
        self._stored: OrderedDict[int, None] = OrderedDict()  # named and not held, last used last
        self._lock = Lock()

    @property
    def free(self) -> int:
        """Pages that nobody holds, the stored ones among them."""
        return len(self._free) + len(self._stored)

    @property
    def stored(self) -> int:
        """Pages that nobody holds but that have a name."""
        return len(self._stored)

    def take(self, count: int) -> list[int]:
        """Hold `count` pages that nobody holds. Raises EngineOutOfMemory, having taken none."""
        with self._lock:
            return self._take(count)

    def hold(self, pages: Sequence[int]) -> None:
        """Hold pages, held already, once more."""
        with self._lock:
            for page in pages:
                self._hold(page)

    def drop(self, pages: Sequence[int]) -> None:
        """Hold pages no longer; those with names are stored, the first as if it were used last."""
        with self._lock:
            for page in reversed(pages):  # without the first, those behind it cannot be found
                assert self._holders[page], f"page {page} is nobody's"
                self._holders[page] -= 1
                if not self._holders[page]:
                    self._store(page)

    def to_write(self, page: int) -> int:
        """A page that only the caller has, to write into instead of `page`, which it holds.

        `page` itself if nobody else has it, else another, which is then held, too. If there is none, `page`
        loses its name. Raises EngineOutOfMemory if somebody else holds it.
        """
        with self._lock:
            if self._holders[page] == 1 and page not in self._names:
                return page
            if self._holders[page] == 1 and not self._free and not self._stored:
                self._forget(page)
                return page
            return self._take(1)[0]

    def name(self, names: Sequence[bytes], pages: Sequence[int]) -> None:
        """Give names to pages that are held, except where another page has the name, or the page another."""
        if not self.most_stored:
            return
        with self._lock:
            for name, page in zip(names, pages, strict=True):
                if name not in self._named and page not in self._names:
                    self._named[name], self._names[page] = page, name

    def find(self, names: Sequence[bytes]) -> list[int]:
        """Hold the pages of as many of `names`, from the first on, as have one."""
        with self._lock:
            found = []
            for name in names:
                if (page := self._named.get(name)) is None:
                    break
                self._hold(page)
                found.append(page)
            return found

    def _take(self, count: int) -> list[int]:
        if count > self.free:
            raise EngineOutOfMemory(f"{count} pages of keys and values wanted, {self.free} are free")
        while len(self._free) < count:
            self._give_away_oldest()
        taken = [self._free.pop() for _ in range(count)]
        for page in taken:
            self._holders[page] = 1
        return taken

    def _hold(self, page: int) -> None:
        assert self._holders[page] or page in self._stored, f"page {page} is free"
        self._holders[page] += 1
        self._stored.pop(page, None)

    def _store(self, page: int) -> None:
        if page not in self._names:
            self._free.append(page)
            return
        self._stored[page] = None
        if len(self._stored) > self.most_stored:
            self._give_away_oldest()

    def _give_away_oldest(self) -> None:
        page, _ = self._stored.popitem(last=False)
        self._forget(page)
        self._free.append(page)

    def _forget(self, page: int) -> None:
        del self._named[self._names.pop(page)]
