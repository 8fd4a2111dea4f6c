from collections.abc import Iterator

import pytest
from llama_files import SMALL, one_thread, write_llama

from llm.gguf.file import GgufFile, open_gguf


@pytest.fixture(autouse=True)
def single() -> Iterator[None]:
    with one_thread():
        yield


@pytest.fixture(scope="session")
def small(tmp_path_factory: pytest.TempPathFactory) -> GgufFile:
    """A random model with a tokenizer of single bytes."""
    return open_gguf(write_llama(tmp_path_factory.mktemp("train") / "small.gguf", SMALL))
