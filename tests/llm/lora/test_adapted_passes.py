"""Adapters in passes of the compiled kernel, against torch with the adapter merged into its weights."""

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from adapter_files import Factors, deltas, random_factors, write_gguf_adapter, write_hub
from hypothesis import given, settings
from hypothesis import strategies as st
from llama_files import SMALL, SMALL_QWEN2, SMALL_QWEN3, one_thread, real_model
from numpy.typing import NDArray
from quantized_files import dequantized, quantized_weights, write_quantized
from torch_llama import Llama, TorchEngine

from kernels.cpu import Adapter as KernelAdapter
from kernels.cpu import llama as llama_cpu
from llm.cpu.adapter import prepare
from llm.cpu.model import CpuConfig, CpuModel
from llm.cpu.native import NativeRunner, read_model
from llm.decode.drafts import prompt_lookups
from llm.decode.generate import GenerateConfig, Token, generate
from llm.decode.speculate import Speculator
from llm.gguf.config import LlamaConfig, read_config
from llm.gguf.file import GgufFile, open_gguf
from llm.gguf.quants import GgmlType
from llm.lora import Adapter, merge, open_adapter
from llm.serve.batch import Part
from llm.serve.cache import KvLayout, KvSlots
from llm.text.tokenizer import Tokenizer

pytestmark = pytest.mark.skipif(not llama_cpu.supported(), reason="not compiled, or another processor")

Logits = NDArray[np.float32]
LLAMA = replace(SMALL, heads=4, kv_heads=2, head_dim=16, width=64, hidden=96)
CONFIGS = {
    "llama": LLAMA,
    "llama, heads of 80": replace(LLAMA, heads=2, kv_heads=2, head_dim=80, width=160),
    "qwen2": replace(SMALL_QWEN2, heads=4, kv_heads=2, head_dim=16, width=64, hidden=96),
    "qwen3": replace(SMALL_QWEN3, heads=6, kv_heads=2, head_dim=32, width=64, hidden=96),
}
TYPES = {"ffn": GgmlType.Q4_1, "attn": GgmlType.Q8_0, "embd": GgmlType.Q8_0}
CONTEXT = 128
IDS = np.random.default_rng(0).integers(0, SMALL.vocabulary, 100).tolist()


@pytest.fixture(autouse=True, scope="module", params=list(llama_cpu.AVAILABLE))
def quick(request: pytest.FixtureRequest) -> Iterator[None]:
    """On each extension that this processor can run."""
    with one_thread(), pytest.MonkeyPatch.context() as patched:
        patched.setattr(llama_cpu, "_library", llama_cpu.AVAILABLE[request.param])
        yield


def write_base(folder: Path, config: LlamaConfig) -> GgufFile:
    return open_gguf(write_quantized(folder / "m.gguf", config, quantized_weights(config, TYPES)))


def write_merged(folder: Path, config: LlamaConfig, factors: Factors, scale: float) -> GgufFile:
    """The base, dequantized, with the adapter in its weights, all in float32."""
    tensors = quantized_weights(config, TYPES)
    added = deltas(config, factors, scale)
    weights = {name: dequantized(tensor) + added.get(name, np.float32(0)) for name, tensor in tensors.items()}
    full = {name: (GgmlType.F32, w.shape, w.astype(np.float32).tobytes()) for name, w in weights.items()}
    return open_gguf(write_quantized(folder / "merged.gguf", config, full))


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> GgufFile:
    return write_base(tmp_path_factory.mktemp("adapted"), LLAMA)


def adapter_of(
    base: GgufFile, folder: Path, *, rank: int = 4, seed: int = 0, size: float = 0.3, targets: str = ""
) -> Adapter:
    names = {"targets": tuple(targets.split())} if targets else {}
    factors = random_factors(LLAMA, rank, seed=seed, size=size, **names)  # type: ignore[arg-type]
    return open_adapter(write_hub(folder / f"{rank}-{seed}-{size}", factors, alpha=rank), base)


@pytest.fixture(scope="module")
def first(base: GgufFile, tmp_path_factory: pytest.TempPathFactory) -> Adapter:
    return adapter_of(base, tmp_path_factory.mktemp("first"), rank=4, seed=1)


@pytest.fixture(scope="module")
def second(base: GgufFile, tmp_path_factory: pytest.TempPathFactory) -> Adapter:
    """Of another rank, and not of all matrices."""
    folder = tmp_path_factory.mktemp("second")
    return adapter_of(base, folder, rank=19, seed=2, targets="attn_k attn_output ffn_up")


def runner(base: GgufFile, slots: int = 1, threads: int = 1) -> NativeRunner:
    config = read_config(base)
    return NativeRunner(
        read_model(base, config, CONTEXT), KvSlots(KvLayout(config, None), slots, CONTEXT), threads=threads
    )


def read(base: GgufFile, adapter: Adapter | None, count: int = len(IDS)) -> Logits:
    """Logits behind each of the first tokens, in a pass of their own."""
    return runner(base)([Part(0, 0, IDS[:count], count, adapter=adapter)])[0]


def exact(file: GgufFile) -> Logits:
    return TorchEngine(Llama(file), CONTEXT).extend(IDS, len(IDS))


def distance(a: Logits, b: Logits) -> float:
    """Root mean square of the difference, in standard deviations of b."""
    return float(np.sqrt(np.mean((a - b) ** 2)) / b.std())


@pytest.mark.parametrize("config", CONFIGS.values(), ids=CONFIGS.keys())
@pytest.mark.parametrize("rank", [1, 8, 16, 40])
def test_a_quantized_base_with_an_adapter_is_the_dequantized_one_with_it_merged(
    config: LlamaConfig, rank: int, tmp_path: Path
) -> None:
    base, factors = write_base(tmp_path, config), random_factors(config, rank)
    adapter = open_adapter(write_hub(tmp_path / "a", factors, alpha=0.8 * rank), base)
    wanted, without = exact(write_merged(tmp_path, config, factors, 0.8)), exact(base)
    # What is left is the rounding of activations, which the base has as well, and of A: 0.4 % of its rows.
    rounding = distance(read(base, None), without)
    assert distance(wanted, without) > 3 * rounding  # the adapter does something
    assert distance(read(base, adapter), wanted) < 1.5 * rounding + 0.01


@pytest.mark.parametrize("rank", [8, 16])
@pytest.mark.parametrize(
    "target", ["attn_q", "attn_k", "attn_v", "attn_output", "ffn_gate", "ffn_up", "ffn_down"]
)
def test_each_target_by_itself(target: str, rank: int, base: GgufFile, tmp_path: Path) -> None:
    factors = random_factors(LLAMA, rank, targets=[target], size=1)
    adapter = open_adapter(write_gguf_adapter(tmp_path / "a.gguf", LLAMA, factors, alpha=rank), base)
    wanted, without = exact(write_merged(tmp_path, LLAMA, factors, 1)), exact(base)
    assert distance(read(base, adapter), wanted) < 0.3 * distance(without, wanted)


@pytest.mark.parametrize("size", [1e-7, 1e6])
def test_factors_that_float16_cannot_tell(size: float, base: GgufFile, tmp_path: Path) -> None:
    """A of one size with B of the other: the product is what it was."""
    plain = random_factors(LLAMA, 4)
    factors = {name: (np.float32(size) * a, b / np.float32(size)) for name, (a, b) in plain.items()}
    one = open_adapter(write_hub(tmp_path / "a", factors, alpha=4), base)
    other = open_adapter(write_hub(tmp_path / "b", plain, alpha=4), base)
    assert distance(read(base, one), read(base, other)) < 0.005  # some activation falls to another code


def test_an_untrained_adapter_changes_no_bit(base: GgufFile, tmp_path: Path) -> None:
    """B is zero then."""
    factors = {name: (a, 0 * b) for name, (a, b) in random_factors(LLAMA, 8).items()}
    adapter = open_adapter(write_hub(tmp_path / "a", factors), base)
    np.testing.assert_array_equal(read(base, adapter), read(base, None))


@given(data=st.data())
@settings(max_examples=40, deadline=None)
def test_rows_of_several_sequences_get_what_each_gets_alone(
    base: GgufFile, first: Adapter, second: Adapter, data: st.DataObject
) -> None:
    """To the bit, however passes are cut and whoever is in them, on one thread or two."""
    adapters = (first, None, second, first)
    together = runner(base, slots=4, threads=data.draw(st.sampled_from([1, 2, 3])))
    alone = [read(base, adapter, 60) for adapter in adapters]
    held = [0, 0, 0, 0]
    for _ in range(data.draw(st.integers(1, 6))):
        lengths = data.draw(st.lists(st.sampled_from([0, 1, 1, 2, 5, 15]), min_size=4, max_size=4))
        slots = [
            slot for slot in data.draw(st.permutations(range(4))) if 0 < lengths[slot] <= 60 - held[slot]
        ]
        if not slots:
            continue
        ends = [held[slot] + lengths[slot] for slot in slots]
        parts = [
            Part(slot, held[slot], IDS[held[slot] : end], lengths[slot], adapter=adapters[slot])
            for slot, end in zip(slots, ends, strict=True)
        ]
        for slot, end, logits in zip(slots, ends, together(parts), strict=True):
            np.testing.assert_array_equal(logits, alone[slot][held[slot] : end])
            held[slot] = end


def test_a_prompt_beside_a_step_with_another_adapter(base: GgufFile, first: Adapter, second: Adapter) -> None:
    together = runner(base, slots=2, threads=2)
    together([Part(0, 0, IDS[:50], 0, adapter=first)])
    step, prompt = together(
        [Part(0, 50, IDS[50:51], 1, adapter=first), Part(1, 0, IDS[:90], 1, adapter=second)]
    )
    np.testing.assert_array_equal(step[0], read(base, first)[50])
    np.testing.assert_array_equal(prompt[0], read(base, second)[89])


# Sessions of a model


def open_model(base: GgufFile, **changes: object) -> CpuModel:
    config = {"context": CONTEXT, "sessions": 3, "threads": 1, "kernel": "compiled", **changes}
    return CpuModel(base, CpuConfig(**config))  # type: ignore[arg-type]


def test_sessions_at_once_give_what_each_gives_alone(base: GgufFile, first: Adapter, second: Adapter) -> None:
    wanted = {adapter: read(base, adapter, 60) for adapter in (first, second, None)}
    model = open_model(base)

    def write(adapter: Adapter | None) -> Logits:
        with model.open(wait_s=60, adapter=adapter) as engine:
            return np.concatenate([engine.extend(IDS[:30], 30), *(engine.extend([i]) for i in IDS[30:60])])

    with ThreadPoolExecutor(3) as pool:
        for _ in range(3):  # the second and third time with prefixes of all of them in the store
            got = list(pool.map(write, wanted))
            for logits, alone in zip(got, wanted.values(), strict=True):
                np.testing.assert_array_equal(logits, alone)
    assert model.prefixes.used


def test_what_an_adapter_has_computed_is_no_others(base: GgufFile, first: Adapter, second: Adapter) -> None:
    model = open_model(base)

    def computed(adapter: Adapter | None) -> int:
        """Tokens read of 70, of which the first 64 fill blocks."""
        with model.open(adapter=adapter) as engine:
            np.testing.assert_array_equal(engine.extend(IDS[:70])[0], read(base, adapter, 70)[-1])
            return read_of(model)

    read_tokens: list[int] = []
    run = model._runner

    def counted(parts: list[Part]) -> list[Logits]:
        read_tokens.append(sum(len(part.tokens) for part in parts))
        return run(parts)

    def read_of(_: CpuModel) -> int:
        return read_tokens.pop()

    model._runner = counted  # type: ignore[assignment]
    assert [computed(adapter) for adapter in (first, second, None)] == [70, 70, 70]
    assert [computed(adapter) for adapter in (first, second, None)] == [6, 6, 6]


def test_an_adapter_read_twice_shares_its_prefixes(base: GgufFile, tmp_path: Path) -> None:
    """By its digest, in another process of tomorrow as well; another scale is another adapter."""
    factors = random_factors(LLAMA, 4)
    folder = write_hub(tmp_path / "a", factors)
    model = open_model(base)
    with model.open(adapter=open_adapter(folder, base)) as engine:
        engine.extend(IDS[:70])
    used = model.prefixes.used
    with model.open(adapter=open_adapter(folder, base)) as engine:
        engine.extend(IDS[:70])
    assert model.prefixes.used == used
    write_hub(folder, factors, alpha=3)
    with model.open(adapter=open_adapter(folder, base)) as engine:
        engine.extend(IDS[:70])
    assert model.prefixes.used == 2 * used


def test_sequences_that_fork_off_a_prefix(base: GgufFile, first: Adapter, second: Adapter) -> None:
    """Common beginnings, with different ends, in a store that holds five blocks of them."""
    block = 32 * 2 * 2 * 2 * 16 * 4 * LLAMA.layers // 2
    model = open_model(base, prefix_bytes=5 * block)
    rng = np.random.default_rng(3)
    for _ in range(12):
        adapter = (first, second, None)[rng.integers(3)]
        ids = [*IDS[:40], *rng.integers(0, SMALL.vocabulary, 40).tolist()]
        with model.open(adapter=adapter) as engine:
            got = engine.extend(ids)[0]
        np.testing.assert_array_equal(got, runner(base)([Part(0, 0, ids, 1, adapter=adapter)])[0][0])
        assert model.prefixes.used <= model.prefixes.budget


def test_the_models_own_adapter_is_that_of_sessions_which_name_none(
    base: GgufFile, first: Adapter, second: Adapter
) -> None:
    model = CpuModel(base, CpuConfig(context=CONTEXT, threads=1, kernel="compiled"), adapter=first)
    with model.open() as engine:
        assert engine.adapter is first
        np.testing.assert_array_equal(engine.extend(IDS, len(IDS)), read(base, first))
    with model.open(adapter=None) as engine:
        np.testing.assert_array_equal(engine.extend(IDS, len(IDS)), read(base, None))
    with model.open(adapter=second) as engine:
        np.testing.assert_array_equal(engine.extend(IDS, len(IDS)), read(base, second))


def test_int8_keys_and_values_are_scaled_for_the_models_own_adapter(base: GgufFile, tmp_path: Path) -> None:
    """One that makes values ten times as large, which the scales of the base would clip."""
    large = adapter_of(base, tmp_path, rank=8, seed=4, size=10, targets="attn_v")
    config = CpuConfig(context=CONTEXT, threads=1, kv="int8", kernel="compiled", prefix_bytes=0)
    wanted = read(base, large)
    with CpuModel(base, config, adapter=large).open() as engine:
        assert distance(engine.extend(IDS, len(IDS)), wanted) < 0.1
    with CpuModel(base, config).open(adapter=large) as engine:
        assert distance(engine.extend(IDS, len(IDS)), wanted) > 0.1


def test_truncating_and_going_on(base: GgufFile, first: Adapter) -> None:
    with open_model(base).open(adapter=first) as engine:
        engine.extend(IDS[:60])
        engine.truncate(20)
        got = engine.extend(IDS[20:50], 30)
    np.testing.assert_array_equal(got, read(base, first)[20:50])


def test_speculation_changes_no_token(base: GgufFile, first: Adapter) -> None:
    tokenizer = Tokenizer.from_gguf(base)
    config = GenerateConfig(max_tokens=60, enough_chars=0)
    prompt = [*IDS[:20], *IDS[:20]]

    def reply(speculator: Speculator | None) -> list[int]:
        with open_model(base, prefix_bytes=0).open(adapter=first) as engine:
            events = list(generate(engine, tokenizer, prompt, config, speculator=speculator))
        return [event.id for event in events if isinstance(event, Token)]

    ticks = iter(range(0, 10**9, 1000))
    assert reply(Speculator(prompt_lookups(), lambda: next(ticks))) == reply(None)


# What the kernel believes is checked


def test_an_adapter_of_another_shape_is_refused(base: GgufFile, first: Adapter) -> None:
    run = runner(base)._pass
    row = np.zeros(1, np.int32)
    args = row.astype(np.int64), row, row, row
    fits = prepare(first, LLAMA)
    assert np.isfinite(run.run(*args, [fits])).all()
    with pytest.raises(ValueError, match="2 adapters for 1 rows"):
        run.run(*args, [fits, None])
    with pytest.raises(ValueError, match="layers"):
        run.run(*args, [KernelAdapter(fits.layers[:1])])
    low = fits.layers[0]["out"]
    for wrong in (
        replace(low, b=[low.b[0][:1]]),  # type: ignore[index]
        replace(low, b=[None]),
        replace(low, b=[*low.b, low.b[0]]),
        replace(low, scales=low.scales[:3]),
        replace(low, a=replace(low.a, k=32)),
        replace(low, a=replace(low.a, bits=4)),
    ):
        with pytest.raises(ValueError):
            run.run(*args, [KernelAdapter([{"out": wrong}, {}])])


@pytest.mark.models
def test_the_real_model_with_an_adapter_is_the_merged_one(
    model_path: Callable[[str], Path], tmp_path: Path
) -> None:
    path = model_path("smollm2-135m-instruct-q4_1")
    base = open_gguf(path)
    config = read_config(base)
    adapter = open_adapter(
        write_hub(tmp_path / "a", random_factors(config, 8, size=0.2, seed=5), alpha=8), base
    )
    ids = Tokenizer.from_gguf(base).encode("It was the best of times, it was the worst of times, it was")
    wanted = TorchEngine(Llama(merge(base, adapter)), 64).extend(ids, len(ids))
    without = TorchEngine(real_model(path), 64).extend(ids, len(ids))

    def near(adapter: Adapter | None) -> Logits:
        with CpuModel(base, CpuConfig(context=64, kernel="compiled")).open(adapter=adapter) as engine:
            return engine.extend(ids, len(ids))

    assert distance(without, wanted) > 0.2
    assert distance(near(adapter), wanted) < 1.5 * distance(near(None), without)
