"""The model that is trained against the reference model, and batches of replies against single ones."""

from pathlib import Path

import pytest
import torch
from llama_files import SMALL, SMALL_QWEN2, random_weights, write_llama
from torch_llama import Llama as Reference
from torch_llama import TorchEngine

from llm.eval.replies import greedy
from llm.gguf.file import GgufError, GgufFile, open_gguf
from llm.train.generate import replies
from llm.train.model import read_llama

CPU = torch.device("cpu")
PROMPTS = [[1, 2, 3], [200, 30], [7], [9, 8, 7, 6, 5, 4, 3, 2, 1, 0, 99]]


@pytest.mark.parametrize("tied", [True, False])
def test_it_predicts_what_the_reference_predicts(tmp_path: Path, tied: bool) -> None:
    weights = random_weights(SMALL, tied=tied, seed=3)
    file = open_gguf(write_llama(tmp_path / "m.gguf", SMALL, weights=weights))
    ids = torch.arange(60).view(2, 30) * 3 % SMALL.vocabulary
    model = read_llama(file, CPU)
    ours = model.logits(model.hidden(ids))
    for row, found in zip(ids.tolist(), ours, strict=True):
        expected = torch.from_numpy(TorchEngine(Reference(file), 64).extend(row, len(row)))
        torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-4)


def test_batches_of_prompts_are_answered_as_one_by_one(small: GgufFile) -> None:
    alone = [greedy(TorchEngine(Reference(small), 64), prompt, 12) for prompt in PROMPTS]
    assert replies(read_llama(small, CPU), PROMPTS, frozenset(), most=12, batch=3) == alone


def test_a_reply_ends_with_the_token_that_ends_it(small: GgufFile) -> None:
    whole = replies(read_llama(small, CPU), PROMPTS[:1], frozenset(), most=12)[0]
    ends = frozenset(whole[4:5])
    (reply,) = replies(read_llama(small, CPU), PROMPTS[:1], ends, most=12)
    assert reply == whole[: whole.index(whole[4]) + 1]


def test_sampled_replies_are_the_same_with_the_same_seed(small: GgufFile) -> None:
    model = read_llama(small, CPU)

    def sampled(seed: int) -> list[list[int]]:
        generator = torch.Generator().manual_seed(seed)
        return replies(model, PROMPTS, frozenset(), most=12, sampled=(1.0, generator))

    assert sampled(1) == sampled(1)
    assert sampled(1) != sampled(2)


def test_another_architecture_is_refused(tmp_path: Path) -> None:
    file = open_gguf(write_llama(tmp_path / "m.gguf", SMALL_QWEN2))
    with pytest.raises(GgufError, match="only models of the architecture 'llama' can be trained"):
        read_llama(file, CPU)
