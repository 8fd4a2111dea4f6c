"""Model files that ONNX Runtime cannot load: one line that names the file, whatever is wrong with it."""

from collections.abc import Callable
from pathlib import Path

import pytest

from asr.onnx import ModelFileError, open_session


def refusal(path: Path) -> str:
    with pytest.raises(ModelFileError) as caught:
        open_session(path, threads=1)
    assert str(caught.value).startswith(f"{path}: not a model")
    assert "\n" not in str(caught.value)
    return str(caught.value)


@pytest.mark.parametrize("content", [b"", b"no model", b"\x08\x07" * 200, b"\x20\0\0\0ORTM" + b"\1" * 200])
@pytest.mark.parametrize("suffix", [".onnx", ".ort"])
def test_a_file_that_is_no_model(content: bytes, suffix: str, tmp_path: Path) -> None:
    path = tmp_path / f"model{suffix}"
    path.write_bytes(content)
    refusal(path)


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    assert "exist" in refusal(tmp_path / "missing.onnx")


@pytest.mark.models
@pytest.mark.parametrize("name", ["silero-vad-v6", "moonshine-tiny-en-encoder"])
@pytest.mark.parametrize("share", [0.1, 0.9])
def test_a_truncated_model(
    name: str, share: float, model_path: Callable[[str], Path], tmp_path: Path
) -> None:
    whole = model_path(name)
    path = tmp_path / whole.name
    path.write_bytes(whole.read_bytes()[: int(whole.stat().st_size * share)])
    refusal(path)
