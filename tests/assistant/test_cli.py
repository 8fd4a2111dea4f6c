"""The command line: what it says, what it leaves behind, and how it ends, above all on bad input."""

import io
import itertools
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import soundfile
import soxr
from gguf import GGUFWriter
from numpy.typing import NDArray
from recordings import TRACES, recordings

from assistant import cli
from assistant.session.pipeline import GRAPH

CLIP = TRACES / "000.flac"
SAID = "What is the capital of France?"


@dataclass(frozen=True)
class Ended:
    """How a command ended."""

    code: int
    out: str
    err: str


Command = Callable[..., Ended]


@pytest.fixture
def assistant(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> Command:
    """Runs the command line in this process, in an empty folder."""
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")

    def run(*words: str | Path) -> Ended:
        monkeypatch.setattr(sys, "argv", ["assistant", *map(str, words)])
        capsys.readouterr()
        with pytest.raises(SystemExit) as caught:
            cli.main()
        printed = capsys.readouterr()
        return Ended(int(caught.value.code or 0), printed.out, printed.err)

    return run


@pytest.fixture
def no_models(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """No model is here and none can be had: a command that gets as far as wanting one says so."""
    for key in [key for key in os.environ if key.startswith("PIP_") or key.lower().endswith("_proxy")]:
        monkeypatch.delenv(key)
    monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("ASSISTANT_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


def write(path: Path, content: bytes | str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


def sound(path: Path, audio: NDArray[np.float32], rate: int = 16000, subtype: str = "PCM_16") -> Path:
    soundfile.write(path, audio, rate, subtype=subtype)
    return path


def assert_refused(ended: Ended, *facts: object) -> None:
    """One line on stderr with these facts, nothing on stdout, exit code 1, and an empty folder."""
    assert ended.code == 1
    assert ended.out == ""
    assert ended.err.startswith("assistant: ")
    assert ended.err.endswith("\n")
    assert ended.err.count("\n") == 1, ended.err
    for fact in facts:
        assert str(fact) in ended.err
    assert list(Path.cwd().iterdir()) == [], "something was left behind"


# Recordings that cannot be read


def empty(folder: Path) -> Path:
    return write(folder / "empty.wav", b"")


def truncated_wav(folder: Path) -> Path:
    whole = sound(folder / "whole.wav", recordings()["000"].audio).read_bytes()
    return write(folder / "truncated.wav", whole[: len(whole) // 2])


def truncated_flac(folder: Path) -> Path:
    return write(folder / "truncated.flac", CLIP.read_bytes()[:30000])


def not_a_number(folder: Path) -> Path:
    audio = recordings()["000"].audio.copy()
    audio[16000] = np.nan
    return sound(folder / "nan.wav", audio, subtype="FLOAT")


def text(folder: Path) -> Path:
    return write(folder / "text.wav", "This is no recording.")


def no_samples(folder: Path) -> Path:
    return sound(folder / "nothing.wav", np.zeros(0, np.float32))


def too_slow(folder: Path) -> Path:
    return sound(folder / "slow.wav", np.zeros(4000, np.float32), rate=2000)


BAD_AUDIO = {
    empty: "is empty",
    truncated_wav: "truncated",
    truncated_flac: "truncated",
    not_a_number: "sample 16000 (1.000 s) is nan",
    text: "is not a WAV, FLAC, Ogg, MP3, AIFF, AU or CAF file",
    no_samples: "holds no audio",
    too_slow: "2000 Hz",
}
READERS: dict[str, Callable[[Path], list[str | Path]]] = {
    "transcribe": lambda path: ["transcribe", path],
    "demo": lambda path: ["demo", path, "-o", "reply.wav"],
    "replay": lambda path: ["replay", path, "--json", "out.json", "--perfetto", "out.perfetto"],
    "replay, the second of two": lambda path: ["replay", CLIP, path],
}


@pytest.mark.parametrize("reader", READERS)
@pytest.mark.parametrize("make", BAD_AUDIO)
def test_a_recording_that_cannot_be_read(
    make: Callable[[Path], Path], reader: str, assistant: Command, no_models: Path, tmp_path: Path
) -> None:
    path = make(tmp_path)
    assert_refused(assistant(*READERS[reader](path)), path, BAD_AUDIO[make])
    assert not no_models.exists()


@pytest.mark.parametrize("command", ["transcribe", "demo", "replay"])
def test_a_file_that_is_not_there(command: str, assistant: Command, no_models: Path, tmp_path: Path) -> None:
    assert_refused(assistant(command, tmp_path / "none.wav"), tmp_path / "none.wav", "o such file")


INDEXES: dict[str, tuple[str | None, str]] = {
    "none": (None, "has no index.json"),
    "not JSON": ("[{", "not JSON"),
    "empty": ("[]", "empty list"),
    "missing file": ('[{"file": "000.flac"}, {"file": "gone.flac"}]', "entry 1: \"file\" is 'gone.flac'"),
    "outside": ('[{"file": "../secret.wav"}]', "outside the folder"),
    "wrong type": ('[{"file": "000.flac", "speech_end_sample": "x"}]', "speech_end_sample"),
    "wrong rate": ('[{"file": "000.flac", "text": "x", "sample_rate": 16000}]', "000.flac: has 24000 Hz"),
    "label after the end": (
        '[{"file": "000.flac", "text": "x", "speech_end_sample": 9999999}]',
        "before its label 9999999",
    ),
}
FOLDER_READERS: dict[str, Callable[[Path], list[str | Path]]] = {
    "demo": lambda path: ["demo", path],
    "replay": lambda path: ["replay", path, "--json", "out.json"],
    "eval asr": lambda path: ["eval", "asr", path, "--json", "out.json"],
}


@pytest.mark.parametrize("reader", FOLDER_READERS)
@pytest.mark.parametrize("case", INDEXES)
def test_a_folder_whose_index_cannot_be_used(
    case: str, reader: str, assistant: Command, no_models: Path, tmp_path: Path
) -> None:
    index, fact = INDEXES[case]
    folder = tmp_path / "clips"
    folder.mkdir()
    shutil.copy(CLIP, folder)
    if index is not None:
        write(folder / "index.json", index)
    assert_refused(assistant(*FOLDER_READERS[reader](folder)), folder, fact)
    assert not no_models.exists()


# Configuration

CONFIGS = {
    "[turn]\nmin_silense_ms = 3\n": "unknown key 'turn.min_silense_ms'; did you mean 'min_silence_ms'?",
    '[llm]\ncontext = "long"\n': "llm.context: ",
    "[llm\n": "not TOML",
}
CONFIGURED: dict[str, list[str | Path]] = {
    "demo": ["demo", CLIP],
    "replay": ["replay", CLIP],
    "chat": ["chat"],
    "say": ["say", "Hello.", "-o", "hello.wav"],
    "transcribe": ["transcribe", CLIP],
    "eval asr": ["eval", "asr", TRACES],
}


@pytest.mark.parametrize("command", CONFIGURED)
@pytest.mark.parametrize("content", CONFIGS)
def test_a_configuration_that_cannot_be_used(
    content: str, command: str, assistant: Command, no_models: Path, tmp_path: Path
) -> None:
    path = write(tmp_path / "assistant.toml", content)
    assert_refused(assistant(*CONFIGURED[command], "--config", path), path, CONFIGS[content])
    assert not no_models.exists()


def test_a_configuration_that_is_not_there(assistant: Command, no_models: Path, tmp_path: Path) -> None:
    path = tmp_path / "none.toml"
    assert_refused(assistant("transcribe", CLIP, "--config", path), path, "No such file")


# Output that cannot be written

OUTPUTS: dict[str, Callable[[str], list[str | Path]]] = {
    "demo -o": lambda path: ["demo", CLIP, "-o", f"{path}.wav"],
    "replay --json": lambda path: ["replay", CLIP, "--json", f"{path}.json"],
    "replay --perfetto": lambda path: ["replay", CLIP, "--perfetto", f"{path}.json"],
    "chat --speak": lambda path: ["chat", "--speak", f"{path}.wav"],
    "say -o": lambda path: ["say", "Hello.", "-o", f"{path}.wav"],
    "eval asr --json": lambda path: ["eval", "asr", TRACES, "--json", f"{path}.json"],
}
PLACES = {"none/out": "No such file", "file/out": "ot a directory", "folder": "is a folder"}


@pytest.mark.parametrize("command", OUTPUTS)
@pytest.mark.parametrize("place", PLACES)
def test_output_that_cannot_be_written_is_refused_before_anything_is_done(
    place: str, command: str, assistant: Command, no_models: Path, tmp_path: Path
) -> None:
    (tmp_path / "folder.wav").mkdir()
    (tmp_path / "folder.json").mkdir()
    write(tmp_path / "file", "mine")
    ended = assistant(*OUTPUTS[command](str(tmp_path / place)))
    assert_refused(ended, tmp_path / place, "cannot be written", PLACES[place])
    assert (tmp_path / "file").read_text() == "mine"
    assert not any((tmp_path / "folder.wav").iterdir())
    assert not no_models.exists()


@pytest.mark.parametrize("words", [["demo", CLIP, "-o"], ["say", "Hello.", "-o"], ["chat", "--speak"]])
def test_sound_goes_to_wav_or_flac(words: list[str | Path], assistant: Command, no_models: Path) -> None:
    assert_refused(assistant(*words, "reply.mp3"), "reply.mp3: cannot be written: name it .wav or .flac")


def test_a_device_is_not_replaced_by_a_report(assistant: Command, no_models: Path) -> None:
    assert_refused(assistant("replay", CLIP, "--json", os.devnull), os.devnull, "not a regular file")
    assert Path(os.devnull).is_char_device()


# Speech that cannot be as it is wanted

SPEAKERS = {
    "talk": ["talk"],
    "chat": ["chat", "--speak", "out.wav"],
    "say": ["say", "Hello.", "-o", "out.wav"],
}


@pytest.mark.parametrize("command", SPEAKERS)
@pytest.mark.parametrize(
    ("option", "value", "allowed"),
    [
        *[
            ("--volume", value, "--volume must be 1 to 100, not")
            for value in ("0", "-1", "nan", "1000", "loud", "")
        ],
        *[
            ("--speed", value, "--speed must be 0.25 to 1.5, not")
            for value in ("0", "-1", "nan", "1000", "loud")
        ],
        ("--voice", "ema", "--voice must be heart, emma, fable or kore, not 'ema'; did you mean 'emma'?"),
        ("--voice", "", "--voice must be heart, emma, fable or kore, not ''"),
    ],
)
def test_what_the_voice_cannot_do_is_refused_with_what_it_can(
    option: str, value: str, allowed: str, command: str, assistant: Command, no_models: Path
) -> None:
    assert_refused(assistant(*SPEAKERS[command], option, value), allowed, repr(value))
    assert not no_models.exists()


def test_a_voice_that_is_not_to_be_had(
    assistant: Command, no_models: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.setenv("HF_HOME", str(no_models / "hf"))
    ended = assistant("say", "Hello.", "-o", "out.wav", "--voice", "emma")
    last = ended.err.splitlines()[-1]
    assert (ended.code, ended.out) == (1, "")
    assert last.startswith("assistant: model hibari-emma: could not download ")
    assert "run `assistant models fetch hibari-emma`" in last
    assert list(Path.cwd().iterdir()) == []


# Models that are not to be had


@pytest.mark.parametrize("command", ["replay", "chat", "eval asr"])
def test_no_models_and_no_network(command: str, assistant: Command, no_models: Path) -> None:
    ended = assistant(*CONFIGURED[command])
    last = ended.err.splitlines()[-1]
    assert ended.code == 1
    assert last.startswith("assistant: model ")
    assert "run `assistant models fetch " in last
    assert "Traceback" not in ended.err
    assert not [path for path in no_models.rglob("*") if path.is_file()]
    assert list(Path.cwd().iterdir()) == []


def test_an_unknown_model_is_refused_with_the_nearest(
    assistant: Command, no_models: Path, tmp_path: Path
) -> None:
    path = write(tmp_path / "assistant.toml", '[llm]\nmodel = "smollm2-135m"\n')
    assert_refused(assistant("chat", "--config", path), "'smollm2-135m'", "smollm2-135m-instruct-q4_1")


def other_architecture(path: Path) -> Path:
    """As llama.cpp's own library writes a file of another family: a vocabulary of the bytes, one tensor."""
    writer = GGUFWriter(path, "mamba")
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("gpt-2")
    letters = [chr(0x100 + n) for n in range(31)]
    writer.add_token_list([*letters, letters[0] + letters[1]])
    writer.add_token_types([1] * 32)
    writer.add_token_merges([f"{letters[0]} {letters[1]}"])
    writer.add_eos_token_id(0)
    writer.add_chat_template("{% for m in messages %}{{ m['role'] + ': ' + m['content'] }}{% endfor %}")
    writer.add_tensor("token_embd.weight", np.zeros((32, 32), np.float32))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


def no_gguf(path: Path) -> Path:
    return write(path, "Not a model at all.")


def gguf_cut_off(path: Path) -> Path:
    return write(path, other_architecture(path).read_bytes()[:200])


def missing(path: Path) -> Path:
    return path


@pytest.mark.parametrize(
    ("make", "fact"),
    [
        (other_architecture, "architecture 'mamba' is not supported"),
        (no_gguf, "not a GGUF file"),
        (gguf_cut_off, "has"),
        (missing, "No such file"),
    ],
)
def test_a_language_model_that_cannot_be_used(
    make: Callable[[Path], Path], fact: str, assistant: Command, no_models: Path, tmp_path: Path
) -> None:
    model = make(tmp_path / "mine.gguf")
    config = write(tmp_path / "assistant.toml", f'[llm]\nmodel = "{model}"\n')
    assert_refused(assistant("chat", "--speak", "out.wav", "--config", config), model, fact)


# Recordings that are odd and yet fine


@pytest.mark.models
@pytest.mark.parametrize(
    ("rate", "channels", "subtype"),
    [
        (8000, 1, "PCM_16"),
        (44100, 2, "PCM_24"),
        (48000, 1, "PCM_U8"),
        (11025, 2, "FLOAT"),
        (16000, 1, "ULAW"),
    ],
)
def test_any_rate_channels_and_sample_format(
    rate: int,
    channels: int,
    subtype: str,
    model_path: Callable[[str], Path],
    assistant: Command,
    tmp_path: Path,
) -> None:
    audio = soxr.resample(recordings()["000"].audio, 16000, rate)
    path = sound(tmp_path / "odd.wav", np.column_stack([audio] * channels), rate, subtype)
    assert assistant("transcribe", path) == Ended(0, f"{SAID}\n", "")


@pytest.mark.models
def test_clipped_speech_is_still_read(assistant: Command, tmp_path: Path) -> None:
    loud = np.clip(recordings()["000"].audio * 8, -1, 1)
    assert np.mean(np.abs(loud) == 1) > 0.01
    ended = assistant("transcribe", sound(tmp_path / "loud.wav", loud))
    assert ended.code == 0
    assert "capital of France" in ended.out


def hiss(seconds: float) -> NDArray[np.float32]:
    return np.random.default_rng(2).normal(scale=1e-3, size=int(seconds * 16000)).astype(np.float32)


@pytest.mark.models
@pytest.mark.parametrize(
    "audio", [np.zeros(16000, np.float32), hiss(2), hiss(0.005)], ids=["zeros", "hiss", "5 ms"]
)
@pytest.mark.parametrize("stream", [[], ["--stream"]])
def test_no_speech_is_transcribed_as_such(
    audio: NDArray[np.float32], stream: list[str], assistant: Command, tmp_path: Path
) -> None:
    path = sound(tmp_path / "silent.wav", audio)
    assert assistant("transcribe", *stream, path) == Ended(0, "no speech\n", "")


@pytest.mark.models
def test_no_speech_gets_no_reply(
    model_path: Callable[[str], Path], assistant: Command, tmp_path: Path
) -> None:
    path = sound(tmp_path / "silent.wav", hiss(0.6))
    ended = assistant("replay", path, "--json", "out.json", "--perfetto", "spans.json")
    assert (ended.code, ended.out, ended.err) == (0, "silent.wav: no speech\n", "")
    report = json.loads(Path("out.json").read_text())
    (turn,) = report["turns"]
    assert (turn["transcript"], turn["reply"], turn["ttfa_ms"]) == ("", "", None)
    assert report["summary"]["replies"] == 0
    assert len(report["models"]) >= 6
    assert json.loads(Path("spans.json").read_text())["traceEvents"]


# What works


@pytest.mark.models
def test_partials_grow_into_the_transcript(assistant: Command) -> None:
    ended = assistant("transcribe", "--stream", CLIP)
    *partials, text = ended.out.splitlines()
    assert text == SAID
    assert len(partials) >= 5
    stable = [line.split(" s  ")[1].split(" | ")[0] for line in partials]
    assert all(later.startswith(earlier) for earlier, later in itertools.pairwise(stable))
    assert "capital" in stable[-1]


def test_a_text_is_spoken_into_a_file(assistant: Command) -> None:
    ended = assistant("say", "Hello there, how are you?", "-o", "hello.flac")
    audio, rate = soundfile.read("hello.flac")
    assert (ended.code, ended.err) == (0, "")
    assert ended.out == f"hello.flac: {len(audio) / rate:.1f} s\n"
    assert 0.05 < np.abs(audio).max() < 1
    assert list(Path.cwd().iterdir()) == [Path.cwd() / "hello.flac"]


def test_a_text_is_spoken_as_it_is_asked_for_and_options_come_before_the_file(
    assistant: Command, tmp_path: Path
) -> None:
    config = write(tmp_path / "assistant.toml", "[tts]\nspeed = 0.8\nvolume = 10\n")

    def spoken(*options: str | Path) -> NDArray[np.float32]:
        ended = assistant("say", "Hello there, how are you?", "-o", "hello.flac", *options)
        assert (ended.code, ended.err) == (0, "")
        audio, _ = soundfile.read("hello.flac", dtype="float32")
        return np.asarray(audio)

    plain = spoken()
    half = spoken("--volume", "50", "--voice", "heart")
    np.testing.assert_allclose(half, plain / 2, atol=2**-15)  # a step of 16 bits
    slow = spoken("--config", config)
    assert len(slow) / len(plain) == pytest.approx(1 / 0.8, rel=0.1)
    assert np.abs(slow).max() < 0.2 * np.abs(plain).max()
    np.testing.assert_array_equal(spoken("--config", config, "--speed", "1", "--volume", "100"), plain)


@pytest.mark.parametrize("text", ["", "   ", "...", "🎉"])
def test_a_text_without_words_is_refused(text: str, assistant: Command) -> None:
    assert_refused(assistant("say", text, "-o", "out.wav"), "out.wav", "nothing in this text")


@pytest.mark.models
def test_a_typed_conversation(
    model_path: Callable[[str], Path], assistant: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "stdin", io.StringIO("What is the capital of France?\n\n"))
    ended = assistant("chat", "--speak", "replies.wav")
    assert (ended.code, ended.err) == (0, "")
    assert "Paris" in ended.out
    audio, rate = soundfile.read("replies.wav")
    assert len(audio) / rate > 0.5


def test_the_graph_is_printed_whole(assistant: Command) -> None:
    ended = assistant("graph")
    assert ended.code == 0
    for node in GRAPH.nodes:
        assert f"\n{node.name}  [" in f"\n{ended.out}"
        assert node.does in ended.out
    for edge in GRAPH.edges:
        assert ended.out.count(f"--{edge.name}--> {edge.target.name}") == len(edge.sources)
        assert f"at most {edge.capacity}, " in ended.out


# Real processes


def process(*words: str | Path, folder: Path, **environment: str) -> Ended:
    """Run a program of this virtual environment as a user's shell would."""
    inherited = {key: value for key, value in os.environ.items() if not key.startswith("PIP_")}
    done = subprocess.run(
        [Path(sys.executable).with_name(str(words[0])), *words[1:]],
        cwd=folder,
        env={**inherited, **environment},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
    return Ended(done.returncode, done.stdout, done.stderr)


def test_bad_input_to_the_installed_command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    path = not_a_number(tmp_path)
    assert_refused(process("assistant", "transcribe", path, folder=Path.cwd()), path, "sample 16000")


def test_no_models_and_no_network_for_the_installed_command(tmp_path: Path) -> None:
    nothing = {"ASSISTANT_CACHE": str(tmp_path / "cache"), "PIP_NO_INDEX": "1", "PIP_CONFIG_FILE": os.devnull}
    ended = process("assistant", "transcribe", CLIP, folder=tmp_path, **nothing)
    assert ended.code == 1
    assert ended.out == ""
    assert ended.err.splitlines()[-1].startswith("assistant: model silero-vad-v6: could not download")
    assert "Traceback" not in ended.err
    assert not [path for path in tmp_path.rglob("*") if path.is_file()]


@pytest.mark.parametrize("words", [["--help"], ["replay", "--help"], ["models", "--help"], ["graph"]])
def test_help_loads_no_model_library(words: list[str], tmp_path: Path) -> None:
    code = (
        "import sys\n"
        "from assistant.cli import main\n"
        "try:\n    main()\n"
        "finally:\n    print(sorted({'torch', 'onnxruntime', 'hibari'} & set(sys.modules)))"
    )
    ended = process("python", "-c", code, *words, folder=tmp_path)
    assert ended.code == 0
    assert ended.out.splitlines()[-1] == "[]"
    assert len(ended.out.splitlines()) > 5
