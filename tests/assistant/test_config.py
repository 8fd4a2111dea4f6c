"""The configuration file: defaults, nested values, and one line for whatever is wrong with it."""

from dataclasses import replace
from pathlib import Path

import pytest

from assistant.config import Config, ConfigError, read_config


def write(folder: Path, text: str) -> Path:
    path = folder / "assistant.toml"
    path.write_text(text, encoding="utf-8")
    return path


def refusal(path: Path) -> str:
    with pytest.raises(ConfigError) as caught:
        read_config(path)
    message = str(caught.value)
    assert message.startswith(f"{path}: ")
    assert "\n" not in message
    return message.removeprefix(f"{path}: ")


def test_without_a_file_everything_is_default() -> None:
    assert read_config(None) == Config()
    assert Config().llm.model == "smollm2-135m-instruct-q4_1"


@pytest.mark.parametrize("text", ["", "# nothing\n", "[turn]\n", "[llm.generate.sampling]\n"])
def test_what_is_not_set_is_default(text: str, tmp_path: Path) -> None:
    assert read_config(write(tmp_path, text)) == Config()


def test_one_value_of_a_section_leaves_the_others_at_their_defaults(tmp_path: Path) -> None:
    config = read_config(write(tmp_path, "[llm.generate.sampling]\nseed = 3\n"))
    defaults = Config().llm.generate
    assert config.llm.generate == replace(defaults, sampling=replace(defaults.sampling, seed=3))


def test_values_of_every_depth_are_read_and_the_rest_stays(tmp_path: Path) -> None:
    text = """
    [turn]
    min_silence_ms = 400
    voice_on = 0.6
    interrupt_response = false
    detection = "silence"
    [asr]
    partial_ms = 320
    [llm]
    sessions = 12
    system_prompt = "Be brief, naïve one."
    [llm.generate]
    max_tokens = 40
    stop = ["User:", "\\n"]
    [llm.generate.sampling]
    temperature = 0.7
    seed = 3
    [tts]
    comma_pause_ms = 80
    """
    config = read_config(write(tmp_path, text))
    assert (config.turn.min_silence_ms, config.turn.voice_on) == (400, 0.6)
    assert (config.turn.interrupt_response, config.turn.detection) == (False, "silence")
    assert config.turn.max_silence_ms == Config().turn.max_silence_ms
    assert config.asr.partial_ms == 320
    assert config.llm.sessions == 12
    assert config.llm.system_prompt == "Be brief, naïve one."
    assert config.llm.generate.max_tokens == 40
    assert config.llm.generate.stop == ("User:", "\n")
    assert (config.llm.generate.sampling.temperature, config.llm.generate.sampling.seed) == (0.7, 3)
    assert config.llm.generate.sampling.top_p == 1.0
    assert config.tts.comma_pause_ms == 80  # a whole number where a fraction would do


@pytest.mark.parametrize(
    ("model", "own"), [("smollm2-135m-instruct-q4_1", False), ("/models/mine.gguf", True)]
)
def test_a_model_is_a_name_or_the_path_of_a_gguf_file(model: str, own: bool, tmp_path: Path) -> None:
    assert read_config(write(tmp_path, f'[llm]\nmodel = "{model}"\n')).llm.is_path is own


@pytest.mark.parametrize(
    ("adapter", "own"),
    [
        ("polite", False),
        ("polite.gguf", True),
        ("adapter_model.safetensors", True),
        ("./polite", True),
        ("/adapters/polite", True),
    ],
)
def test_an_adapter_is_a_name_or_the_path_of_a_file_or_folder(
    adapter: str, own: bool, tmp_path: Path
) -> None:
    config = read_config(write(tmp_path, f'[llm]\nadapter = "{adapter}"\n')).llm
    assert (config.adapter, config.adapter_is_path) == (adapter, own)
    assert (Config().llm.adapter, Config().llm.adapter_is_path) == ("auto", False)


def test_the_language_model_runs_on_a_gpu_that_can_unless_it_is_told_otherwise(tmp_path: Path) -> None:
    assert Config().llm.device == "auto"
    assert read_config(write(tmp_path, '[llm]\ndevice = "cuda"\n')).llm.device == "cuda"


@pytest.mark.parametrize(
    ("text", "key", "near"),
    [
        ("[turns]\n", "turns", "turn"),
        ("[turn]\nmin_silense_ms = 3\n", "turn.min_silense_ms", "min_silence_ms"),
        ("[llm.generate]\nmax_token = 3\n", "llm.generate.max_token", "max_tokens"),
        ("[llm.generate.sampling]\ntemprature = 0.5\n", "llm.generate.sampling.temprature", "temperature"),
    ],
)
def test_an_unknown_key_is_refused_with_the_nearest(text: str, key: str, near: str, tmp_path: Path) -> None:
    assert refusal(write(tmp_path, text)) == f"unknown key {key!r}; did you mean {near!r}?"


def test_a_key_that_is_like_none_is_refused_without_a_guess(tmp_path: Path) -> None:
    assert refusal(write(tmp_path, "[llm]\nxyz = 1\n")) == "unknown key 'llm.xyz'"


@pytest.mark.parametrize(
    ("text", "key", "value"),
    [
        ('[llm]\ncontext = "long"\n', "llm.context", "'long'"),
        ("[llm]\ncontext = 2048.5\n", "llm.context", "2048.5"),
        ("[llm]\ncontext = true\n", "llm.context", "True"),
        ("[llm]\nmodel = 3\n", "llm.model", "3"),
        ("[llm]\nsessions = 2.5\n", "llm.sessions", "2.5"),
        ('[turn]\ndetection = "server"\n', "turn.detection", "'server'"),
        ('[turn]\ninterrupt_response = "no"\n', "turn.interrupt_response", "'no'"),
        ("[turn]\ninterrupt_response = 1\n", "turn.interrupt_response", "1"),
        ('[llm]\ndevice = "gpu"\n', "llm.device", "'gpu'"),
        ("[turn]\nmin_silence_ms = 2024-01-01\n", "turn.min_silence_ms", "2024-01-01"),
        ('[tts]\nvolume = "loud"\n', "tts.volume", "'loud'"),
        ("[tts]\nspeed = true\n", "tts.speed", "True"),
        ("[tts]\nvoice = 3\n", "tts.voice", "3"),
        ("[llm.generate]\nstop = [1]\n", "llm.generate.stop.0", "1"),
        ('[llm.generate]\nstop = "a"\n', "llm.generate.stop", "'a'"),
        ('[llm.generate]\nsampling = "greedy"\n', "llm.generate.sampling", "'greedy'"),
        ("turn = 3\n", "turn", "3"),
        ("llm = [1, 2]\n", "llm", "[1, 2]"),
    ],
)
def test_a_value_of_another_type_is_refused(text: str, key: str, value: str, tmp_path: Path) -> None:
    message = refusal(write(tmp_path, text))
    assert message.startswith(f"{key}: ")
    assert value in message


@pytest.mark.parametrize(
    ("text", "key"),
    [
        ("[llm.generate.sampling]\ntemperature = -0.1\n", "temperature"),
        ("[llm.generate.sampling]\ntop_p = 0.0\n", "top_p"),
        ("[llm.generate.sampling]\ntop_p = 1.5\n", "top_p"),
        ("[llm.generate.sampling]\nmin_p = 1.0\n", "min_p"),
        ("[llm.generate.sampling]\nrepetition_penalty = 0.0\n", "repetition_penalty"),
        ("[llm]\nsessions = 0\n", "sessions"),
        ("[llm]\nsessions = 1025\n", "sessions"),
        ("[tts]\nvolume = 0\n", "volume must be 1 to 100 percent, not 0"),
        ("[tts]\nvolume = -20\n", "volume must be 1 to 100 percent, not -20"),
        ("[tts]\nvolume = 1000\n", "volume must be 1 to 100 percent, not 1000"),
        ("[tts]\nvolume = nan\n", "volume must be 1 to 100 percent, not nan"),
        ("[tts]\nspeed = 0\n", "speed must be 0.25 to 1.5, not 0"),
        ("[tts]\nspeed = -1.0\n", "speed must be 0.25 to 1.5, not -1"),
        ("[tts]\nspeed = nan\n", "speed must be 0.25 to 1.5, not nan"),
        ("[tts]\nspeed = inf\n", "speed must be 0.25 to 1.5, not inf"),
        (
            '[tts]\nvoice = "ema"\n',
            "voice must be heart, emma, fable or kore, not 'ema'; did you mean 'emma'?",
        ),
        ("[asr]\npartial_ms = 0\n", "partial_ms"),
        ("[asr]\nmax_turn_s = 0\n", "max_turn_s"),
        ("[asr]\ntail_ms = -1\n", "tail_ms"),
        ('[mqtt]\nhost = "mqtt://broker"\n', "without mqtt://"),
        ('[mqtt]\nhost = "a..b"\n', "label empty"),
        ("[mqtt]\nport = 0\n", "port"),
        ('[mqtt]\nbase_topic = "home/#"\n', "base_topic"),
        ('[mqtt]\ndiscovery_prefix = ""\n', "discovery_prefix"),
        ('[mqtt]\nname = " "\n', "name"),
        ('[mqtt]\npassword_file = "x"\n', "username"),
        ('[mqtt]\ntls_ca = "ca.pem"\n', "tls = true"),
        ('[mqtt]\ntls = true\ntls_key = "k"\n', "tls_cert"),
        ("[server]\nport = 65536\n", "port"),
        ('[server]\nhost = ""\n', "host"),
        ('[server]\ntoken = ""\n', "token"),
        ('[server]\norigins = ["https://a.example", "https://b.example/path"]\n', "origins"),
        ('[server]\norigins = ["*"]\n', "origins"),
        ('[server]\ntls_cert = "cert.pem"\n', "tls_key"),
        ("[server]\nmessage_bytes = 1000\n", "message_bytes"),
        ("[server]\nidle_s = 0\n", "idle_s"),
        ("[server]\nevents_per_s = 0\n", "events_per_s"),
        ("[server]\ndrain_s = -1\n", "drain_s"),
        ("[server]\nsession_s = 90000\n", "session_s"),
        ("[server]\ntools = -1\n", "tools"),
    ],
)
def test_a_value_that_cannot_work_is_refused(text: str, key: str, tmp_path: Path) -> None:
    assert key in refusal(write(tmp_path, text))


@pytest.mark.parametrize(
    "content", [b"[turn\n", b"turn = \n", b"\xff\xfe[turn]", b"[turn]\ninterrupt_response = yes\n"]
)
def test_what_is_not_toml_is_refused(content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "assistant.toml"
    path.write_bytes(content)
    assert refusal(path).startswith("not TOML: ")


def test_a_missing_file_and_a_folder_are_refused(tmp_path: Path) -> None:
    assert refusal(tmp_path / "none.toml") == "No such file or directory"
    assert refusal(tmp_path) == "Is a directory"


def test_a_token_is_never_shown(tmp_path: Path) -> None:
    """Neither where it is refused nor where a configuration is printed."""
    assert "s3cret" not in refusal(write(tmp_path, '[server]\ntoken = "s3cret with a blank"\n'))
    config = read_config(write(tmp_path, '[server]\ntoken = "s3cret"\n'))
    assert config.server.token == "s3cret"
    assert "s3cret" not in repr(config)


@pytest.mark.parametrize("line", ["awake_s = 0.5", "awake_s = 4000.0", 'wake = "hello"'])
def test_a_wake_word_is_one_of_those_there_are_and_is_needed_again(line: str, tmp_path: Path) -> None:
    assert refusal(write(tmp_path, f"[microphone]\n{line}\n")).startswith("microphone")


def test_the_brokers_password_does_not_belong_in_the_file(tmp_path: Path) -> None:
    refused = refusal(write(tmp_path, '[mqtt]\nhost = "broker"\npassword = "s3cret"\n'))
    assert "'mqtt.password'" in refused and "s3cret" not in refused
