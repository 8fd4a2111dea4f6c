"""The plain-torch pass over pages against the reference model, which knows neither pages nor slots."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest
import torch
from llama_files import SMALL, SMALL_QWEN2, SMALL_QWEN3, one_thread
from numpy.typing import NDArray
from quantized_files import quantized_weights, write_quantized
from torch_llama import Llama, TorchEngine

from kernels.formats.llama import PagedCache, empty_cache
from kernels.llama.reference import ReferenceRunner, misplaced, rotate, store
from llm.cuda.weights import read_weights, shape_of
from llm.gguf.config import LlamaConfig, read_config
from llm.gguf.file import GgufFile, open_gguf
from llm.gguf.quants import GgmlType

CPU = torch.device("cpu")
CONTEXT = 128
LLAMA = replace(SMALL, heads=4, kv_heads=2, head_dim=16, width=64, hidden=96)
CONFIGS = {
    "llama": LLAMA,
    "llama, one key head": replace(LLAMA, kv_heads=1, layers=3),
    "qwen2": replace(SMALL_QWEN2, heads=4, kv_heads=2, head_dim=16, width=64, hidden=96),
    "qwen3, heads wider than the stream": replace(
        SMALL_QWEN3, heads=6, kv_heads=2, head_dim=32, width=64, hidden=96
    ),
}
# All kinds are exact.
TYPES = {"ffn": GgmlType.Q4_1, "attn_output": GgmlType.Q4_0, "attn": GgmlType.Q5_0, "": GgmlType.Q8_0}
IDS = np.random.default_rng(0).integers(0, SMALL.vocabulary, 100)
Logits = NDArray[np.float32]


@pytest.fixture(scope="module", params=CONFIGS.values(), ids=CONFIGS.keys())
def file(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> GgufFile:
    path = tmp_path_factory.mktemp("reference") / "m.gguf"
    return open_gguf(write_quantized(path, request.param, quantized_weights(request.param, TYPES)))


def start(file: GgufFile, scales: torch.Tensor | None = None) -> tuple[ReferenceRunner, PagedCache]:
    """Two slots, whose pages are anywhere, and NaN where nothing was stored."""
    config = read_config(file)
    weights = read_weights(file, config, CONTEXT, CPU)
    cache = empty_cache(weights.shape, slots=3, context=CONTEXT, pages=14, device=CPU, scales=scales)
    cache.table[0] = torch.tensor([7, 2, 11, 4])
    cache.table[2] = torch.tensor([3, 9, 0, 6])
    if scales is None:
        cache.keys.fill_(torch.nan)
        cache.values.fill_(torch.nan)
    return ReferenceRunner(weights, cache), cache


def exact(file: GgufFile, ids: Sequence[int]) -> Logits:
    with one_thread():
        return TorchEngine(Llama(file), CONTEXT).extend(ids, len(ids))


def close(got: torch.Tensor, wanted: Logits) -> bool:
    """Keys and values are rounded to float16."""
    return got.shape == wanted.shape and float(np.abs(got.numpy() - wanted).max()) < 0.02


def test_a_prompt_in_pieces_and_single_tokens(file: GgufFile) -> None:
    runner, _ = start(file)
    wanted, ids = exact(file, IDS.tolist()), IDS
    assert close(runner.prefill(2, 0, ids[:40], 40), wanted[:40])
    assert close(runner.prefill(2, 40, ids[40:75], 3), wanted[72:75])
    assert runner.prefill(2, 75, ids[75:80], 0).shape == (0, SMALL.vocabulary)
    for i in range(80, 100):
        got = runner.decode(ids[i : i + 1], np.array([2]), np.array([i]), np.array([0]))
        assert close(got, wanted[i : i + 1])


def test_rows_of_several_slots_and_of_nobody_in_one_pass(file: GgufFile) -> None:
    runner, cache = start(file)
    other = IDS[::-1].copy()
    runner.prefill(0, 0, IDS[:50], 0)
    runner.prefill(2, 0, other[:20], 0)
    before = cache.keys.clone()
    got = runner.decode(
        np.array([IDS[50], other[20], 5, IDS[51], other[21], IDS[52]]),
        np.array([0, 2, 0, 0, 2, 0]),
        np.array([50, 20, -1, 51, 21, 52]),
        np.array([0, 3, 4, 5]),
    )
    of_first, of_second = exact(file, IDS[:53].tolist()), exact(file, other[:22].tolist())
    assert close(got, np.stack([of_first[50], of_first[51], of_second[21], of_first[52]]))
    changed = (cache.keys != before) & ~(cache.keys.isnan() & before.isnan())
    pages, offsets = changed.any(dim=(0, 2, 4)).nonzero(as_tuple=True)
    at = {(2, 18), (2, 19), (2, 20), (3, 20), (3, 21)}  # table[0][1] is 2, table[2][0] is 3
    assert set(zip(pages.tolist(), offsets.tolist(), strict=True)) == at


def test_int8_keys_and_values_are_close(file: GgufFile) -> None:
    config: LlamaConfig = read_config(file)
    scales = torch.full((config.layers, 2, config.kv_heads, config.head_dim), 6 / 127)
    runner, cache = start(file, scales)
    assert cache.keys.dtype == torch.int8
    wanted = exact(file, IDS[:30].tolist())
    got = runner.prefill(0, 0, IDS[:30], 30).numpy()
    assert 0 < np.sqrt(np.mean((got - wanted) ** 2)) / wanted.std() < 0.1


def test_exact_rounds_no_key_and_stores_none(file: GgufFile) -> None:
    """The first rows are in the cache, as NaN: those of the pass itself are read beside it, not from it."""
    config: LlamaConfig = read_config(file)
    scales = torch.full((config.layers, 2, config.kv_heads, config.head_dim), 6 / 127)
    wanted = exact(file, IDS[:30].tolist())
    for runner, cache in (start(file), start(file, scales)):
        before = cache.keys.clone(), cache.values.clone()
        rows = IDS[:30], np.full(30, 2), np.arange(30)
        got = runner.exact(*rows, np.array([0, 29])).numpy()
        assert np.abs(got - wanted[[0, 29]]).max() < 2e-4
        for part, old in zip((cache.keys, cache.values), before, strict=True):
            assert torch.equal(part.nan_to_num(7), old.nan_to_num(7))


@pytest.mark.parametrize("scaled", [False, True])
def test_following_reads_what_is_stored_and_says_how_far_it_is_off(file: GgufFile, scaled: bool) -> None:
    config: LlamaConfig = read_config(file)
    scales = torch.full((config.layers, 2, config.kv_heads, config.head_dim), 0.02) if scaled else None
    runner, cache = start(file, scales)
    rows = IDS[:40], np.zeros(40, int), np.arange(40)
    logits = runner.decode(*rows, np.arange(40))
    followed, off = runner.follow(*rows, np.arange(40))
    assert torch.equal(followed, logits)
    assert off < (1e-6 if scaled else 5e-4)
    part = cache.values[1, 7, :, :32]  # tokens 0 to 31 of layer 1
    part += 1 if scaled else part * 0.1
    followed, off = runner.follow(*rows, np.arange(40))
    assert not torch.allclose(followed, logits, atol=1e-2)
    assert off > 0.01


def test_what_is_misplaced_by_hand() -> None:
    shape = replace(shape_of(LLAMA), layers=1, kv_heads=1, head_dim=2)
    scales = torch.tensor([[[[0.5, 2.0]], [[1.0, 1.0]]]])
    cache = empty_cache(shape, slots=1, context=32, pages=1, device=CPU, scales=scales)
    slots, positions = torch.tensor([0, 0]), torch.tensor([3, 5])
    cache.keys[0, 0, 0, [3, 5]] = torch.tensor([[4, -2], [127, -127]], dtype=torch.int8)
    keys = torch.tensor([[[2.2, -4.9]], [[90.0, -900.0]]])  # within half a step, and where the codes end
    values = torch.tensor([[[0.4, 0.5]], [[0.0, -0.5]]])
    assert misplaced(cache, 0, slots, positions, keys, values) == 0
    values[0, 0] = torch.tensor([3.5, 4.5])  # 3 and 4 beyond what a code of 0 stands for
    norm = (3.5**2 + 4.5**2 + 0.5**2) ** 0.5
    assert misplaced(cache, 0, slots, positions, keys, values) == pytest.approx(5 / norm)
    keys[1, 0] = torch.tensor([50.0, -900.0])  # 13.25 below what 127 stands for
    values[0, 0] = 0
    norm = (2.2**2 + 4.9**2 + 50**2 + 900**2) ** 0.5
    assert misplaced(cache, 0, slots, positions, keys, values) == pytest.approx(13.25 / norm)
    halves = empty_cache(shape, slots=1, context=32, pages=1, device=CPU)
    halves.keys[0, 0, 0, [3, 5]] = keys[:, 0].half() + torch.tensor([3.0, 0.0], dtype=torch.float16)
    assert misplaced(halves, 0, slots, positions, keys, values * 0 + 1) == 1  # values are not there at all
    halves.values[0, 0, 0, [3, 5]] = 1
    off = misplaced(halves, 0, slots, positions, keys, values * 0 + 1)
    assert off == pytest.approx(3 * 2**0.5 / norm, rel=0.01)
    halves.values[0, 0, 0, 5, 1] = torch.nan
    assert np.isnan(misplaced(halves, 0, slots, positions, keys, values * 0 + 1))


@pytest.mark.parametrize("scaled", [False, True])
def test_many_rows_are_stored_as_one_by_one(scaled: bool) -> None:
    rng = torch.Generator().manual_seed(3)
    shape = shape_of(replace(LLAMA, head_dim=8))
    scales = torch.rand(2, 2, 2, 8, generator=rng) / 20 + 0.01 if scaled else None
    caches = [empty_cache(shape, slots=2, context=96, pages=6, device=CPU, scales=scales) for _ in range(2)]
    for cache in caches:
        cache.table.copy_(torch.tensor([[5, 1, 3], [0, 4, 2]]))
    slots, positions = torch.tensor([0, 0, 1, 1]), torch.tensor([31, 32, 0, 95])
    keys, values = (4 * torch.randn(4, 2, 8, generator=rng) for _ in range(2))
    store(caches[0], 1, slots, positions, keys, values)
    for i in range(4):
        caches[1].store(1, int(slots[i]), int(positions[i]), keys[i], values[i])
    assert torch.equal(caches[0].keys, caches[1].keys)
    assert torch.equal(caches[0].values, caches[1].values)
    assert caches[0].keys[1, 1, :, 0].any()  # position 32 of slot 0


def test_rotation_turns_neighbours() -> None:
    x = torch.tensor([[[1.0, 0.0, 0.0, 2.0]], [[1.0, 0.0, 3.0, 0.0]]])  # two rows of one head
    quarter = torch.tensor([[0.0, 1.0], [1.0, 0.0]])  # cos; sin is its mirror
    turned = rotate(x, quarter, 1 - quarter)
    assert turned.tolist() == [[[0.0, 1.0, 0.0, 2.0]], [[1.0, 0.0, 0.0, 3.0]]]
