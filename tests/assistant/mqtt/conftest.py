from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from brokers import Broker, running


@pytest.fixture
async def broker(tmp_path: Path) -> AsyncIterator[Broker]:
    """A broker that anyone may use."""
    async with running(tmp_path) as started:
        yield started
