import pytest


@pytest.fixture(autouse=True)
def short_linger(monkeypatch: pytest.MonkeyPatch) -> None:
    """Clients of these tests close late or never; nobody waits half a second for each."""
    monkeypatch.setattr("assistant.server.guarded._LINGER_S", 0.02)
