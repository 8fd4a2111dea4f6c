"""Settings and indexes as editors write them: with a byte order mark, in UTF-16, with any line ends."""

import json
from pathlib import Path

import numpy as np
import pytest
import soundfile

from assistant.audio import find_clips
from assistant.config import ConfigError, read_config

MARKED = ["utf-8", "utf-8-sig", "utf-16"]  # utf-16 writes its mark


@pytest.mark.parametrize("encoding", MARKED)
@pytest.mark.parametrize("ends", ["\n", "\r\n"])
def test_a_configuration_with_a_byte_order_mark(encoding: str, ends: str, tmp_path: Path) -> None:
    text = '[llm]\nsystem_prompt = "Sois bref, s\'il te plaît."\n[llm.generate]\nmax_tokens = 20\n'
    (tmp_path / "a.toml").write_bytes(text.replace("\n", ends).encode(encoding))
    config = read_config(tmp_path / "a.toml")
    assert config.llm.generate.max_tokens == 20
    assert config.llm.system_prompt == "Sois bref, s'il te plaît."


@pytest.mark.parametrize("encoding", MARKED)
def test_an_index_with_a_byte_order_mark(encoding: str, tmp_path: Path) -> None:
    soundfile.write(tmp_path / "a.wav", np.zeros(800), 16000)
    (tmp_path / "index.json").write_bytes(json.dumps([{"file": "a.wav", "text": "Hi."}]).encode(encoding))
    assert [clip.reference for clip in find_clips(tmp_path)] == ["Hi."]


def test_what_is_no_text_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "a.toml").write_bytes(b"\xff\xfe\x00\xd8a")
    with pytest.raises(ConfigError, match=r"a\.toml: not TOML: "):
        read_config(tmp_path / "a.toml")
