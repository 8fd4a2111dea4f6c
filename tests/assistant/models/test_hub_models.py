"""Models of the user's own: from a hub that speaks as Hugging Face's does, and from files."""

import hashlib
import os
import tomllib
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from ended import Command
from fake_hub import COMMIT, LATER, FakeHub, serving
from llama_files import SMALL_QWEN2, SMALL_QWEN3, write_llama

from assistant.config import Config, LlmConfig
from assistant.models import own
from assistant.models.catalog import HubFile, ModelSpec, load_catalog
from assistant.models.hub import read_reference
from assistant.models.store import ModelStore, ModelStoreError
from assistant.trace.provenance import model_digests

FILE = "q8/Tiny-Q8_0.gguf"
REFERENCE = f"hub:me/tiny/{FILE}"
NAME = "tiny-q8_0"


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> tuple[bytes, bytes]:
    """Two models that the engine runs."""
    folder = tmp_path_factory.mktemp("models")
    shapes = (replace(config, head_dim=16) for config in (SMALL_QWEN2, SMALL_QWEN3))
    first, second = (write_llama(folder / "m.gguf", shape).read_bytes() for shape in shapes)
    return first, second


@pytest.fixture(autouse=True)
def folders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for key in [key for key in os.environ if key.startswith("HF_") or key.lower().endswith("_proxy")]:
        monkeypatch.delenv(key)
    for key, name in {"HF_HOME": "hf", "XDG_CONFIG_HOME": "config", "ASSISTANT_CACHE": "cache"}.items():
        monkeypatch.setenv(key, str(tmp_path / name))


@pytest.fixture
def hub(models: tuple[bytes, bytes], monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeHub]:
    with serving(FakeHub({COMMIT: {FILE: models[0], "README.md": b"# Tiny"}})) as hub:
        monkeypatch.setenv("HF_ENDPOINT", hub.url)
        yield hub


def written(tmp_path: Path) -> list[dict[str, object]]:
    path = tmp_path / "config" / "assistant" / "models.toml"
    return tomllib.loads(path.read_text())["model"] if path.exists() else []


def stored(tmp_path: Path) -> list[str]:
    return sorted(path.name for path in (tmp_path / "cache" / "models").glob("*"))


def test_a_model_of_the_hub_is_pinned_to_what_is_there_now(
    assistant: Command, hub: FakeHub, models: tuple[bytes, bytes], tmp_path: Path
) -> None:
    digest = hashlib.sha256(models[0]).hexdigest()
    ended = assistant("models", "add", REFERENCE)
    assert ended.code == 0
    assert f'[llm]\nmodel = "{NAME}"\n' in ended.out
    place = {"repo": "me/tiny", "file": FILE, "revision": COMMIT}
    facts = {"name": NAME, "role": "llm", "licence": "apache-2.0", "suffix": ".gguf"}
    assert written(tmp_path) == [{**facts, "sha256": digest, "size": len(models[0]), "hub": place}]
    assert stored(tmp_path) == [f"{NAME}-{digest[:8]}.gguf"]
    assert ModelStore(offline=True).path(NAME).read_bytes() == models[0]
    used = model_digests(replace(Config(), llm=LlmConfig(model=NAME)))
    assert {"name": NAME, "sha256": digest} in used


def test_a_branch_that_moved_changes_nothing_until_it_is_added_again(
    assistant: Command, hub: FakeHub, models: tuple[bytes, bytes], tmp_path: Path
) -> None:
    assert assistant("models", "add", f"{REFERENCE}@main").code == 0
    hub.commits[LATER], hub.branches["main"] = {FILE: models[1]}, LATER
    assert assistant("models", "fetch", "--force", NAME).code == 0
    assert ModelStore().path(NAME).read_bytes() == models[0]
    assert assistant("models", "remove", NAME) == (0, f"removed {NAME}\n", "")
    assert (written(tmp_path), stored(tmp_path)) == ([], [])
    assert assistant("models", "add", REFERENCE).code == 0
    assert ModelStore().path(NAME).read_bytes() == models[1]


def test_a_commit_that_holds_another_file_than_it_did_is_refused(
    assistant: Command, hub: FakeHub, models: tuple[bytes, bytes], tmp_path: Path
) -> None:
    assert assistant("models", "add", REFERENCE).code == 0
    before = stored(tmp_path)
    hub.commits[COMMIT][FILE] = models[0][:-4] + b"\0\0\0\1"
    ended = assistant("models", "fetch", "--force", NAME)
    assert ended.code == 1
    assert "SHA-256 mismatch in what was downloaded" in ended.err
    assert stored(tmp_path) == before
    assert ModelStore().path(NAME).read_bytes() == models[0]


def test_a_file_without_a_stated_digest_is_pinned_to_what_came(
    assistant: Command, hub: FakeHub, models: tuple[bytes, bytes], tmp_path: Path
) -> None:
    hub.stated[FILE], hub.licence = None, ["x\n", "y"]
    assert assistant("models", "add", REFERENCE, "--name", "mine").code == 0
    assert [(m["name"], m["sha256"], m["licence"]) for m in written(tmp_path)] == [
        ("mine", hashlib.sha256(models[0]).hexdigest(), "unknown")
    ]
    hub.commits[COMMIT][FILE] = models[0][:-4] + b"\0\0\0\1"
    assert "SHA-256 mismatch" in assistant("models", "fetch", "--force", "mine").err


def spoil(hub: FakeHub, how: str) -> str:
    """Make something wrong at the hub; what is then asked for."""
    if how == "wrong digest":
        hub.stated[FILE] = "1" * 64
    elif how == "cut off":
        hub.cut = 1000
    elif how == "gated":
        hub.resolving = (403, "GatedRepo")
    elif how == "gated listing":
        hub.listing = (401, "GatedRepo")
    elif how == "broken":
        hub.listing = (500, "")
    elif how == "no model":
        hub.commits[COMMIT][FILE] = b"<html>Not a model.</html>"
    asked = {"no file": "hub:me/tiny/Tiny-Q8_0.gguf", "no repository": f"hub:me/tinny/{FILE}"}
    return {**asked, "no revision": f"{REFERENCE}@v2"}.get(how, REFERENCE)


@pytest.mark.parametrize(
    ("how", "fact", "remedy"),
    [
        ("wrong digest", "SHA-256 mismatch in what was downloaded", "run the same command to try again"),
        ("cut off", "does not answer, or breaks off", "check the network"),
        ("gated", "me/tiny is gated", "accept its terms at http://127.0.0.1"),
        ("gated listing", "me/tiny is gated", "hf auth login"),
        ("broken", "500", "run the same command to try again"),
        ("no model", "does not start with 'GGUF'", "this engine cannot run it"),
        ("no file", "has no file 'Tiny-Q8_0.gguf' at revision 'main'", f"did you mean {FILE!r}?"),
        ("no repository", "no repository me/tinny", "check its name"),
        ("no revision", "me/tiny has no revision 'v2'", "leave it out for main"),
    ],
)
def test_what_goes_wrong_is_one_line_and_leaves_nothing(
    how: str, fact: str, remedy: str, assistant: Command, hub: FakeHub, tmp_path: Path
) -> None:
    ended = assistant("models", "add", spoil(hub, how))
    last = ended.err.splitlines()[-1]  # behind a progress bar
    assert (ended.code, ended.out) == (1, "")
    assert last.startswith(f"assistant: model {NAME}: ")
    assert fact in last
    assert remedy in last
    assert (written(tmp_path), stored(tmp_path)) == ([], [])


def test_a_model_that_the_engine_cannot_run_is_not_kept(
    assistant: Command, hub: FakeHub, models: tuple[bytes, bytes], tmp_path: Path
) -> None:
    hub.commits[COMMIT][FILE] = models[0].replace(b"qwen2", b"gemma")  # of the same length, everywhere
    ended = assistant("models", "add", REFERENCE)
    assert ended.code == 1
    assert "architecture 'gemma' is not supported, only 'llama', 'qwen2', 'qwen3'" in ended.err
    assert (written(tmp_path), stored(tmp_path)) == ([], [])


def test_without_a_network(assistant: Command, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")
    ended = assistant("models", "add", REFERENCE)
    assert (ended.code, ended.err.count("\n")) == (1, 1)
    assert "http://127.0.0.1:9 does not answer" in ended.err
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    assert "unset HF_HUB_OFFLINE" in assistant("models", "add", REFERENCE).err
    assert written(tmp_path) == []


@pytest.mark.parametrize(
    "reference",
    [
        "hub:me/tiny",
        "hub:me/tiny/model.bin",
        "hub:me/tiny/../../etc/x.gguf",
        "hub:me/../x.gguf",
        "hub:me/tiny/q8//x.gguf",
        "hub:me/tiny//etc/x.gguf",
        "hub:me/tiny/..\\x.gguf",
        "hub:me/tiny/C:x.gguf",
        "hub:me/tiny/-x.gguf",
        "hub:me/tiny/x.gguf@",
        "hub:me/tiny/x.gguf@../main",
        "hub:me/tiny/x.gguf@--help",
        "hub:me/tiny/x\n.gguf",
        "hub:me/tiny/.gguf",
        "hub:me/tiny/x-00001-of-00003.gguf",
    ],
)
def test_a_reference_is_read_strictly(reference: str, assistant: Command) -> None:
    ended = assistant("models", "add", reference)
    assert (ended.code, ended.out, ended.err.count("\n")) == (1, "", 1)
    assert "is not hub:OWNER/REPO/FILE.gguf" in ended.err or "in a single file" in ended.err


def test_a_reference() -> None:
    assert read_reference("hub:me/tiny/a/b_c.Q4_K_M.gguf@refs/pr/1") == HubFile(
        "me/tiny", "a/b_c.Q4_K_M.gguf", "refs/pr/1"
    )
    assert read_reference("hub:me/tiny/b.gguf") == HubFile("me/tiny", "b.gguf", "main")


def test_a_catalogue_cannot_name_a_file_outside_either(tmp_path: Path) -> None:
    head = '[[model]]\nname = "x"\nrole = "llm"\nlicence = "MIT"\nsuffix = ".gguf"\n[model.hub]\n'
    for place in ('repo = "me/tiny"\nfile = "../x"', 'repo = "../x"\nfile = "x"'):
        (tmp_path / "m.toml").write_text(f'{head}{place}\nrevision = "main"\n')
        with pytest.raises(ModelStoreError, match="has no valid value"):
            load_catalog(tmp_path / "m.toml")


@pytest.mark.parametrize("name", ["Tiny", "a/b", "", ".x", "x.gguf", "é"])
def test_a_name_that_cannot_be(name: str, assistant: Command, hub: FakeHub) -> None:
    ended = assistant("models", "add", REFERENCE, "--name", name)
    assert (ended.code, ended.err.count("\n"), hub.requests) == (1, 1, [])
    assert f"{name!r} cannot be a name" in ended.err


def test_a_name_that_is_taken(assistant: Command, hub: FakeHub) -> None:
    ended = assistant("models", "add", REFERENCE, "--name", "silero-vad-v6")
    assert "the name 'silero-vad-v6' is taken; choose another with --name\n" in ended.err
    assert assistant("models", "add", REFERENCE).code == 0
    asked = len(hub.requests)
    ended = assistant("models", "add", REFERENCE)
    assert ended.code == 1
    assert f"is taken; choose another with --name, or run `assistant models remove {NAME}`" in ended.err
    shipped = "hub:HuggingFaceTB/SmolLM2-360M-Instruct-GGUF/smollm2-360m-instruct-q8_0.gguf"
    ended = assistant("models", "add", shipped)
    assert "it is this file: run `assistant models fetch smollm2-360m-instruct-q8_0`" in ended.err
    assert len(hub.requests) == asked


def test_a_file_is_used_where_it_lies(
    assistant: Command, models: tuple[bytes, bytes], tmp_path: Path
) -> None:
    path = tmp_path / 'My "own" Módel.gguf'
    path.write_bytes(models[1])
    ended = assistant("models", "add", path)
    assert ended.code == 0
    assert '[llm]\nmodel = "my--own--m-del"\n' in ended.out
    assert ModelStore().path("my--own--m-del") == path
    path.write_bytes(models[0])
    with pytest.raises(ModelStoreError, match="assistant models remove my--own--m-del"):
        ModelStore().path("my--own--m-del")
    ended = assistant("models", "remove", "my--own--m-del")
    assert (ended.code, path.read_bytes()) == (0, models[0])
    assert (written(tmp_path), stored(tmp_path)) == ([], [])


def test_a_model_of_a_shape_that_the_engine_cannot_run(assistant: Command, tmp_path: Path) -> None:
    path = write_llama(tmp_path / "m.gguf", SMALL_QWEN2)
    assert "m: this engine cannot run it: heads of 8 channels" in assistant("models", "add", path).err
    assert written(tmp_path) == []


def test_a_file_that_is_no_model(assistant: Command, tmp_path: Path) -> None:
    (tmp_path / "notes.gguf").write_text("Not a model at all.")
    ended = assistant("models", "add", tmp_path / "notes.gguf")
    assert (ended.code, ended.err.count("\n")) == (1, 1)
    assert "this engine cannot run it" in ended.err
    ended = assistant("models", "add", "me/tiny/x.gguf")
    assert "there is no such file; a model of the hub is written hub:OWNER/REPO/FILE.gguf" in ended.err
    assert written(tmp_path) == []


def test_what_cannot_be_removed(assistant: Command) -> None:
    assert "silero-vad-v6 comes with the assistant" in assistant("models", "remove", "silero-vad-v6").err
    assert "no model 'tiny' was added" in assistant("models", "remove", "tiny").err


def shipped_unpinned() -> ModelSpec:
    return ModelSpec("tiny", "llm", "MIT", HubFile("me/tiny", FILE, "main"), None, None, ".gguf", True)


def test_a_shipped_model_is_pinned_when_it_is_first_fetched(
    hub: FakeHub, models: tuple[bytes, bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        own, "load_catalog", lambda *path: load_catalog(*path) if path else {"tiny": shipped_unpinned()}
    )
    store = ModelStore()
    assert store.status("tiny").state == "missing"
    assert store.path("tiny").read_bytes() == models[0]
    pinned = ModelStore(offline=True)
    assert pinned.catalog["tiny"].source == HubFile("me/tiny", FILE, COMMIT)
    assert pinned.catalog["tiny"].licence == "MIT"
    assert pinned.path("tiny").read_bytes() == models[0]


def test_shipped_models_without_a_digest_are_said_to_be_unpinned(assistant: Command) -> None:
    lines = assistant("models", "list").out.splitlines()
    unpinned = [line.split()[0] for line in lines if "not pinned until fetched" in line]
    assert unpinned == [name for name, spec in load_catalog().items() if spec.sha256 is None]
    assert "qwen3-0.6b-q8_0" in unpinned


def test_two_models_of_one_name_are_refused_until_one_is_removed(
    assistant: Command, hub: FakeHub, tmp_path: Path
) -> None:
    assert assistant("models", "add", REFERENCE).code == 0
    path = tmp_path / "config" / "assistant" / "models.toml"
    path.write_text(path.read_text().replace(NAME, "silero-vad-v6"))
    ended = assistant("models", "list")
    assert (ended.code, ended.err.count("\n")) == (1, 1)
    assert "run `assistant models remove silero-vad-v6`" in ended.err
    assert assistant("models", "remove", "silero-vad-v6").code == 0
    assert assistant("models", "list").code == 0


def test_a_catalogue_that_cannot_be_written(assistant: Command, hub: FakeHub, tmp_path: Path) -> None:
    (tmp_path / "config").write_text("a file where the folder should be")
    ended = assistant("models", "add", REFERENCE)
    assert ended.code == 1
    assert "cannot be written: " in ended.err.splitlines()[-1]
    assert stored(tmp_path) == []
