"""`python -m assistant.cluster.bench`: what Serve's proxy adds to the time to first audio."""

import argparse
import asyncio
import os
import socket
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory

from assistant.runtime import Clock
from assistant.server.bench.client import Refusal, converse, try_connect
from assistant.server.bench.clips import SpokenClip, speakable
from assistant.server.bench.errors import BenchError, run_command
from assistant.server.bench.measure import HeardTurn, measure
from assistant.server.bench.server import ASSISTANT, served, toml_with

_GOAL_MS = 20.0


def main() -> bool:
    """Speak each clip to one server and to one replica, and print what the proxy adds: is that the goal?"""
    parser = argparse.ArgumentParser(prog="python -m assistant.cluster.bench", description=__doc__)
    parser.add_argument("clips", type=Path, help="folder with an index.json that labels the ends of speech")
    parser.add_argument("--config", type=Path, help="TOML file, for both")
    parser.add_argument("--every", type=int, default=1, metavar="N", help="only every N-th clip")
    args = parser.parse_args()
    clips = speakable([args.clips], args.every)
    with ExitStack() as stack:
        folder = Path(stack.enter_context(TemporaryDirectory()))
        settings = {"skills": {"file": str(folder / "household.db")}}
        direct = stack.enter_context(served(args.config, settings)).url
        (folder / "cluster.toml").write_text(toml_with(args.config, settings), encoding="utf-8")
        proxied = stack.enter_context(_cluster(folder / "cluster.toml", folder))
        pairs = asyncio.run(_pairs(clips, direct, proxied))
    return _report(pairs)


@contextmanager
def _cluster(config: Path, state: Path) -> Iterator[str]:
    """One replica on a free port; what `assistant cluster` remembers is kept in `state`."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = str(free.getsockname()[1])
    environment = {**os.environ, "XDG_STATE_HOME": str(state)}
    command = [*ASSISTANT, "cluster"]
    up = [*command, "up", "--config", str(config), "--replicas", "1", "--port", port]
    try:
        subprocess.run(up, env=environment, stdout=sys.stderr, check=True)
        yield f"ws://127.0.0.1:{port}/v1/realtime"
    except subprocess.CalledProcessError as error:
        raise BenchError("the replica did not start") from error
    finally:
        subprocess.run([*command, "down"], env=environment, check=False)


async def _pairs(clips: Sequence[SpokenClip], direct: str, proxied: str) -> list[tuple[HeardTurn, HeardTurn]]:
    """Each clip as heard over both ways; the first clip is spoken once before, and not counted."""
    for url in (direct, proxied):
        await _turn(url, clips[0])
    pairs = []
    for number, clip in enumerate(clips):
        if number % 2:
            behind = await _turn(proxied, clip)
            pairs.append((await _turn(direct, clip), behind))
        else:
            pairs.append((await _turn(direct, clip), await _turn(proxied, clip)))
    return pairs


async def _turn(url: str, clip: SpokenClip) -> HeardTurn:
    clock = Clock()
    connection = await try_connect(url, clock)
    if isinstance(connection, Refusal):
        raise BenchError(f"{url} has no place")
    async with connection:
        return measure(clip, await converse(connection, clip, clock))


def _report(pairs: Sequence[tuple[HeardTurn, HeardTurn]]) -> bool:
    print(f"{'clip':14}{'direct':>10}{'proxy':>10}{'more':>10}   ms")
    both = []
    for one, other in pairs:
        if one.ttfa_ms is None or other.ttfa_ms is None or one.cut_into or other.cut_into:
            print(f"{one.file:14} left out: {one.broken or other.broken or 'cut into, or not answered'}")
            continue
        both.append((one.ttfa_ms, other.ttfa_ms))
        print(f"{one.file:14}{one.ttfa_ms:10.0f}{other.ttfa_ms:10.0f}{other.ttfa_ms - one.ttfa_ms:+10.0f}")
    if not both:
        raise BenchError("no clip was answered both ways")
    middle = median(direct for direct, _ in both), median(proxied for _, proxied in both)
    more = median(proxied - direct for direct, proxied in both)
    print(f"{'median':14}{middle[0]:10.0f}{middle[1]:10.0f}{more:+10.0f}   of {len(both)} pairs")
    return more <= _GOAL_MS


if __name__ == "__main__":
    run_command("python -m assistant.cluster.bench", main)
