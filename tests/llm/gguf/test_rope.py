from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from llama_files import SMALL, SMALL_QWEN2, random_weights, write_llama

from llm.cpu.model import CpuConfig, CpuModel
from llm.gguf.config import LlamaConfig
from llm.gguf.file import GgufError, GgufFile, open_gguf
from llm.gguf.rope import rope_frequencies

CONFIG = replace(SMALL, head_dim=16, width=64)
FACTORS = np.array([1, 1, 1.5, 2, 4, 8, 8, 8], np.float32)


def with_factors(path: Path, factors: np.ndarray) -> GgufFile:
    return open_gguf(
        write_llama(path, CONFIG, weights=random_weights(CONFIG) | {"rope_freqs.weight": factors})
    )


@pytest.mark.parametrize("config", [SMALL, SMALL_QWEN2], ids=["llama", "qwen2"])
def test_pairs_turn_by_powers_of_the_base(tmp_path: Path, config: LlamaConfig) -> None:
    file = open_gguf(write_llama(tmp_path / "m.gguf", config))
    expected = [1, 100**-0.25, 0.1, 100**-0.75]  # with heads of 8 channels and the base 100
    assert rope_frequencies(file, config) == pytest.approx(expected, rel=1e-12)


def test_the_factors_of_a_file_divide_them(tmp_path: Path) -> None:
    plain = rope_frequencies(open_gguf(write_llama(tmp_path / "plain.gguf", CONFIG)), CONFIG)
    scaled = rope_frequencies(with_factors(tmp_path / "m.gguf", FACTORS), CONFIG)
    assert scaled * [1, 1, 1.5, 2, 4, 8, 8, 8] == pytest.approx(plain, rel=1e-12)


@pytest.mark.parametrize("factor", [0.0, -1.0, float("nan"), float("inf")])
def test_factors_that_cannot_be_are_refused(tmp_path: Path, factor: float) -> None:
    wrong = FACTORS.copy()
    wrong[3] = factor
    file = with_factors(tmp_path / "m.gguf", wrong)
    with pytest.raises(GgufError, match=r"'rope_freqs\.weight' is not positive and finite"):
        rope_frequencies(file, CONFIG)
    with pytest.raises(GgufError, match=r"rope_freqs\.weight"):
        CpuModel(file, CpuConfig(context=64))
