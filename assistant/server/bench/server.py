"""The server that is measured: started here, or one that runs already."""

import asyncio
import json
import select
import subprocess
import sys
import tomllib
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any
from urllib.parse import urlsplit

import psutil
from prometheus_client.parser import text_string_to_metric_families

from assistant.server.bench.errors import BenchError
from assistant.text_file import read_text

ASSISTANT = (sys.executable, "-c", "from assistant.cli import main; main()")
_READY = "listening on "
_START_S = 120  # models that are not in the cache are fetched
_END_S = 40  # turns that are under way may take 25 s
_METRICS_S = 5


class Watched:
    """A server by its address, and its process if it runs here."""

    def __init__(self, url: str, process: psutil.Process | None = None) -> None:
        self.url, self.process = url, process

    def cpu_s(self) -> float | None:
        """Processor time that it has taken, if it runs here."""
        if self.process is None:
            return None
        times = self.process.cpu_times()
        return times.user + times.system

    def memory_mb(self) -> float:
        """Its resident memory, of a server that runs here."""
        assert self.process is not None
        memory: int = self.process.memory_info().rss
        return memory / 1e6

    async def figures(self) -> Mapping[str, float]:
        """The samples of /metrics, summed over their labels; raises BenchError."""
        parts = urlsplit(self.url)
        scheme = "https" if parts.scheme == "wss" else "http"
        return await asyncio.to_thread(_figures, f"{scheme}://{parts.netloc}/metrics")


def _figures(address: str) -> dict[str, float]:
    try:
        with urllib.request.urlopen(address, timeout=_METRICS_S) as answer:
            text = answer.read().decode()
    except OSError as error:
        raise BenchError(f"{address}: {error}") from error
    found: dict[str, float] = {}
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            found[sample.name] = found.get(sample.name, 0.0) + sample.value
    return found


@contextmanager
def served(
    config: Path | None,
    settings: Mapping[str, Mapping[str, Any]],
    command: Sequence[str] = (*ASSISTANT, "serve"),
) -> Iterator[Watched]:
    """Start `assistant serve` on a free port, and end it; raises BenchError.

    It gets the configuration file, with `settings` over it.
    """
    with TemporaryDirectory() as folder:
        merged = Path(folder) / "config.toml"
        merged.write_text(toml_with(config, settings), encoding="utf-8")
        errors = Path(folder) / "errors.txt"
        with errors.open("wb") as stderr:
            words = [*command, "--port", "0", "--config", str(merged)]
            process = subprocess.Popen(words, stdout=subprocess.PIPE, stderr=stderr)
        try:
            url = _address(process, errors)
            yield Watched(url, psutil.Process(process.pid))
        finally:
            _end(process)


def _address(process: "subprocess.Popen[bytes]", errors: Path) -> str:
    assert process.stdout is not None
    if select.select([process.stdout], [], [], _START_S)[0]:
        line = process.stdout.readline().decode().strip()
        if line.startswith(_READY):
            return line.removeprefix(_READY)
    said = errors.read_text(errors="replace").strip().splitlines()
    raise BenchError(f"the server did not start: {said[-1] if said else 'it said nothing'}")


def _end(process: "subprocess.Popen[bytes]") -> None:
    process.terminate()
    try:
        process.wait(_END_S)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
    assert process.stdout is not None
    process.stdout.close()


def toml_with(config: Path | None, settings: Mapping[str, Mapping[str, Any]]) -> str:
    """The TOML of a configuration file (or of none) with `settings` over it, section by section."""
    table = {} if config is None else tomllib.loads(read_text(config))
    for section, values in settings.items():
        table[section] = {**table.get(section, {}), **values}
    return "\n".join(_lines(table, ""))


def _lines(table: Mapping[str, Any], name: str) -> Iterator[str]:
    """A table in TOML; what a configuration has in it is spelt as in JSON."""
    if name:
        yield f"[{name}]"
    inner = {key: value for key, value in table.items() if isinstance(value, dict)}
    for key, value in table.items():
        if key not in inner:
            yield f"{json.dumps(key)} = {json.dumps(value)}"
    for key, value in inner.items():
        yield from _lines(value, f"{name}.{json.dumps(key)}".lstrip("."))
