"""What a report says of the machine: read from a /proc/cpuinfo written by hand, and nothing private."""

import json
import platform
from pathlib import Path

import numpy as np
import pytest

from assistant.runtime import machine as module

CPUINFO = """\
processor\t: 0
model name\t: Example CPU @ 2.00GHz
physical id\t: 0
core id\t\t: 0
flags\t\t: fpu avx avx2 fma avx512_vnni avx512f_not

processor\t: 1
model name\t: Example CPU @ 2.00GHz
physical id\t: 0
core id\t\t: 0
flags\t\t: fpu

processor\t: 2
model name\t: Example CPU @ 2.00GHz
physical id\t: 1
core id\t\t: 0
flags\t\t: fpu

"""


@pytest.fixture
def cpuinfo(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    path = tmp_path / "cpuinfo"
    path.write_text(CPUINFO)
    monkeypatch.setattr(module, "_CPUINFO", path)
    monkeypatch.setattr("assistant.runtime.machine.os.sched_getaffinity", lambda _: {0, 1, 2})
    return path


def test_the_processor_is_read_from_cpuinfo(cpuinfo: Path) -> None:
    assert module.cpu_model() == "Example CPU @ 2.00GHz"
    assert module.cpu_features() == ["fma", "avx2", "avx512_vnni"]


@pytest.mark.parametrize(
    ("flags", "slow"),
    [("sse2 avx2", True), ("avx2 avx512_vnni", False), ("avx2 avx_vnni", False), ("sse2", False)],
)
def test_int8_is_slow_where_it_takes_several_instructions(cpuinfo: Path, flags: str, slow: bool) -> None:
    cpuinfo.write_text(f"processor\t: 0\nflags\t: {flags}\n\n")
    assert module.has_slow_int8() == slow
    cpuinfo.unlink()
    assert not module.has_slow_int8()  # not known


def test_only_cores_that_this_process_may_use_count(cpuinfo: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert (module.usable_threads(), module.physical_cores()) == (3, 2)
    monkeypatch.setattr("assistant.runtime.machine.os.sched_getaffinity", lambda _: {0, 1})
    assert (module.usable_threads(), module.physical_cores()) == (2, 1)


def test_an_arm_processor_has_no_model_name(cpuinfo: Path) -> None:
    cpuinfo.write_text("processor\t: 0\nFeatures\t: fp asimd asimddp i8mm\n\n")
    assert module.cpu_features() == ["asimddp", "i8mm"]
    assert module.cpu_model() == (platform.processor() or platform.machine())


def test_a_system_without_cpuinfo_leaves_features_unknown(cpuinfo: Path) -> None:
    cpuinfo.unlink()
    assert module.cpu_features() is None
    assert module.cpu_model()


def test_the_report_is_json_and_names_nobody() -> None:
    text = json.dumps(module.machine())
    assert json.loads(text)["packages"]["numpy"] == np.__version__
    assert json.loads(text)["python"] == platform.python_version()
    assert set(json.loads(text)) == {
        "cpu",
        "cpu_features",
        "cores",
        "threads",
        "memory_gb",
        "os",
        "python",
        "packages",
    }
    assert platform.node() not in json.loads(text)["os"].split()


def test_a_package_that_is_not_there_has_no_version() -> None:
    assert module.installed("no-such-package-anywhere") is None
