"""The same clips through `assistant replay`, by turns with the server."""

import json
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np

from assistant.runtime import Clock
from assistant.server.bench.clips import SpokenClip, write_folder
from assistant.server.bench.errors import BenchError
from assistant.server.bench.figures import Interval, bootstrap
from assistant.server.bench.load import Load, run_load
from assistant.server.bench.server import ASSISTANT, served

_REPLAY_S = 1200


@dataclass(frozen=True)
class Beside:
    """Times to first audio of the clips that both answered, clip by clip, in ms."""

    served_ms: tuple[float, ...]
    replayed_ms: tuple[float, ...]

    @property
    def difference(self) -> Interval | None:
        """Median over the socket minus median in the replay; the clips are resampled together."""
        both = np.array([self.served_ms, self.replayed_ms])
        return bootstrap(both, lambda drawn: np.diff(np.median(drawn[::-1], axis=-1), axis=0)[0])

    @property
    def median_difference(self) -> Interval | None:
        """The median of the clips' own differences."""
        each = np.subtract(self.served_ms, self.replayed_ms)
        return bootstrap(each, lambda drawn: np.median(drawn, axis=-1))


async def beside_replay(
    clips: Sequence[SpokenClip], config: Path | None, clock: Clock, halves: int = 2
) -> Beside:
    """Speak the first half to a server and replay it, then the second; raises BenchError."""
    pairs: list[tuple[float, float]] = []
    for half in range(halves):
        some = clips[half::halves]
        if not some:
            continue
        with served(config, {}) as server:
            load = await run_load(server, some, 1, clock)
        pairs += paired(load, replayed(some, config))
    return Beside(tuple(one for one, _ in pairs), tuple(other for _, other in pairs))


def paired(load: Load, waits: Sequence[float | None]) -> list[tuple[float, float]]:
    """The waits of one client's turns beside those of the replay, where there are both."""
    both = zip((turn.ttfa_ms for turn in load.turns), waits, strict=True)
    return [(one, other) for one, other in both if one is not None and other is not None]


def replayed(clips: Sequence[SpokenClip], config: Path | None) -> list[float | None]:
    """The time to first audio of each clip in a replay; raises BenchError."""
    with TemporaryDirectory() as name:
        folder = write_folder([spoken.clip for spoken in clips], Path(name) / "clips")
        out = Path(name) / "out.json"
        words = [*ASSISTANT, "replay", str(folder), "--json", str(out)]
        words += ["--config", str(config)] if config else []
        done = subprocess.run(words, capture_output=True, text=True, timeout=_REPLAY_S, check=False)
        if done.returncode:
            last = done.stderr.strip().splitlines()[-1:] or ["it said nothing"]
            raise BenchError(f"the replay failed: {last[0]}")
        return [turn["ttfa_ms"] for turn in json.loads(out.read_text(encoding="utf-8"))["turns"]]
