from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from llama_files import SMALL
from numpy.typing import NDArray

from llm.gguf.config import Rotary
from llm.serve.cache import BLOCK, BudgetTooSmall, Kv, KvLayout, KvSlots, PrefixStore, block_names

CONFIG = replace(SMALL, layers=2, kv_heads=2, head_dim=16)
FREQUENCIES = 100.0 ** -(np.arange(0, 16, 2) / 16)
PIECE = 48  # bytes of a block in the tests of the store

Prefix = tuple[int, ...]


def scales(seed: int = 0) -> NDArray[np.float32]:
    """Of int8 keys and values up to about four; those of a pair of channels differ by up to four times."""
    shape = (CONFIG.layers, 2, CONFIG.kv_heads, 1, CONFIG.head_dim)
    return np.random.default_rng(seed).uniform(0.01, 0.04, shape).astype(np.float32)


def filled(layout: KvLayout, slots: int = 3, capacity: int = 40) -> KvSlots:
    kv, rng = KvSlots(layout, slots, capacity), np.random.default_rng(1)
    for layer in kv.layers:
        for part in layer:
            part[:] = rng.integers(-100, 100, part.shape)
    return kv


@pytest.mark.parametrize(("scale", "dtype", "token"), [(None, np.float32, 512), (scales(), np.int8, 128)])
def test_a_token_takes_its_keys_and_values_in_all_layers(
    scale: NDArray[np.float32] | None, dtype: type, token: int
) -> None:
    layout = KvLayout(CONFIG, scale)
    kv = KvSlots(layout, 3, 40)
    assert layout.token_bytes == token  # 2 layers x 2 x 2 heads x 16 channels
    assert sum(part.nbytes for layer in kv.layers for part in layer) == 3 * 40 * token
    assert {part.dtype for layer in kv.layers for part in layer} == {np.dtype(dtype)}


@pytest.mark.parametrize("scale", [None, scales()])
def test_what_is_read_is_a_copy_and_is_written_to_one_slot_only(scale: NDArray[np.float32] | None) -> None:
    kv, before = filled(KvLayout(CONFIG, scale)), filled(KvLayout(CONFIG, scale))
    held = kv.read(1, 5, 9)
    assert held.shape == (2, 2, 2, 4, 16)
    for i, layer in enumerate(kv.layers):
        for j, part in enumerate(layer):
            np.testing.assert_array_equal(held[i, j], part[1, :, 5:9])
    kept = held.copy()
    kv.write(2, 36, held)
    kv.write(1, 5, np.zeros_like(held))
    np.testing.assert_array_equal(held, kept)
    for layer, was in zip(kv.layers, before.layers, strict=True):
        for part, old in zip(layer, was, strict=True):
            expected = old.copy()
            expected[2, :, 36:40] = old[1, :, 5:9]
            expected[1, :, 5:9] = 0
            np.testing.assert_array_equal(part, expected)


def at_positions(
    keys: NDArray[np.float64], positions: NDArray[np.int64], rotary: Rotary
) -> NDArray[np.float64]:
    """Keys [heads, tokens, channels] turned to their positions: pairs of channels as complex numbers."""
    first, second = pair_of(keys, rotary)
    turned = (first + 1j * second) * np.exp(1j * positions[:, None] * FREQUENCIES)
    parts = (turned.real, turned.imag)
    return np.stack(parts, -1).reshape(keys.shape) if rotary == "interleaved" else np.concatenate(parts, -1)


def pair_of(channels: NDArray[Any], rotary: Rotary) -> tuple[NDArray[Any], NDArray[Any]]:
    if rotary == "interleaved":
        return channels[..., 0::2], channels[..., 1::2]
    return channels[..., : CONFIG.head_dim // 2], channels[..., CONFIG.head_dim // 2 :]


spans = st.lists(st.integers(0, 40), min_size=3, max_size=3).map(sorted)


@pytest.mark.parametrize("rotary", ["interleaved", "half"])
@given(span=spans, slot=st.integers(0, 2), seed=st.integers(0, 9))
@settings(max_examples=40, deadline=None)
def test_keys_behind_a_cut_are_those_of_their_new_positions(
    rotary: Rotary, span: list[int], slot: int, seed: int
) -> None:
    start, stop, length = span
    kv = filled(KvLayout(replace(CONFIG, rotary=rotary), None))
    raw = np.random.default_rng(seed).normal(size=(CONFIG.kv_heads, length, CONFIG.head_dim))
    for keys, _ in kv.layers:
        keys[slot, :, :length] = at_positions(raw, np.arange(length), rotary)
    before = [[part.copy() for part in layer] for layer in kv.layers]
    kv.shift(slot, start, stop, length, FREQUENCIES)
    left = np.delete(np.arange(length), np.s_[start:stop])
    expected = at_positions(raw[:, left], np.arange(len(left)), rotary)
    for (keys, values), (_, old_values) in zip(kv.layers, before, strict=True):
        np.testing.assert_allclose(keys[slot, :, : len(left)], expected, atol=1e-5)
        np.testing.assert_array_equal(values[slot, :, : len(left)], old_values[slot][:, left])
    for layer, was in zip(kv.layers, before, strict=True):
        for part, old in zip(layer, was, strict=True):
            others = [i for i in range(3) if i != slot]
            np.testing.assert_array_equal(part[others], old[others])


@pytest.mark.parametrize("rotary", ["interleaved", "half"])
@given(span=spans, seed=st.integers(0, 9))
@settings(max_examples=40, deadline=None)
def test_int8_keys_behind_a_cut_are_within_a_step(rotary: Rotary, span: list[int], seed: int) -> None:
    start, stop, length = span
    scale = scales(seed)
    kv = KvSlots(KvLayout(replace(CONFIG, rotary=rotary), scale), 1, 40)
    raw = np.random.default_rng(seed).uniform(-0.9, 0.9, (CONFIG.kv_heads, length, CONFIG.head_dim))
    turned = at_positions(raw, np.arange(length), rotary)
    for i, (keys, values) in enumerate(kv.layers):
        keys[0, :, :length] = np.rint(turned / scale[i, 0]).clip(-128, 127)
        values[0] = i + 1
    old = [values.copy() for _, values in kv.layers]
    kv.shift(0, start, stop, length, FREQUENCIES)
    left = np.delete(np.arange(length), np.s_[start:stop])
    exact = at_positions(raw[:, left], np.arange(len(left)), rotary)
    for i, (keys, values) in enumerate(kv.layers):
        # Half a step of each channel of the pair before the turn, and half a step after it.
        step = scale[i, 0]
        either = np.hypot(*pair_of(step, rotary))
        both = np.repeat(either, 2, -1) if rotary == "interleaved" else np.tile(either, 2)
        bound = 0.5 * both + 0.5 * step + 1e-6
        # Keys of the channel with the finer step may be beyond what it holds.
        clipped = exact.clip(-128 * step, 127 * step)
        assert (np.abs(keys[0, :, : len(left)] * step - clipped) <= bound).all()
        np.testing.assert_array_equal(values, old[i])


def test_a_cut_of_nothing_changes_nothing() -> None:
    for scale in (None, scales()):
        kv, before = filled(KvLayout(CONFIG, scale)), filled(KvLayout(CONFIG, scale))
        kv.shift(1, 7, 7, 30, FREQUENCIES)
        for layer, was in zip(kv.layers, before.layers, strict=True):
            np.testing.assert_array_equal(layer, was)


def tokens_of(blocks: list[int], tail: int = 0) -> list[int]:
    """Whole blocks of one token each, and a few tokens more."""
    return [block for block in blocks for _ in range(BLOCK)] + [7] * tail


def block_of(tokens: list[int], i: int) -> Kv:
    """What a store would hold for block `i`: tells from which prefix it is."""
    prefix = tokens[: (i + 1) * BLOCK : BLOCK]
    return np.array(([len(prefix), *prefix] + [0] * 12)[: PIECE // 4], np.int32)


def share(store: PrefixStore, tokens: list[int]) -> None:
    """As an engine does it."""
    store.add(tokens, {i: block_of(tokens, i) for i in store.missing(tokens)})


def depth_of(store: PrefixStore, tokens: list[int]) -> int:
    """Blocks found; each must be the right one."""
    found = store.match(tokens)
    for i, block in enumerate(found):
        np.testing.assert_array_equal(block, block_of(tokens, i))
    return len(found)


sequences = st.tuples(st.lists(st.integers(0, 1), max_size=5), st.integers(0, BLOCK - 1))


@given(
    budget=st.integers(PIECE, 6 * PIECE),
    calls=st.lists(st.tuples(st.booleans(), sequences), min_size=2, max_size=25),
)
@settings(max_examples=200, deadline=None)
def test_the_store_holds_the_prefixes_that_were_used_last(
    budget: int, calls: list[tuple[bool, tuple[list[int], int]]]
) -> None:
    store, used_at = PrefixStore(budget, PIECE), dict[Prefix, tuple[int, int]]()
    for now, (adding, (blocks, tail)) in enumerate(calls):
        tokens = tokens_of(blocks, tail)
        # Of blocks that were used at the same time the first ones count as used last.
        held = sorted(used_at, key=lambda prefix: used_at[prefix])[-(budget // PIECE) :]
        prefixes = [tuple(blocks[: i + 1]) for i in range(len(blocks))]
        depth = next((i for i, prefix in enumerate(prefixes) if prefix not in held), len(blocks))
        if adding:
            share(store, tokens)
        else:
            assert depth_of(store, tokens) == depth
        used_at |= {p: (now, -len(p)) for p in (prefixes if adding else prefixes[:depth])}
        assert store.used == PIECE * min(len(used_at), budget // PIECE) <= budget


@given(a=sequences, b=sequences)
@settings(max_examples=50, deadline=None)
def test_the_longest_common_prefix_is_found_in_whole_blocks(
    a: tuple[list[int], int], b: tuple[list[int], int]
) -> None:
    store = PrefixStore(100 * PIECE, PIECE)
    share(store, tokens_of(*a))
    common = 0
    while common < min(len(a[0]), len(b[0])) and a[0][common] == b[0][common]:
        common += 1
    assert depth_of(store, tokens_of(*b)) == common


def test_a_block_that_differs_in_one_token_is_another() -> None:
    store, tokens = PrefixStore(100 * PIECE, PIECE), tokens_of([1, 2, 1])
    share(store, tokens)
    for i, depth in ((0, 0), (BLOCK - 1, 0), (BLOCK, 1), (2 * BLOCK - 1, 1), (3 * BLOCK - 1, 2)):
        assert len(store.match([*tokens[:i], 9, *tokens[i + 1 :]])) == depth
    assert len(store.match(tokens[: 3 * BLOCK - 1])) == 2
    assert store.match(tokens[1:]) == []  # the same blocks elsewhere
    assert len(set(block_names(tokens_of([1] * 5)))) == 5


ADAPTERS = ("", "00" * 32, "ab" * 32)


@given(
    calls=st.lists(st.tuples(st.sampled_from(ADAPTERS), st.booleans(), sequences), min_size=4, max_size=25)
)
@settings(max_examples=100, deadline=None)
def test_a_block_is_found_by_the_adapter_that_computed_it_and_by_no_other(
    calls: list[tuple[str, bool, tuple[list[int], int]]],
) -> None:
    """Also where those of others are dropped for it: each is marked with its own."""
    store = PrefixStore(4 * PIECE, PIECE)
    added = set[tuple[str, Prefix]]()
    for adapter, adding, (blocks, tail) in calls:
        tokens, mark = tokens_of(blocks, tail), ADAPTERS.index(adapter)
        if adding:
            store.add(
                tokens, {i: block_of(tokens, i) + mark for i in store.missing(tokens, adapter)}, adapter
            )
            added |= {(adapter, tuple(blocks[: i + 1])) for i in range(min(len(blocks), 4))}
        found = store.match(tokens, adapter)
        for i, block in enumerate(found):
            np.testing.assert_array_equal(block, block_of(tokens, i) + mark)
            assert (adapter, tuple(blocks[: i + 1])) in added
        assert not adding or len(found) == min(len(blocks), 4)
        assert store.used <= store.budget


def test_a_budget_of_nothing_stores_nothing() -> None:
    store, tokens = PrefixStore(0, PIECE), tokens_of([1, 2])
    assert store.missing(tokens) == []
    store.add(tokens, {0: block_of(tokens, 0)})
    assert store.match(tokens) == []
    assert store.used == 0


@pytest.mark.parametrize("budget", [1, PIECE - 1])
def test_a_budget_too_small_for_a_block_is_refused(budget: int) -> None:
    with pytest.raises(BudgetTooSmall, match=f"{budget} bytes are too few .* takes {PIECE}") as caught:
        PrefixStore(budget, PIECE)
    assert (caught.value.budget, caught.value.needed) == (budget, PIECE)


def test_a_sequence_larger_than_the_budget_keeps_its_beginning() -> None:
    store, long = PrefixStore(3 * PIECE + 1, PIECE), tokens_of([1, 2, 1, 2, 1])
    share(store, tokens_of([2, 2]))
    assert store.missing(long) == [0, 1, 2]  # the others would be dropped again
    share(store, long)
    assert (depth_of(store, long), depth_of(store, tokens_of([2, 2])), store.used) == (3, 0, 3 * PIECE)


def test_what_was_not_used_for_longest_is_dropped_from_its_end() -> None:
    store = PrefixStore(4 * PIECE, PIECE)
    share(store, tokens_of([1, 1, 1]))
    share(store, tokens_of([2]))
    share(store, tokens_of([3]))
    assert depth_of(store, tokens_of([1, 1, 1])) == 2
    share(store, tokens_of([4, 4]))  # the first is used since the others
    depths = [depth_of(store, tokens_of([n] * 3)) for n in (1, 2, 3, 4)]
    assert depths == [2, 0, 0, 2]


def test_threads_find_only_what_is_right_and_the_budget_holds(quick_switches: None) -> None:
    store = PrefixStore(5 * PIECE, PIECE)

    def use(seed: int) -> int:
        rng, found = np.random.default_rng(seed), 0
        for _ in range(150):
            tokens = tokens_of(rng.integers(0, 2, 4).tolist())
            if rng.random() < 0.5:
                share(store, tokens)
            found += depth_of(store, tokens)
        return found

    with ThreadPoolExecutor(6) as pool:
        assert min(pool.map(use, range(6))) > 0
    every = {name for i in range(16) for name in block_names(tokens_of([i >> k & 1 for k in range(4)]))}
    assert store.used == PIECE * len(every & store._blocks.keys()) == 5 * PIECE
