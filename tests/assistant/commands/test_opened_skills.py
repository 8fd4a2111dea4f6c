"""Skills as commands open them: what is wrong with their file is told in one line."""

from pathlib import Path

import pytest

from assistant.commands.household import open_skills
from assistant.config import Config, SkillsConfig
from assistant.skills import StoreError


@pytest.mark.parametrize("file", ["~nobody-of-that-name/h.db", "{here}", "{here}/file/h.db", "{here}/file"])
def test_a_file_that_cannot_be_used_is_named(tmp_path: Path, file: str) -> None:
    (tmp_path / "file").write_text("this is no database, and longer than its header would have been" * 9)
    path = file.format(here=tmp_path)
    config = Config(skills=SkillsConfig(enabled=False, file=path))
    with pytest.raises(StoreError, match=path.split("/")[-1]), open_skills(config):
        pass
