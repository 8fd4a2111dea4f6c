"""Checkpoints in the hub's form: what is read, and what is refused with the file and the tensor."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import hub_folders
import numpy as np
import pytest
import torch
from huggingface_hub.errors import LocalEntryNotFoundError
from safetensors.torch import load_file, save_file

from asr.moonshine import hub
from asr.moonshine.config import MoonshineConfig
from asr.moonshine.hub import HubCheckpoint, load_hub
from asr.onnx import ModelFileError


@pytest.fixture(scope="module")
def moonshine(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return hub_folders.save(hub_folders.moonshine(), tmp_path_factory.mktemp("moonshine"))


def same(one: HubCheckpoint, other: HubCheckpoint) -> bool:
    """All but the kind of floats that the file keeps."""
    states = zip(
        (one.encoder_state, one.decoder_state), (other.encoder_state, other.decoder_state), strict=True
    )
    return (one.encoder, one.decoder, one.vocabulary) == (
        other.encoder,
        other.decoder,
        other.vocabulary,
    ) and all(a.keys() == b.keys() and all((a[k] == b[k]).all() for k in a) for a, b in states)


def test_the_shape_of_moonshine_is_read(moonshine: Path) -> None:
    read = load_hub(str(moonshine))
    shape = {"width": 24, "heads": 4, "mlp": 40, "vocabulary": 300, "rotary_share": 0.8}
    assert read.encoder == MoonshineConfig(layers=2, **shape)
    assert read.decoder == MoonshineConfig(layers=3, **shape)
    assert read.encoder.rotary_dim == 4


def test_a_configuration_of_the_first_release_is_read(moonshine: Path, tmp_path: Path) -> None:
    """It had the rotary settings at the top."""
    folder = copied(moonshine, tmp_path)
    settings = json.loads((folder / "config.json").read_text())
    del settings["rope_parameters"]
    settings |= {"rope_theta": 500.0, "rope_scaling": None, "partial_rotary_factor": 0.4}
    (folder / "config.json").write_text(json.dumps(settings))
    read = load_hub(str(folder))
    assert (read.decoder.rotary_base, read.decoder.rotary_dim) == (500.0, 2)


def test_shards_are_read_as_one_file_is(moonshine: Path, tmp_path: Path) -> None:
    folder = hub_folders.save(hub_folders.moonshine(), tmp_path, max_shard_size="30KB")
    assert len(list(folder.glob("*.safetensors"))) > 2
    assert same(load_hub(str(folder)), load_hub(str(moonshine)))


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_is_read_as_float32(dtype: torch.dtype, moonshine: Path, tmp_path: Path) -> None:
    folder = copied(moonshine, tmp_path)
    tensors = load_file(moonshine / "model.safetensors")
    save_file({name: value.to(dtype) for name, value in tensors.items()}, folder / "model.safetensors")
    state = load_hub(str(folder)).encoder_state
    assert {value.dtype for value in state.values()} == {np.dtype(np.float32)}
    expected = tensors["model.encoder.conv2.weight"].to(dtype).float().numpy()
    assert (state["conv2.weight"] == expected).all()


def test_a_tied_head_that_was_saved_and_old_rotary_buffers_are_left_out(
    moonshine: Path, tmp_path: Path
) -> None:
    folder = copied(moonshine, tmp_path)
    tensors = load_file(folder / "model.safetensors")
    tensors["proj_out.weight"] = tensors["model.decoder.embed_tokens.weight"].clone()
    tensors["model.encoder.rotary_emb.inv_freq"] = torch.ones(2)
    save_file(tensors, folder / "model.safetensors")
    assert same(load_hub(str(folder)), load_hub(str(moonshine)))


# Vocabulary


def test_the_old_vocabulary_file_is_read_where_there_is_no_other(moonshine: Path, tmp_path: Path) -> None:
    folder = copied(moonshine, tmp_path)
    (folder / "tokenizer.json").unlink()
    (folder / "tokenizer.bin").write_bytes(b"\x01a\x02bc")
    assert load_hub(str(folder)).vocabulary == [b"a", b"bc"] + [b""] * (hub_folders.VOCABULARY - 2)


def test_a_vocabulary_larger_than_the_model_is_refused(moonshine: Path, tmp_path: Path) -> None:
    folder = copied(moonshine, tmp_path)
    (folder / "tokenizer.json").unlink()
    (folder / "tokenizer.bin").write_bytes(b"\x01a" * 301)
    refused(folder, "tokenizer.bin: 301 tokens for a model of 300")


def test_a_folder_without_a_vocabulary_is_refused(moonshine: Path, tmp_path: Path) -> None:
    folder = copied(moonshine, tmp_path)
    (folder / "tokenizer.json").unlink()
    refused(folder, f"{folder}: neither tokenizer.json nor tokenizer.bin")


# What is refused


def copied(folder: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(folder, tmp_path / "copy"))


def refused(folder: Path, *parts: str) -> None:
    with pytest.raises(ModelFileError) as caught:
        load_hub(str(folder))
    message = str(caught.value)
    assert str(folder) in message
    assert "\n" not in message
    for part in parts:
        assert part in message


@pytest.mark.parametrize(
    ("changes", "part"),
    [
        ({"model_type": "whisper"}, 'model_type is "whisper": only "moonshine" is supported'),
        ({"model_type": "moonshine_streaming"}, 'model_type is "moonshine_streaming": only "moonshine"'),
        ({"model_type": None}, "model_type is null"),
        ({"hidden_size": 25}, "hidden_size is 25: a multiple of the 4 heads"),
        ({"hidden_size": "24"}, 'hidden_size is "24": a whole number above 0'),
        ({"encoder_num_hidden_layers": 0}, "encoder_num_hidden_layers is 0: a whole number above 0"),
        ({"vocab_size": True}, "vocab_size is true: a whole number above 0"),
        ({"decoder_hidden_act": "relu"}, 'decoder_hidden_act is "relu": only "silu"'),
        ({"encoder_hidden_act": "gelu_new"}, 'encoder_hidden_act is "gelu_new": only "gelu"'),
        ({"attention_bias": True}, "attention_bias is true: only false"),
        ({"eos_token_id": 7}, "eos_token_id is 7: only 2"),
        ({"decoder_start_token_id": 7}, "decoder_start_token_id is 7: only 1"),
        ({"decoder_num_attention_heads": 2}, "decoder_num_attention_heads is 2: only 4"),
        ({"encoder_num_key_value_heads": 2}, "encoder_num_key_value_heads is 2: only 4"),
        ({"decoder_num_key_value_heads": 2}, "decoder_num_key_value_heads is 2: only 4"),
        ({"rope_parameters": {"rope_type": "yarn"}}, 'rope_parameters.rope_type is "yarn": only "default"'),
        ({"rope_parameters": {"rope_theta": 0}}, "rope_parameters.rope_theta is 0: a number above 0"),
        ({"rope_parameters": {"partial_rotary_factor": 0.9}}, "rotates 5 of the 6 channels"),
        ({"rope_parameters": [1]}, "rope_parameters is not an object"),
    ],
)
def test_a_configuration_that_would_be_read_wrongly_is_refused(
    changes: dict[str, object], part: str, moonshine: Path, tmp_path: Path
) -> None:
    folder = copied(moonshine, tmp_path)
    settings = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(settings | changes))
    refused(folder, "config.json: ", part)


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b"3", b"\xff\xfe{}"])
def test_a_configuration_that_is_none_is_refused(content: bytes, moonshine: Path, tmp_path: Path) -> None:
    folder = copied(moonshine, tmp_path)
    (folder / "config.json").write_bytes(content)
    refused(folder, "config.json: ")


def test_a_folder_without_a_configuration_is_refused(tmp_path: Path) -> None:
    refused(tmp_path, f"{tmp_path / 'config.json'}: ")


NAME = "model.decoder.layers.2.encoder_attn.v_proj.weight"


@pytest.mark.parametrize(
    ("change", "part"),
    [
        (lambda tensors: tensors.pop(NAME), f"no tensor {NAME} in its safetensors (1 missing)"),
        (
            lambda tensors: tensors.update({NAME: tensors[NAME][:-1].contiguous()}),
            f"model.safetensors: {NAME} is (23, 24), not (24, 24)",
        ),
        (
            lambda tensors: tensors.update({NAME: tensors[NAME].to(torch.int8)}),
            f"model.safetensors: {NAME} is of type I8, not of floats",
        ),
        (
            lambda tensors: tensors.update({"model.encoder.conv4.weight": torch.ones(1)}),
            "model.safetensors: model.encoder.conv4.weight is no tensor of",
        ),
    ],
)
def test_other_tensors_are_refused_by_name(
    change: Callable[[dict[str, torch.Tensor]], object], part: str, moonshine: Path, tmp_path: Path
) -> None:
    folder = copied(moonshine, tmp_path)
    tensors = load_file(folder / "model.safetensors")
    change(tensors)
    save_file(tensors, folder / "model.safetensors")
    refused(folder, part)


@pytest.mark.parametrize("kept", [0, 7, 100, -1])
def test_a_file_that_was_cut_is_refused(kept: int, moonshine: Path, tmp_path: Path) -> None:
    folder = copied(moonshine, tmp_path)
    path = folder / "model.safetensors"
    path.write_bytes(path.read_bytes()[:kept])
    refused(folder, f"{path}: not readable as safetensors: ")


def test_a_folder_without_weights_is_refused(moonshine: Path, tmp_path: Path) -> None:
    folder = copied(moonshine, tmp_path)
    (folder / "model.safetensors").unlink()
    refused(folder, "neither model.safetensors nor model.safetensors.index.json")


@pytest.mark.parametrize(
    "content",
    [b"", b"[]", b"{}", b'{"weight_map": []}', b'{"weight_map": {"a": 3}}', b'{"weight_map": {"a": "../b"}}'],
)
def test_an_index_that_is_none_is_refused(content: bytes, moonshine: Path, tmp_path: Path) -> None:
    folder = copied(moonshine, tmp_path)
    (folder / "model.safetensors").unlink()
    (folder / "model.safetensors.index.json").write_bytes(content)
    refused(folder, "model.safetensors.index.json: not an index of safetensors")


def test_a_shard_that_is_missing_is_refused_by_name(tmp_path: Path) -> None:
    folder = hub_folders.save(hub_folders.moonshine(), tmp_path, max_shard_size="30KB")
    shard = sorted(folder.glob("*.safetensors"))[1]
    shard.unlink()
    refused(folder, f"{shard}: not readable as safetensors")


# Repositories


def test_a_repository_is_fetched_with_the_files_it_needs(
    moonshine: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = []

    def snapshot(repo: str, *, allow_patterns: list[str]) -> str:
        asked.append(repo)
        for name in ("config.json", "model-00001-of-00002.safetensors", "tokenizer.json", "tokenizer.bin"):
            assert any(Path(name).match(pattern) for pattern in allow_patterns)
        for name in ("pytorch_model.bin", "onnx/encoder.onnx", "modeling.py"):
            assert not any(Path(name).match(pattern) for pattern in allow_patterns)
        return str(moonshine)

    monkeypatch.setattr(hub, "snapshot_download", snapshot)
    assert same(load_hub("someone/moonshine-tiny"), load_hub(str(moonshine)))
    assert asked == ["someone/moonshine-tiny"]


@pytest.mark.parametrize("error", [LocalEntryNotFoundError("offline\nand not cached"), OSError("disk full")])
def test_a_repository_that_can_not_be_fetched_is_named(
    error: Exception, monkeypatch: pytest.MonkeyPatch
) -> None:
    def snapshot(repo: str, *, allow_patterns: list[str]) -> str:
        raise error

    monkeypatch.setattr(hub, "snapshot_download", snapshot)
    reason = " ".join(str(error).split())
    with pytest.raises(ModelFileError, match=rf"^someone/moonshine: .*from the hub: {reason}$"):
        load_hub("someone/moonshine")


@pytest.mark.parametrize("path", ["", "nowhere", "./a/b", "/nowhere/model", "a/b/c", "~/x", "../a", "a /b"])
def test_what_is_neither_folder_nor_repository_never_reaches_the_hub(
    path: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delattr(hub, "snapshot_download")
    with pytest.raises(ModelFileError):
        load_hub(path)


def test_a_file_is_no_checkpoint(moonshine: Path) -> None:
    refused(moonshine / "model.safetensors", "neither a folder nor a hub repository")
