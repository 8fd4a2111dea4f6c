"""The quick look at an engine's speed, on an engine that moves its own clock."""

import pytest
from table_engine import TableEngine, constant_table

from llm.eval.quick import quick_speed

IDS = [n % 7 for n in range(400)]
MS = 1_000_000


class Timed(TableEngine):
    """A clock that its work moves: `read_ms` a token of a prompt, `write_ms` a single one."""

    def __init__(self, read_ms: int, write_ms: int, context: int = 400) -> None:
        super().__init__(constant_table([0.0] * 7, context))
        self.read_ms, self.write_ms, self.now_ns = read_ms, write_ms, 0

    def extend(self, tokens, logits_for=1):  # noqa: ANN001
        self.now_ns += MS * (self.write_ms if len(tokens) == 1 else self.read_ms * len(tokens))
        return super().extend(tokens, logits_for)


@pytest.mark.parametrize(
    ("read_ms", "write_ms", "prompt", "written", "total_s"),
    [
        (1, 5, 128, 64, 0.240 + 65 * 0.005),
        (10, 100, 64, 21, 1.12 + 22 * 0.1),  # 112 x 10 ms; another 128 would take 1.28 s more
        (50, 1500, 16, 2, 0.8 + 3 * 1.5),
        (2000, 9000, 16, 1, 32 + 2 * 9),
    ],
)
def test_it_stops_after_its_time(read_ms: int, write_ms: int, prompt: int, written: int, total_s: float):
    engine = Timed(read_ms, write_ms)
    found = quick_speed(engine, IDS, now_ns=lambda: engine.now_ns)
    assert found.prompt_tokens == prompt
    assert found.prefill_tokens_per_s == pytest.approx(1000 / read_ms)
    assert found.decode_tokens_per_s == pytest.approx(1000 / write_ms)
    assert len(engine.tokens) == prompt + 1 + written
    assert engine.now_ns == pytest.approx(total_s * 1e9)


def test_a_short_context_is_not_left():
    engine = Timed(1, 5, context=40)
    assert quick_speed(engine, IDS, now_ns=lambda: engine.now_ns).prompt_tokens == 32
    assert len(engine.tokens) == 40


def test_no_prompt_begins_as_another():
    engine = Timed(1, 5)
    distinct = list(range(400))
    engine.table = constant_table([0.0] * 400, 400)
    quick_speed(engine, distinct, now_ns=lambda: engine.now_ns)
    read = [token for call in engine.calls if isinstance(call, tuple) for token in call[0]]
    assert read == distinct[:305]
