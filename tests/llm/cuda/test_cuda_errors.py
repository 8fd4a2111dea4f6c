"""What becomes of errors of a GPU; those of a real one are in `test_cuda_faults.py`."""

import subprocess
import sys

import numpy as np
import pytest
import torch

from kernels.llama.staging import Download, Upload
from llm.cuda.errors import Gpu
from llm.decode.engine import CudaBroken, EngineOutOfMemory


def failing(error: Exception) -> None:
    raise error


@pytest.mark.parametrize(
    ("error", "raised"),
    [
        (torch.AcceleratorError("CUDA error: an illegal memory access"), CudaBroken),
        (torch.OutOfMemoryError("CUDA out of memory"), EngineOutOfMemory),
    ],
)
def test_an_error_of_a_call_within_a_call_is_judged_once(error: Exception, raised: type[Exception]) -> None:
    gpu, calls = Gpu(torch.device("cpu")), list[int]()

    def outer() -> None:
        calls.append(1)
        gpu.run("the inner one", lambda: failing(error))

    with pytest.raises(raised) as alone:
        Gpu(torch.device("cpu")).run("the inner one", lambda: failing(error))
    with pytest.raises(raised) as within:
        gpu.run("the outer one", outer)
    assert str(within.value) == str(alone.value)
    assert calls == [1]
    assert gpu.ready == (raised is EngineOutOfMemory)


@pytest.mark.parametrize("stdout", ["sys.stdout", "None", "open(os.devnull, 'w'); sys.stdout.close()"])
def test_a_process_whose_gpu_is_lost_ends_with_an_error_whatever_it_can_still_write(stdout: str) -> None:
    """And without what comes after that in taking it down."""
    code = (
        "import atexit, os, sys; from llm.cuda.errors import _leave; "
        "atexit.register(lambda: print('taken down', file=sys.stderr)); atexit.register(_leave); "
        f"print('told', file=sys.stderr); sys.stdout = {stdout}"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (1, "told\n")


def test_numbers_are_staged_and_fetched() -> None:
    target = torch.zeros(4, dtype=torch.int32)
    upload = Upload(target)
    upload.staged()[:] = [1, 2, 3, 4]
    assert not target.any(), "nothing has been sent"
    upload.send(2)
    assert target.tolist() == [1, 2, 0, 0]
    upload.send()
    assert target.tolist() == [1, 2, 3, 4]
    there = torch.arange(3.0)
    found = Download().fetch(there)
    there.zero_()  # as the next pass does
    np.testing.assert_array_equal(found, [0, 1, 2])
