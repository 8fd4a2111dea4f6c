"""What is told of the kernels that ran: counted by hand, on tiny models."""

from collections.abc import Sequence
from dataclasses import replace

import pytest
from llama_files import SMALL, random_weights, write_llama
from quantized_files import stored, write_quantized

from kernels.cpu import llama as llama_cpu
from llm.cpu.model import CpuConfig, CpuModel
from llm.decode.generate import Finished, GenerateConfig
from llm.decode.responder import Responder
from llm.decode.served import Kernels, Operation, Served, Tally, Unsupported, by_kernel, rows_of
from llm.gguf.file import GgufFile, open_gguf
from llm.gguf.quants import GgmlType
from llm.serve.operations import shapes
from llm.serve.sessions import SlotEngine
from llm.text.chat import ChatTemplate
from llm.text.tokenizer import Tokenizer

CONFIG = replace(SMALL, head_dim=16, width=64, heads=4, kv_heads=2, hidden=96)  # 258 tokens
CPU = CpuConfig(context=128, threads=1, prefix_bytes=0, kernel="onnxruntime")
NAMES = ["embedding", "qkv", "attention", "out", "gate_up", "down", "head"]


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> GgufFile:
    return open_gguf(write_llama(tmp_path_factory.mktemp("served") / "m.gguf", CONFIG))


def passes(served: Sequence[Served], name: str) -> dict[str, int]:
    return {one.operation.shape: one.passes for one in served if one.operation.name == name}


def test_a_tally_adds_up_the_passes_of_an_operation_over_forms() -> None:
    a, b, c = (Operation(name, "k", "s", "d") for name in "abc")
    tally: Tally[str] = Tally({"prompt": [a, b], "step": [a, c]}.__getitem__)
    for form in ("prompt", "step", "step", "step"):
        tally.add(form)
    assert list(tally.take()) == [Served(a, 4), Served(b, 1), Served(c, 3)]
    assert list(tally.take()) == []
    tally.add("step")
    assert list(tally.take()) == [Served(a, 1), Served(c, 1)]


def test_rows_are_told_as_the_next_power_of_two() -> None:
    assert [rows_of(n) for n in (1, 2, 3, 4, 5, 16, 17, 512, 513)] == [1, 2, 4, 4, 8, 16, 32, 512, 1024]


def test_kernels_are_named_once_with_all_that_they_serve() -> None:
    pairs = [("qkv", "Triton"), ("attention", "torch"), ("head", "Triton"), ("qkv", "Triton")]
    assert by_kernel(Operation(name, k, "", "") for name, k in pairs) == "Triton: qkv, head; torch: attention"


def test_shapes() -> None:
    """4 heads of 16 for queries and 2 for keys and for values: 64 + 32 + 32 rows."""
    assert shapes(CONFIG, 128, 1) == {
        "embedding": "[1] of [258, 64]",
        "qkv": "[1, 64] x [128, 64]",
        "attention": "[1, 4, 16] over [<=128, 2, 16]",
        "out": "[1, 64] x [64, 64]",
        "gate_up": "[1, 64] x [192, 64]",
        "down": "[1, 96] x [64, 96]",
        "head": "[1, 64] x [258, 64]",
    }
    assert shapes(CONFIG, 128, 8)["down"] == "[<=8, 96] x [64, 96]"


def test_each_sequence_is_told_of_its_own_passes(file: GgufFile) -> None:
    model = CpuModel(file, replace(CPU, weights="f32", sessions=2))
    one, two = model.open(), model.open()
    one.extend([1, 2, 3, 4, 5])
    one.extend([6])
    one.extend([7])
    two.extend([8])
    served = one.take_served()
    assert [s.operation.name for s in served][:7] == NAMES
    assert passes(served, "qkv") == {"[<=8, 64] x [128, 64]": 1, "[1, 64] x [128, 64]": 2}
    assert {s.operation.kernel for s in served} == {
        f"ONNX Runtime, {node}" for node in ("Gather", "MatMul", "GroupQueryAttention")
    }
    assert passes(two.take_served(), "head") == {"[1, 64] x [258, 64]": 1}
    assert not one.take_served()


def test_a_place_given_back_tells_its_next_owner_nothing(file: GgufFile) -> None:
    model = CpuModel(file, CPU)
    with model.open() as engine:
        engine.extend([1])
    assert not model.open().take_served()


def test_what_was_recalled_was_not_served(file: GgufFile) -> None:
    model = CpuModel(file, replace(CPU, weights="f32", sessions=2, prefix_bytes=2**20))
    first = model.open()
    first.extend([1] * 100)
    first.cache_prefix()
    again = model.open()
    again.extend([1] * 100)
    assert passes(first.take_served(), "out") == {"[<=128, 64] x [64, 64]": 1}
    # Of 100, three blocks of 32 are recalled.
    assert passes(again.take_served(), "out") == {"[<=4, 64] x [64, 64]": 1}


def dtypes(engine: SlotEngine) -> dict[str, str]:
    engine.extend([1])
    return {one.operation.name: one.operation.dtype for one in engine.take_served()}


@pytest.fixture(scope="module")
def mixed(tmp_path_factory: pytest.TempPathFactory) -> GgufFile:
    """Of every product in 4 bits, but the embedding, and the second layer's `down`; Q4_1 in `gate`."""

    def kind(name: str) -> GgmlType:
        if name.endswith("norm.weight"):
            return GgmlType.F32
        eight = {"token_embd.weight": GgmlType.Q8_0, "blk.1.ffn_down.weight": GgmlType.Q8_0}
        return eight.get(name, GgmlType.Q4_1 if "gate" in name else GgmlType.Q4_0)

    tensors = {name: stored(weights, kind(name)) for name, weights in random_weights(CONFIG).items()}
    return open_gguf(write_quantized(tmp_path_factory.mktemp("served") / "mixed.gguf", CONFIG, tensors))


def test_types_are_those_that_the_weights_are_held_in(mixed: GgufFile) -> None:
    found = dtypes(CpuModel(mixed, replace(CPU, kv="int8")).open())
    assert found == {
        "embedding": "8 bits",
        "qkv": "int8 x 4 bits",
        "attention": "float32 x int8",
        "out": "int8 x 4 bits",
        "gate_up": "int8 x 8 bits",  # which Q4_1 is rounded to there
        "down": "int8 x 4 and 8 bits",
        "head": "int8 x 8 bits",
    }
    assert dtypes(CpuModel(mixed, replace(CPU, weights="f32")).open())["out"] == "float32 x float32"


@pytest.mark.skipif(not llama_cpu.supported(), reason="not compiled, or another processor")
def test_the_compiled_kernel_serves_all_of_a_pass(mixed: GgufFile) -> None:
    model = CpuModel(mixed, replace(CPU, kernel="auto"))
    engine = model.open()
    engine.extend([1, 2, 3])
    served = engine.take_served()
    assert [(one.operation.name, one.passes) for one in served] == [(name, 1) for name in NAMES]
    assert {one.operation.kernel for one in served} == {f"compiled, {llama_cpu.instructions()}"}
    assert {one.operation.name: one.operation.dtype for one in served}["gate_up"] == "int8 x 4 bits"
    assert model.unsupported == ()


def test_why_the_compiled_kernel_is_not_used(file: GgufFile, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = CpuModel(file, CPU).unsupported
    assert [one.kernel for one in asked] == ["compiled CPU kernel"]
    monkeypatch.setattr(llama_cpu, "_library", None)
    monkeypatch.setattr(llama_cpu, "_compiled", {})  # as without a C compiler
    (missing,) = CpuModel(file, replace(CPU, kernel="auto")).unsupported
    assert missing == Unsupported(
        "compiled CPU kernel", "it was not compiled: install a C compiler, then the assistant again"
    )


def test_a_reply_says_what_served_it_and_what_was_read_ahead_but_not_the_warm_up(file: GgufFile) -> None:
    engine = CpuModel(file, CPU).open()
    tokenizer = Tokenizer.from_gguf(file)
    template = ChatTemplate.from_gguf(file, tokenizer)
    config = GenerateConfig(max_tokens=5, stop=())
    responder = Responder(engine, tokenizer, template, config, take_served=engine.take_served)
    responder.warm_up([])
    responder.read_ahead([], "How")
    *_, kernels, last = responder.reply(responder.prompt([], "How"), lambda: False)
    assert isinstance(last, Finished) and isinstance(kernels, Kernels)
    counts = passes(kernels.served, "down")
    assert last.reason == "length"
    assert sum(counts.values()) == 2 + 4  # words ahead, rest of the prompt, all but the last token
    assert not engine.take_served()
