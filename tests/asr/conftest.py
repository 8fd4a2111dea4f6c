from collections.abc import Callable
from pathlib import Path

import pytest

from asr.recognizer import Recognizer
from assistant.models.speech import ASR, AsrPaths, load_recognizer


@pytest.fixture(scope="session")
def default_recognizer(model_path: Callable[[str], Path]) -> Recognizer:
    """The default recognizer, loaded once for all tests: what a session hears is kept outside it."""
    return load_recognizer(AsrPaths(*map(model_path, ASR)))
