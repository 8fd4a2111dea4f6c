"""Keys and values in pages on a GPU: `llm.serve.sessions.Store` over `kernels.formats.llama.PagedCache`."""

from collections.abc import Mapping, Sequence
from functools import partial

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from kernels.formats import PAGE, PagedCache
from kernels.llama.reference import rotate
from kernels.llama.staging import Upload
from llm.cuda.errors import Gpu
from llm.cuda.pages import Pages
from llm.decode.engine import EngineOutOfMemory
from llm.serve.cache import BLOCK, block_names

assert PAGE == BLOCK, "pages are named as blocks are"


class PagedStore:
    """Sequences hold as many pages as their tokens fill; a page that several hold is copied to be written.

    Which pages are whose is known here; the device's table of them is brought up to date by `upload`.
    """

    def __init__(
        self, gpu: Gpu, cache: PagedCache, *, most_stored: int, frequencies: NDArray[np.float64]
    ) -> None:
        """`most_stored` pages are kept for others when nobody holds them.

        `frequencies` [head dim / 2] are radians a position.
        """
        self.cache, self.pages = cache, Pages(cache.keys.shape[1], most_stored)
        self._gpu, self._frequencies = gpu, frequencies
        self._held: list[list[int]] = [[] for _ in range(len(cache.table))]
        self._table, self._upload = np.zeros(cache.table.shape, np.int32), Upload(cache.table)
        self._stale = False

    @property
    def token_bytes(self) -> int:
        """See Store."""
        layers, _, heads, _, head_dim = self.cache.keys.shape
        return layers * 2 * heads * head_dim * self.cache.keys.element_size()

    def upload(self) -> None:
        """Bring the device's table up to date. On the device, before a pass."""
        if self._stale:
            self._stale = False  # first: whoever changes the table now sets it again
            try:
                self._upload.staged()[:] = self._table
                self._upload.send()
            except BaseException:
                self._stale = True
                raise

    def lookup(self, slot: int, held: Sequence[int], tokens: Sequence[int], adapter: str = "") -> int:
        """See Store. Pages are held together with those who have them, not copied."""
        if len(tokens) < PAGE or not self.pages.most_stored:
            return 0
        found = self.pages.find(block_names([*held, *tokens], adapter))
        known = max(0, len(found) * PAGE - len(held))
        own = len(held) // PAGE if known else len(found)  # that are full; one begun is replaced
        self.pages.drop(found[:own])
        if known:
            self.pages.drop(self._held[slot][own:])
            self._set(slot, own, found[own:])
        return known

    def reserve(self, slot: int, held: int, total: int) -> None:
        """See Store. Raises EngineOutOfMemory."""
        pages = self._held[slot]
        if held % PAGE:
            self._own(slot, held // PAGE)
        if (missing := -(-total // PAGE) - len(pages)) > 0:
            self._set(slot, len(pages), self.pages.take(missing))

    def reserve_ahead(self, totals: Mapping[int, int]) -> bool:
        """Make room for so many tokens of each slot, of which it has the last one's page, if there is any.

        Or do nothing, and say so: where it would take the pages that every other sequence may need next.
        """
        missing = {slot: max(0, -(-total // PAGE) - len(self._held[slot])) for slot, total in totals.items()}
        count = sum(missing.values())
        if not count:
            return True
        if self.pages.free - count < len(self._held):
            return False
        try:
            pages = self.pages.take(count)
        except EngineOutOfMemory:  # somebody was faster
            return False
        for slot, more in missing.items():
            self._set(slot, len(self._held[slot]), pages[:more])
            del pages[:more]
        return True

    def truncate(self, slot: int, length: int) -> None:
        """See Store."""
        kept = -(-length // PAGE)
        if dropped := self._held[slot][kept:]:
            del self._held[slot][kept:]
            self.pages.drop(dropped)

    def shift(self, slot: int, start: int, stop: int, length: int) -> None:
        """See Store. Raises EngineOutOfMemory."""
        source, end = self._held[slot], length - (stop - start)
        first, last = start // PAGE, -(-end // PAGE)
        target = source[:first]
        try:
            for page in source[first:last]:
                target.append(self.pages.to_write(page))
            if start % PAGE and target[first] != source[first]:
                self._copy_page(source[first], target[first])
            self._move(source, target, (start, stop, length))
        except BaseException:
            self.pages.drop([page for page in target[first:] if page not in source])
            raise
        left = [page for page in source[first:] if page not in target]
        self._set(slot, first, target[first:])
        self.pages.drop(left)

    def insert(self, slot: int, tokens: Sequence[int], adapter: str = "") -> None:
        """See Store."""
        names = block_names(tokens, adapter)
        self.pages.name(names, self._held[slot][: len(names)])

    def _set(self, slot: int, index: int, pages: Sequence[int]) -> None:
        """Let the slot's pages from `index` on be these and no others; they are held for it."""
        self._held[slot][index:] = pages
        self._table[slot, index : index + len(pages)] = pages
        self._stale = True  # last: see upload

    def _own(self, slot: int, index: int) -> None:
        """Let the slot's page at `index` be nobody else's."""
        page = self._held[slot][index]
        if (own := self.pages.to_write(page)) != page:
            try:
                self._copy_page(page, own)
            except BaseException:
                self.pages.drop([own])
                raise
            self._set(slot, index, [own, *self._held[slot][index + 1 :]])
            self.pages.drop([page])

    def _copy_page(self, source: int, target: int) -> None:
        def copy() -> None:
            for part in (self.cache.keys, self.cache.values):
                part[:, target] = part[:, source]

        self._gpu.run("a copy of a page", copy)

    def _move(self, source: Sequence[int], target: Sequence[int], span: tuple[int, int, int]) -> None:
        """Put tokens from stop on, of `length` in pages `source`, behind `start` in pages `target`."""
        start, stop, length = span
        angles, device = (start - stop) * self._frequencies, self.cache.keys.device

        def prepare() -> tuple[Tensor, Tensor, tuple[Tensor, Tensor], tuple[Tensor, Tensor]]:
            cos, sin = (torch.from_numpy(f(angles).astype(np.float32)).to(device) for f in (np.cos, np.sin))
            old = _places(source, stop, length, device)
            return cos, sin, old, _places(target, start, start + length - stop, device)

        cos, sin, old, new = self._gpu.run("a context shift", prepare)
        # Where a page is both, a layer is read before it is written; no call undoes itself when repeated.
        for layer in range(len(self.cache.keys)):
            parts = self._gpu.run("a context shift", partial(self._turned, layer, old, cos, sin))
            self._gpu.run("a context shift", partial(self._write, layer, new, parts))

    def _turned(
        self, layer: int, at: tuple[Tensor, Tensor], cos: Tensor, sin: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Keys, turned, and values [tokens, kv heads, head dim] as they are held."""
        pages, offsets = at
        keys = self.cache.keys[layer][pages, :, offsets].float()
        scale = None if self.cache.scales is None else self.cache.scales[layer, 0]
        turned = rotate(keys if scale is None else keys * scale, cos, sin)
        if scale is not None:
            turned = (turned / scale).round().clamp(-127, 127)
        return turned.to(self.cache.keys.dtype), self.cache.values[layer][pages, :, offsets]

    def _write(self, layer: int, at: tuple[Tensor, Tensor], parts: tuple[Tensor, Tensor]) -> None:
        pages, offsets = at
        for held, part in zip((self.cache.keys, self.cache.values), parts, strict=True):
            held[layer][pages, :, offsets] = part


def _places(pages: Sequence[int], start: int, stop: int, device: torch.device) -> tuple[Tensor, Tensor]:
    """The page of each token from start to stop, and where in it."""
    tokens = torch.arange(start, stop, device=device)
    return torch.tensor(pages, device=device)[tokens // PAGE], tokens % PAGE
