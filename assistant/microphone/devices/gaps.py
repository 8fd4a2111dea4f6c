"""What is said about the gaps that a busy machine makes."""

_OVER_NS = 1_000_000_000  # without another one, a row of gaps is over
_AGAIN_NS = 60_000_000_000


class Gaps:
    """One line about every row of gaps, and not more than one a minute."""

    def __init__(self) -> None:
        self._seen = self._told = 0.0, 0  # milliseconds lost of the microphone, gaps in what was played
        self._seen_ns = 0  # when a gap was last seen
        self._told_ns: int | None = None

    def note(self, now_ns: int, lost_ms: float, underruns: int) -> str | None:
        """A line about what is new in these totals, when it is due."""
        if (lost_ms, underruns) != self._seen:
            self._seen, self._seen_ns = (lost_ms, underruns), now_ns
        if self._seen == self._told or now_ns - self._seen_ns < _OVER_NS:
            return None
        if self._told_ns is not None and now_ns - self._told_ns < _AGAIN_NS:
            return None
        lost_ms, underruns = lost_ms - self._told[0], underruns - self._told[1]
        self._told, self._told_ns = self._seen, now_ns
        microphone = [f"{lost_ms:.0f} ms of the microphone were lost"] if lost_ms else []
        times = "once" if underruns == 1 else f"{underruns} times"
        loudspeaker = [f"the loudspeaker ran dry {times}"] if underruns else []
        return f"the machine was too busy: {', and '.join([*microphone, *loudspeaker])}"
