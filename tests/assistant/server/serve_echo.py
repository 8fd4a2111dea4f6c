"""`assistant serve` in a process of its own, with a scripted conversation in place of the models."""

import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace

from serving import Echo

from assistant.commands.serve import read_settings, run_serve
from assistant.config import Config
from assistant.server.metrics import Metrics


@contextmanager
def opened(_: Config, __: Metrics) -> Iterator[Echo]:
    yield Echo()
    print("closed", threading.active_count(), flush=True)


if __name__ == "__main__":
    drain_s, style = float(sys.argv[1]), sys.argv[2]
    config = read_settings(None, None, 0, None, None)
    config = replace(config, server=replace(config.server, drain_s=drain_s))
    run_serve(config, "json" if style == "json" else "text", opened)
