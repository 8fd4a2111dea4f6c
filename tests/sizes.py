"""How much of the slowest tests runs: a quarter in `make test`, all of it in `make test-full`."""

import os

FULL = os.environ.get("FULL_TESTS") == "1"


def quarter(full: int) -> int:
    """A quarter of `full`, or `full` itself in `make test-full`."""
    return full if FULL else -(-full // 4)
