"""What the commands keep, and what Ray reads of the environment."""

import os
from pathlib import Path

import pytest

from assistant.cluster.state import prepare


def test_rays_token_is_made_once_and_for_its_owner_only(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("assistant.cluster.state.user_state_path", lambda *_, **__: tmp_path)
    monkeypatch.setattr("os.environ", {})
    prepare()
    path = Path(os.environ["RAY_AUTH_TOKEN_PATH"])
    token = path.read_text()
    assert (os.environ["RAY_AUTH_MODE"], path.parent, len(token)) == ("token", tmp_path, 64)
    assert path.stat().st_mode & 0o077 == 0
    prepare()
    assert path.read_text() == token
