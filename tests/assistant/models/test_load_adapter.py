"""An adapter from the configuration to a session: where it is found, and how it is told."""

import hashlib
import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from adapter_files import random_factors, write_gguf_adapter, write_hub
from llama_files import SMALL, one_thread, write_llama

from assistant.config import Config, LlmConfig, RemoteConfig
from assistant.models import load
from assistant.models.catalog import ModelSpec
from assistant.models.engine import load_model
from assistant.models.language import load_language
from assistant.models.load import locate_adapter, model_names
from assistant.models.store import ModelStore, ModelStoreError
from assistant.trace import provenance
from assistant.trace.provenance import model_digests, model_version
from assistant.trace.recording import _meta
from llm.gguf import open_gguf
from llm.lora import LoraError, open_adapter

LLAMA = replace(SMALL, heads=4, kv_heads=2, head_dim=16, width=64, hidden=96)


@pytest.fixture(autouse=True)
def alone(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[None]:
    monkeypatch.setenv("ASSISTANT_CACHE", str(tmp_path / "cache"))
    with one_thread():
        yield


@pytest.fixture
def base(tmp_path: Path) -> Path:
    return write_llama(tmp_path / "m.gguf", LLAMA)


@pytest.fixture
def hub(tmp_path: Path) -> Path:
    return write_hub(tmp_path / "polite", random_factors(LLAMA, 4))


def digest_of(folder: Path) -> str:
    parts = [(folder / name).read_bytes() for name in ("adapter_model.safetensors", "adapter_config.json")]
    return hashlib.sha256(b"".join(parts)).hexdigest()


def test_a_session_is_given_the_configured_adapter_and_its_spans_name_it(base: Path, hub: Path) -> None:
    config, gguf = LlmConfig(device="cpu", context=160, threads=1, kv="f32"), open_gguf(base)
    adapter = open_adapter(hub, gguf)
    ids = list(range(100))
    logits = []
    for given in (adapter, None):
        engine = load_model(config, gguf, given).model.open()
        logits.append(engine.extend(ids)[0])
        told = [one.to_dict() for one in engine.take_served() if one.operation.name == "adapter"]
        assert [one["passes"] for one in told] == ([1] if given else [])
        assert all(digest_of(hub) in str(one["kernel"]) for one in told)
    assert np.abs(logits[0] - logits[1]).max() > 0.5


def test_a_model_is_loaded_with_the_adapter_of_the_configuration(
    base: Path, hub: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    given = []

    def noted(config: LlmConfig, gguf: object, adapter: object) -> object:
        given.append(adapter)
        return load_model(config, gguf, adapter)  # type: ignore[arg-type]

    monkeypatch.setattr("assistant.models.language.load_model", noted)
    config = LlmConfig(device="cpu", context=1024, threads=1, kv="f32", speculate=False, system_prompt="Hi.")
    load_language(config, base, hub)
    load_language(config, base)
    assert given[0].sha256 == digest_of(hub) and given[1] is None  # type: ignore[attr-defined]


def test_an_adapter_that_does_not_fit_is_told(base: Path, tmp_path: Path) -> None:
    other = write_hub(tmp_path / "other", random_factors(SMALL, 4))
    with pytest.raises(LoraError, match="other"):
        load_language(LlmConfig(device="cpu", context=1024), base, other)


def test_reports_and_metrics_tell_the_adapters_digest(base: Path, hub: Path) -> None:
    digest = digest_of(hub)
    config = Config(llm=LlmConfig(model=str(base), adapter=str(hub)))
    assert {"name": "polite", "sha256": digest} in model_digests(config)
    assert model_version(config.llm) == f"m:polite@{digest[:12]}"
    assert model_version(replace(config.llm, adapter="none")) == "m"
    remote = replace(config.llm, remote=RemoteConfig(url="http://127.0.0.1:1/v1", model="theirs"))
    assert model_version(remote) == "theirs"
    assert not any(model["name"] == "polite" for model in model_digests(Config(llm=remote)))
    gguf = write_gguf_adapter(hub.with_name("kind.gguf"), LLAMA, random_factors(LLAMA, 2))
    found = model_version(replace(config.llm, model="smollm2", adapter=str(gguf)))
    assert found == f"smollm2:kind@{hashlib.sha256(gguf.read_bytes()).hexdigest()[:12]}"


def test_an_adapter_that_is_not_there_is_told(base: Path, tmp_path: Path) -> None:
    config = LlmConfig(model=str(base), adapter=str(tmp_path / "none"))
    with pytest.raises(LoraError, match="none"):
        model_version(config)


def test_a_trace_keeps_the_name_of_an_adapter_and_not_its_folders(base: Path, hub: Path) -> None:
    config = Config(llm=LlmConfig(model=str(base), adapter=str(hub)))
    told = _meta(config, model_digests(config))
    assert told["config"]["llm"]["adapter"] == "./polite"
    assert str(hub.parent) not in json.dumps(told)


def test_an_adapter_of_the_store(base: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write_gguf_adapter(tmp_path / "stored.gguf", LLAMA, random_factors(LLAMA, 2))
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    catalog = {"kind": ModelSpec("kind", "adapter", "MIT", path, digest, path.stat().st_size)}
    config = LlmConfig(model=str(base), adapter="kind")
    assert locate_adapter(config, ModelStore(catalog=catalog)) == path
    assert "kind" in model_names(Config(llm=config))
    assert locate_adapter(replace(config, adapter="none"), ModelStore(catalog=catalog)) is None
    with pytest.raises(ModelStoreError, match="kin"):
        locate_adapter(replace(config, adapter="kin"), ModelStore(catalog=catalog))
    monkeypatch.setattr(provenance, "load_catalogs", lambda: catalog)
    assert model_version(config) == f"m:kind@{digest[:12]}"
    path.write_bytes(path.read_bytes()[:-1] + b"\1")
    with pytest.raises(ModelStoreError, match="SHA-256"):
        locate_adapter(config, ModelStore(catalog=catalog))
    assert load.model_names(Config(llm=replace(config, adapter=str(path)))) == load.model_names(
        Config(llm=replace(config, adapter="none"))
    )
