"""What the log says, and above all what it does not."""

import json
import logging
from collections.abc import Iterator

import pytest
import structlog
from raw_client import TEXT, ask, close, frame, handshake, upgraded
from serving import Echo, serving
from websockets.asyncio.server import ServerConnection

from assistant.server.logs import configure_logs, logger, tally
from assistant.server.metrics import Metrics
from assistant.server.realtime import note_reply
from assistant.session.events import ReplyDone


@pytest.fixture(autouse=True)
def logs_as_before() -> Iterator[None]:
    root, ours = logging.getLogger(), logging.getLogger("assistant")
    handlers, level, our_level = root.handlers[:], root.level, ours.level
    yield
    root.handlers[:] = handlers
    root.setLevel(level)
    ours.setLevel(our_level)
    structlog.reset_defaults()


def test_json_is_an_object_a_line_and_text_is_for_people(capsys: pytest.CaptureFixture[str]) -> None:
    configure_logs("json")
    logger().info("connection opened", id="a", remote="127.0.0.1:5")
    logging.getLogger("some.library").warning("odd: %s", "thing")
    logging.getLogger("some.library").info("chatty")
    first, second = map(json.loads, capsys.readouterr().err.splitlines())
    assert first.pop("timestamp").endswith("Z")
    assert first == {"event": "connection opened", "id": "a", "remote": "127.0.0.1:5", "level": "info"}
    assert (second["event"], second["level"]) == ("odd: thing", "warning")
    configure_logs("text")
    logger().info("connection opened", id="a")
    printed = capsys.readouterr()
    assert "connection opened" in printed.err and "id=a" in printed.err
    assert printed.out == "" and "\x1b" not in printed.err


@pytest.mark.parametrize("style", ["text", "json"])
@pytest.mark.parametrize("transcripts", [False, True])
def test_secrets_are_never_logged_and_words_only_if_asked(
    style: str, transcripts: bool, capsys: pytest.CaptureFixture[str]
) -> None:
    configure_logs("json" if style == "json" else "text", transcripts=transcripts)
    logger().info("turn", token="hush", audio="AAAA", transcript="my words", event_={"text": "my words"})
    err = capsys.readouterr().err
    assert "hush" not in err and "AAAA" not in err
    assert err.count("my words") == (2 if transcripts else 0)


@pytest.mark.parametrize("transcripts", [False, True])
def test_a_reply_is_a_line_and_its_words_only_if_asked(
    transcripts: bool, capsys: pytest.CaptureFixture[str]
) -> None:
    configure_logs("json", transcripts=transcripts)
    done = ReplyDone(0, "my question", "An answer.", "An", 0, 0, None, True, False, 0, tokens=3)
    note_reply(done, "tiny", Metrics())
    line = json.loads(capsys.readouterr().err)
    assert (line["event"], line["tokens"], line["interrupted"], line["ttfa_ms"]) == ("reply", 3, True, None)
    words = {"transcript": "my question", "reply": "An"} if transcripts else {}
    assert {key: line[key] for key in ("transcript", "reply") if key in line} == words


def said(words: list[str]) -> None:
    """Fails with words in a variable."""
    sentence = " ".join(words)
    raise KeyError("broken" if sentence else "")


@pytest.mark.parametrize("style", ["text", "json"])
def test_a_traceback_shows_no_variables(style: str, capsys: pytest.CaptureFixture[str]) -> None:
    configure_logs("json" if style == "json" else "text")
    try:
        said(["what", "was", "said"])
    except KeyError:
        logger().exception("failed")
    err = capsys.readouterr().err
    assert "KeyError: 'broken'" in err
    assert "what was said" not in err


class Counting(Echo):
    async def _answer(self, websocket: ServerConnection, message: str | bytes) -> None:
        tally().turns += 1
        tally().errors += message == "bad"
        await super()._answer(websocket, message)


async def test_a_connection_is_a_line_at_its_begin_and_one_at_its_end(
    capsys: pytest.CaptureFixture[str],
) -> None:
    configure_logs("json")
    secret = "Authorization: Bearer t0ps3cret"
    async with serving(Counting(), token="t0ps3cret") as server:
        await ask(server.port, handshake("Authorization: Bearer gu3ss"))
        async with upgraded(server.port, secret) as raw, upgraded(server.port, secret) as other:
            await other.send(frame(TEXT, b"hello"))
            for word in (b"hello", b"bad"):
                await raw.send(frame(TEXT, word))
                assert await raw.frame() == (TEXT, word)
            await raw.send(close(1000))
            assert await raw.closing() == 1000
            await server.application.left(1)
        await server.application.left(0)
    err = capsys.readouterr().err
    lines = [json.loads(line) for line in err.splitlines()]
    (refused,) = [line for line in lines if line["event"] == "connection refused"]
    assert (refused["code"], refused["status"]) == ("invalid_api_key", 401)
    opened = [line["id"] for line in lines if line["event"] == "connection opened"]
    closed = {line["id"]: line for line in lines if line["event"] == "connection closed"}
    assert set(opened) == set(closed) and len(opened) == 2
    assert [closed[id_]["code"] for id_ in opened] == [1000, 1006]
    assert [(closed[id_]["turns"], closed[id_]["errors"]) for id_ in opened] == [(2, 1), (1, 0)]
    assert all(line["seconds"] >= 0 and line["remote"].startswith("127.0.0.1:") for line in closed.values())
    assert "t0ps3cret" not in err and "gu3ss" not in err and "hello" not in err
