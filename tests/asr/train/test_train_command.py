"""`python -m asr.train` from files to files, with a tiny model and a clock that only it moves."""

from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import soundfile
import torch
from safetensors.numpy import load_file, save_file
from tiny_models import audio, decoder, encoder

from asr.load import read_windows
from asr.moonshine.config import MoonshineConfig, Window
from asr.moonshine.load_torch import state_of
from asr.train import __main__ as command
from asr.train import loop

SHAPE = MoonshineConfig(width=32, layers=2, mlp=24, vocabulary=64)  # eight heads, as all have
Train = Callable[..., None]


@pytest.fixture(autouse=True)
def settings() -> Iterator[None]:
    """The command's settings are of the whole process."""
    backends = torch.backends.cuda.matmul, torch.backends.cudnn
    before = [backend.allow_tf32 for backend in backends]
    yield
    for backend, allow in zip(backends, before, strict=True):
        backend.allow_tf32 = allow


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A model's files and two folders of speech."""
    save_file(state_of(encoder(SHAPE)), tmp_path / "encoder.safetensors")
    save_file(state_of(decoder(SHAPE, seed=5)), tmp_path / "decoder.safetensors")
    for name, seconds in (("a=b", 15), ("c", 10)):
        (tmp_path / name).mkdir()
        soundfile.write(
            tmp_path / name / "one.wav", audio(1, seconds * 16_000, seed=seconds)[0].numpy(), 16_000
        )
    return tmp_path


@pytest.fixture
def run(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Train:
    """Train for a minute and a half by a clock that goes on 15 s twice in a step: three steps."""
    now = iter(range(0, 10**6, 15))
    monkeypatch.setattr(loop, "time", SimpleNamespace(monotonic=lambda: next(now)))

    def train(*more: str) -> None:
        command.main(
            [
                *("--encoder", str(folder / "encoder.safetensors")),
                *("--decoder", str(folder / "decoder.safetensors")),
                *("--speech", f"{folder / 'a=b'}=2", "--speech", f"{folder / 'c'}=1"),
                *("--checkpoint", str(folder / "run.pt")),
                *("--output", str(folder / "out.safetensors"), "--minutes", "1.5", "--hours", "0.01"),
                *("--batch-s", "4", "--windows", "6:2,0", *more),
            ]
        )

    return train


def checkpoint(folder: Path) -> dict[str, Any]:
    loaded: dict[str, Any] = torch.load(folder / "run.pt", weights_only=True)
    return loaded


def test_it_writes_the_averaged_encoder_and_its_windows(run: Train, folder: Path) -> None:
    run()
    saved = checkpoint(folder)
    assert saved["steps"] == 3
    written = load_file(folder / "out.safetensors")
    for name, value in saved["averaged"].items():
        assert written[name.removeprefix("frontend.")].dtype == np.float16
        np.testing.assert_array_equal(written[name.removeprefix("frontend.")], value.half().numpy())
    assert len(written) == len(saved["averaged"])
    assert read_windows(folder / "out.safetensors") == (Window(6, 2), Window(6, 0))


def test_an_interruption_is_resumed(run: Train, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    step, done = loop._step, 0

    def interrupted(*given: object) -> dict[str, torch.Tensor]:
        nonlocal done
        done += 1
        if done == 2:
            raise KeyboardInterrupt
        return step(*given)

    monkeypatch.setattr(loop, "_step", interrupted)
    with pytest.raises(KeyboardInterrupt):
        run()
    first = checkpoint(folder)
    assert first["steps"] == 1
    run()
    assert done == 2 + 2
    assert checkpoint(folder)["steps"] == 3
    run()  # all is done: what is written comes from the checkpoint
    assert done == 2 + 2
    run("--restart", "--stop-after", "0.5")
    assert checkpoint(folder)["steps"] == 1


def test_it_begins_with_the_full_encoder_or_with_the_one_that_is_named(run: Train, folder: Path) -> None:
    run("--stop-after", "0")
    written, given = load_file(folder / "out.safetensors"), load_file(folder / "encoder.safetensors")
    for name, value in written.items():
        expected = given.get(name, np.zeros_like(value)).astype(np.float16)  # the full model has no positions
        np.testing.assert_array_equal(value, expected)
    assert len(written) == len(given) + 4
    begun = {name: value * 2 for name, value in written.items()}
    save_file(begun, folder / "begun.safetensors")
    run("--stop-after", "0", "--restart", "--init", str(folder / "begun.safetensors"))
    for name, value in load_file(folder / "out.safetensors").items():
        np.testing.assert_array_equal(value, begun[name])
    del begun["position_in.bias"]
    save_file(begun, folder / "begun.safetensors")
    with pytest.raises(ValueError, match=r"missing \['position_in\.bias'\]"):
        run("--stop-after", "0", "--restart", "--init", str(folder / "begun.safetensors"))


def test_the_first_choice_of_windows_is_written(run: Train, folder: Path) -> None:
    run("--windows", "9:0,3", "--stop-after", "0")
    assert read_windows(folder / "out.safetensors") == (Window(6, 2), Window(6, 0))


def test_windows_of_another_number_of_layers_are_refused_at_once(run: Train, folder: Path) -> None:
    with pytest.raises(ValueError, match="windows 9:0,3,1: the encoder has 2 layers"):
        run("--windows", "9:0,3,1")
    assert not (folder / "run.pt").exists()


def test_speech_in_which_the_teacher_repeats_itself_is_refused(run: Train, folder: Path) -> None:
    save_file(state_of(decoder(SHAPE, seed=6)), folder / "decoder.safetensors")
    with pytest.raises(ValueError, match="comes to an end in none of the clips"):
        run()
