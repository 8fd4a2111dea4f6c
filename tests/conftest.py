import functools
from collections.abc import Callable
from pathlib import Path

import pytest

from assistant.models.store import ModelStore


@pytest.fixture(scope="session")
def model_path() -> Callable[[str], Path]:
    """Return the path of a model by name, fetched into the per-user cache on first use and verified."""
    return functools.cache(ModelStore().path)
