"""A few steps on a CPU with a tiny random model."""

from collections.abc import Sequence

import pytest
import torch
from torch.nn import functional as F  # noqa: N812  # torch's own name for it

from llm.gguf.file import GgufFile
from llm.train.adapter import Adapter
from llm.train.encode import Encoded
from llm.train.loop import Data, Settings, held_loss, reply_loss, schedule, train
from llm.train.model import Llama, read_llama

CPU = torch.device("cpu")
EXAMPLES = [Encoded((10, 20, 30, 40 + i, 50, 60 + i), 3) for i in range(8)] + [Encoded((1, 2, 3), 1)]
HELD = [Encoded((5, 6, 7, 8), 1), Encoded((90, 91, 92, 93, 94, 95), 2)]
DATA = Data(EXAMPLES, HELD)
QUICK = Settings(rank=4, rate=1e-2, epochs=20, batch=4)


@pytest.fixture
def model(small: GgufFile) -> Llama:
    return read_llama(small, CPU)


def silent(_line: str) -> None:
    """A log that nobody reads."""


def loss_one_by_one(model: Llama, examples: Sequence[Encoded], adapter: Adapter | None) -> float:
    """Mean over all the replies' tokens, each sequence alone and without padding."""
    losses = []
    for example in examples:
        logits = model.logits(model.hidden(torch.tensor([example.ids]), adapter))[0]
        losses += [
            F.cross_entropy(logits[i - 1], torch.tensor(example.ids[i]))
            for i in range(example.start, len(example.ids))
        ]
    return float(torch.stack(losses).mean().detach())


def test_only_the_replies_tokens_count_and_padding_does_not(model: Llama) -> None:
    adapter = Adapter(model.config, 4, 8.0)
    found = float(reply_loss(model, adapter, EXAMPLES).detach())
    assert found == pytest.approx(loss_one_by_one(model, EXAMPLES, adapter), rel=1e-5)


def test_the_drift_is_the_divergence_from_the_base(model: Llama) -> None:
    torch.manual_seed(0)
    adapter = Adapter(model.config, 4, 8.0)
    assert float(held_loss(model, adapter, HELD).detach()) == pytest.approx(0.0, abs=1e-6)
    for parameter in adapter.b.values():
        parameter.data = torch.randn(parameter.shape) * 0.1
    divergences = []
    for example in HELD:
        base, adapted = (
            model.logits(model.hidden(torch.tensor([example.ids]), delta))[0].double().softmax(1)
            for delta in (None, adapter)
        )
        for i in range(example.start, len(example.ids)):
            p, q = base[i - 1], adapted[i - 1]
            divergences.append(float((p * (p / q).log()).sum().detach()))
    found = float(held_loss(model, adapter, HELD).detach())
    assert found == pytest.approx(sum(divergences) / len(divergences), rel=1e-4)


def test_what_is_held_drifts_less(model: Llama) -> None:
    drifts = [
        float(held_loss(model, train(model, DATA, Settings(4, 1e-2, 20, 4, hold), silent), HELD).detach())
        for hold in (0.0, 4.0)
    ]
    assert drifts[1] < 0.3 * drifts[0]


def test_training_learns_the_replies_and_leaves_the_base_alone(model: Llama) -> None:
    before = {name: weight.clone() for name, weight in model.layers[0].items()}
    base = loss_one_by_one(model, EXAMPLES, None)
    adapter = train(model, DATA, QUICK, silent)
    assert loss_one_by_one(model, EXAMPLES, adapter) < 0.5 * base
    assert loss_one_by_one(model, EXAMPLES, None) == base
    assert all(torch.equal(before[name], weight) for name, weight in model.layers[0].items())


def test_the_same_seed_gives_the_same_adapter(model: Llama) -> None:
    first, second = (train(model, DATA, QUICK, silent, 5).state_dict() for _ in range(2))
    other = train(model, DATA, Settings(4, 1e-2, 20, 4, seed=1), silent, 5).state_dict()
    assert all(torch.equal(first[name], second[name]) for name in first)
    assert not all(torch.equal(first[name], other[name]) for name in first)


def test_it_says_how_the_loss_falls(model: Llama) -> None:
    lines: list[str] = []
    train(model, DATA, Settings(4, 1e-2, 30, 4), lines.append)
    assert [line.split(":")[0].strip() for line in lines] == ["step 50 of 68", "step 68 of 68"]
    first, last = (float(line.split("replies ")[1].split(",")[0]) for line in lines)
    assert last < first


def test_the_rate_rises_and_falls() -> None:
    rates = [schedule(step, 100) for step in range(100)]
    assert rates[:5] == pytest.approx([0.2, 0.4, 0.6, 0.8, 1.0])
    assert rates[5] == pytest.approx(1.0)
    assert rates[5:] == sorted(rates[5:], reverse=True)
    assert rates[-1] == pytest.approx(0.1, abs=1e-3)
