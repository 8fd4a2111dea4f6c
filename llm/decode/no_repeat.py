"""Keeps a reply from saying again what the last one said, by n-grams (Paulus et al. 2018, section 2.5)."""

from collections import defaultdict
from collections.abc import Collection, Sequence


class NoRepeat:
    """Knows the tokens of the last reply, so many of which may not follow one another again."""

    def __init__(self, said: Sequence[int], length: int) -> None:
        """Runs of `length` tokens of `said` are not said again; 0 lets all be."""
        self._before = length - 1
        self._after: defaultdict[tuple[int, ...], set[int]] = defaultdict(set)
        for end in range(max(0, self._before), len(said)) if length else ():
            self._after[tuple(said[end - self._before : end])].add(said[end])

    def barred(self, chosen: Sequence[int]) -> Collection[int]:
        """The tokens that may not follow those `chosen` so far."""
        if not self._after or len(chosen) < self._before:
            return ()
        return self._after.get(tuple(chosen[len(chosen) - self._before :]), ())
