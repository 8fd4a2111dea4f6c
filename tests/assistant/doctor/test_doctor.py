"""The doctor: what it says of machines that we describe to it, and of the one that it runs on."""

import hashlib
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import pytest
import typer

from assistant.doctor.checks import (
    Check,
    check_audio,
    check_cpu,
    check_cpu_kernel,
    check_disk,
    check_gpu,
    check_llm,
    check_memory,
    check_model,
    check_onnxruntime,
    check_pip,
    check_python,
    check_threads,
    check_torch,
)
from assistant.doctor.doctor import check, doctor
from assistant.models.catalog import WheelMember
from assistant.models.store import ModelSpec, ModelStore
from llm.decode.served import Operation, Unsupported

CONTENT = b"a model"
SPEC = ModelSpec(
    name="a-model",
    role="asr",
    licence="MIT",
    source=WheelMember("package", "1.0", "member", 100),
    sha256=hashlib.sha256(CONTENT).hexdigest(),
    size=len(CONTENT),
    suffix=".onnx",
)


@pytest.fixture
def store(tmp_path: Path) -> ModelStore:
    return ModelStore(tmp_path / "cache", {SPEC.name: SPEC})


def put(store: ModelStore, content: bytes) -> None:
    path = store.status(SPEC.name).path
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)


def named(checks: list[Check], name: str) -> Check:
    (found,) = [one for one in checks if one.name == name]
    return found


@pytest.mark.parametrize(("version", "state"), [((3, 10, 9), "fail"), ((3, 11, 0), "ok"), ((3, 14, 1), "ok")])
def test_python(version: tuple[int, ...], state: str) -> None:
    assert check_python(version).state == state


def test_pip_matters_while_models_have_to_be_fetched() -> None:
    assert check_pip(True, fetching=True).state == "ok"
    assert check_pip(False, fetching=True).state == "fail"
    assert check_pip(False, fetching=False).state == "warn"
    assert check_pip(False, fetching=False).remedy == f"{sys.executable} -m ensurepip --upgrade"


def test_an_x86_processor_needs_avx2() -> None:
    assert check_cpu("Xeon", "x86_64", ["fma", "avx2"]).state == "ok"
    assert check_cpu("Pentium", "AMD64", []).state == "warn"
    assert check_cpu("Cortex", "aarch64", ["asimddp"]).state == "ok"
    assert check_cpu("M3", "arm64", None).state == "ok"


def test_threads_and_memory() -> None:
    assert [check_threads(usable).state for usable in (1, 2, 64)] == ["warn", "ok", "ok"]
    gb = 10**9
    states = [check_memory(*sizes).state for sizes in [(gb, gb), (16 * gb, gb), (16 * gb, 8 * gb)]]
    assert states == ["fail", "warn", "ok"]


def test_a_gpu_is_welcome_but_not_needed() -> None:
    assert check_gpu([], driver=False) == Check("GPU", "ok", "none; the CPU is enough")
    assert check_gpu([], driver=True).state == "warn"
    assert check_gpu(["NVIDIA H100"], driver=True).found == "NVIDIA H100"


def test_libraries_that_cannot_be_imported_fail_with_the_command_that_installs_them(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    one = check_onnxruntime()
    assert one.state == "fail"
    assert one.remedy.startswith("python -m pip install --force-reinstall")
    assert "\n" not in one.found


def test_torch_is_not_needed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "torch", None)
    assert [one.state for one in check_torch()] == ["ok"]


def test_without_a_compiler_the_doctor_says_what_is_missed() -> None:
    assert check_cpu_kernel(compiled=True, instructions="AVX2").found == "compiled, AVX2"
    assert check_cpu_kernel(compiled=True, instructions=None).state == "ok"  # nothing fixes the processor
    without = check_cpu_kernel(compiled=False, instructions=None)
    assert without.state == "warn"
    assert "C compiler" in without.remedy


def test_the_kernels_that_ran_and_why_others_did_not() -> None:
    operations = [Operation(name, "Triton", "", "") for name in ("qkv", "attention")]
    unsupported = [Unsupported("multi-step decoding", "too few multiprocessors", of_gpu=True)]
    kernels, persistent = check_llm("cuda", operations, unsupported, driver=True)
    assert kernels == Check("LLM kernels", "ok", "on CUDA: Triton: qkv, attention")
    assert (persistent.name, persistent.state) == ("multi-step decoding", "warn")
    assert persistent.found == "not used: too few multiprocessors"
    assert persistent.remedy


def test_kernels_for_a_gpu_are_missed_only_where_there_is_one() -> None:
    operations = [Operation("qkv", "compiled", "", "")]
    gpu = Unsupported("GPU kernels", "no torch", of_gpu=True)
    cpu = Unsupported("compiled CPU kernel", "no compiler")
    states = {
        driver: [one.state for one in check_llm("cpu", operations, [gpu, cpu], driver=driver)]
        for driver in (False, True)
    }
    assert states == {False: ["ok", "ok", "ok"], True: ["ok", "warn", "ok"]}


@pytest.mark.models
def test_the_doctor_runs_the_default_language_model(model_path: Callable[[str], Path]) -> None:
    model_path("smollm2-135m-instruct-q4_1")
    checks = check(ModelStore())
    kernels = named(checks, "LLM kernels")
    for operation in ("embedding", "qkv", "attention", "out", "gate_up", "down", "head"):
        assert operation in kernels.found
    if kernels.found.startswith("on CPU"):
        assert named(checks, "GPU kernels").found.startswith("not used: ")


def test_an_onnx_runtime_without_its_cpu_provider_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    odd = SimpleNamespace(__version__="1.0", get_available_providers=lambda: ["OddProvider"])
    monkeypatch.setitem(sys.modules, "onnxruntime", odd)
    assert check_onnxruntime().state == "fail"


def test_no_sounddevice_is_a_warning(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "sounddevice", None)
    assert (check_audio().state, check_audio().remedy) == ("warn", "pip install -e '.[mic]'")


def test_no_portaudio_is_a_warning(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "sounddevice.py").write_text("raise OSError('PortAudio library not found')")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "sounddevice", raising=False)
    assert check_audio().state == "warn"
    assert "libportaudio2" in check_audio().remedy


@pytest.mark.parametrize(
    ("devices", "state", "found"),
    [
        ({"input": "mic", "output": "speaker"}, "ok", "from mic, to speaker"),
        ({"output": "speaker"}, "warn", "no input device"),
        ({"input": "mic"}, "warn", "no output device"),
    ],
)
def test_audio_devices(
    monkeypatch: pytest.MonkeyPatch, devices: dict[str, str], state: str, found: str
) -> None:
    class PortAudioError(Exception):
        pass

    def query_devices(kind: str) -> dict[str, str]:
        if kind not in devices:
            raise PortAudioError("Error querying device -1")
        return {"name": devices[kind]}

    fake = SimpleNamespace(query_devices=query_devices, PortAudioError=PortAudioError)
    monkeypatch.setitem(sys.modules, "sounddevice", fake)
    assert (check_audio().state, check_audio().found) == (state, found)


@pytest.mark.parametrize("content", [None, b"a modem"])
def test_a_model_that_is_missing_or_corrupt_fails_with_the_stores_own_remedy(
    store: ModelStore, content: bytes | None
) -> None:
    if content is not None:
        put(store, content)
    state = store.status(SPEC.name)
    checked = check_model(state)
    assert checked.state == "fail"
    assert f"run `{checked.remedy}`" in (state.problem or "")


def test_a_whole_model_needs_nothing(store: ModelStore) -> None:
    put(store, CONTENT)
    assert check_model(store.status(SPEC.name)) == Check("model a-model", "ok", "verified")


def test_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "not" / "yet" / "there"
    for free, fetching, state in [
        (10**10, True, "ok"),
        (10**8, True, "fail"),
        (10**8, False, "warn"),
    ]:
        usage = SimpleNamespace(free=free)
        monkeypatch.setattr("assistant.doctor.checks.shutil.disk_usage", lambda _, usage=usage: usage)
        assert check_disk(folder, fetching=fetching).state == state
    assert not (tmp_path / "not").exists()


def test_a_cache_that_cannot_be_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    found = check_disk(tmp_path / "file" / "models", fetching=True)
    assert (found.state, found.found) == ("fail", f"cannot write in {tmp_path / 'file'}")
    assert found.remedy == "set ASSISTANT_CACHE to another folder"


def test_this_machine(store: ModelStore) -> None:
    put(store, CONTENT)
    checks = check(store)
    assert named(checks, "Python").found == ".".join(map(str, sys.version_info[:3]))
    assert named(checks, "model a-model").state == "ok"
    assert "CPUExecutionProvider" in named(checks, "ONNX Runtime").found
    assert all(one.remedy for one in checks if one.state != "ok")


def test_the_command_exits_1_only_for_a_failure_and_prints_what_fixes_it(
    store: ModelStore, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "sounddevice", None)
    put(store, CONTENT)
    doctor(store)
    assert "audio: pip install -e '.[mic]'\n" in capsys.readouterr().out
    store.status(SPEC.name).path.unlink()
    with pytest.raises(typer.Exit) as caught:
        doctor(store)
    assert caught.value.exit_code == 1
    assert "model a-model: assistant models fetch a-model\n" in capsys.readouterr().out


def test_importing_the_doctor_loads_no_model_library() -> None:
    code = "import assistant.doctor, sys; print(sorted({'torch', 'onnxruntime'} & set(sys.modules)))"
    found = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert found.stdout == "[]\n"
