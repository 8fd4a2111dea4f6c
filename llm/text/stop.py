"""Stop strings in a stream of text pieces: what may still become one is held back."""


class StopStrings:
    """Feed it text; it returns what is certain to lie before any of the stop strings."""

    def __init__(self, strings: tuple[str, ...]) -> None:
        self._strings = tuple(s for s in strings if s)
        self._held = ""
        self.found = False

    def push(self, text: str) -> str:
        """Take a piece; return the text that can be passed on. After a stop string: nothing.

        The first stop string to be complete counts, however the text is cut into pieces.
        """
        if self.found:
            return ""
        self._held += text
        ends = [(at + len(s), at) for s in self._strings if (at := self._held.find(s)) >= 0]
        self.found = bool(ends)
        keep = min(ends)[1] if ends else len(self._held) - self._undecided()
        passed, self._held = self._held[:keep], "" if self.found else self._held[keep:]
        return passed

    def flush(self) -> str:
        """The end of the stream: what was held back did not become a stop string."""
        passed, self._held = self._held, ""
        return passed

    def _undecided(self) -> int:
        """Length of the longest end of the held text that begins a stop string."""
        longest = max((len(s) for s in self._strings), default=1) - 1
        for length in range(min(longest, len(self._held)), 0, -1):
            if any(s.startswith(self._held[-length:]) for s in self._strings):
                return length
        return 0
