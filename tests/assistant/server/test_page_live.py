"""The page in a browser, against the real server with the real models."""

import asyncio
import re
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import browsing
import numpy as np
import pytest
import pytest_asyncio
import soxr
from recordings import recordings

if unsupported := browsing.unsupported_reason():
    pytest.skip(unsupported, allow_module_level=True)

from live import PATIENCE_S, RATE, live
from playwright.async_api import Page, expect

from asr.audio import AudioSpan
from asr.eval.score import WordErrors, word_errors
from asr.stream import Transcriber
from assistant.config import Config
from assistant.models.speech import asr_paths, load_recognizer
from assistant.models.store import ModelStore
from assistant.server.bench.server import Watched, served

pytestmark = [pytest.mark.models, pytest.mark.asyncio(loop_scope="module")]

FADE = RATE * 5 // 1000  # samples in which a reply fades in
QUESTION = recordings()["000"]
LONG_ANSWER = recordings()["005"]  # "Can you explain why the sky is blue?"


@pytest.fixture(scope="session")
def process() -> Iterator[Watched]:
    """The server with one place, so that whoever comes next needs it to be free."""
    with served(None, {"llm": {"sessions": 1}}) as process:
        yield process


@pytest_asyncio.fixture(loop_scope="module")
async def server(process: Watched) -> AsyncIterator[Watched]:
    yield process
    await free(process)


@pytest.fixture
def origin(server: Watched) -> str:
    return server.url.replace("ws", "http", 1).removesuffix("/v1/realtime")


async def free(server: Watched) -> None:
    """Return when all places are."""
    async with asyncio.timeout(30):
        while (await server.figures())["assistant_sessions_in_use"]:
            pass


async def state(page: Page, text: str) -> None:
    await expect(page.get_by_role("status")).to_have_text(text, timeout=PATIENCE_S * 1000)


def words(page: Page, who: str):
    return page.locator(f"#conversation > .{who} .words")


def edits(errors: WordErrors) -> int:
    return errors.substitutions + errors.insertions + errors.deletions


def text_of(response: dict[str, Any]) -> str:
    (message,) = response["output"]
    return message["content"][0]["transcript"]


async def test_a_spoken_question_is_answered_aloud(server: Watched, origin: str, tmp_path: Path):
    async with live(origin, QUESTION, tmp_path) as talk:
        page = talk.page
        await page.get_by_role("button", name="Start").click()
        response = await talk.response("completed")
        await state(page, "Listening")

        await expect(words(page, "user")).to_have_count(1)
        transcript = await words(page, "user").inner_text()
        assert edits(word_errors(QUESTION.text, transcript)) <= 1, transcript
        partials = talk.got("conversation.item.input_audio_transcription.partial")
        assert partials
        shown = [without_spaces(text) for text in await talk.shown()]
        assert {without_spaces(each["stable"] + each["unstable"]) for each in partials} <= set(shown)

        reply = text_of(response)
        await expect(words(page, "assistant")).to_have_text(reply)
        sounded = await talk.sounded()
        assert len(sounded) >= len(np.trim_zeros(talk.audio(response["id"]))) - FADE
        reader = Transcriber(load_recognizer(asr_paths(ModelStore())), Config().asr)
        heard = reader.final(AudioSpan(soxr.resample(sounded, RATE, 16000))).text
        assert word_errors(reply, heard).wer <= 0.2, heard

        await check_waterfall(page, response["metadata"])


def without_spaces(text: str) -> str:
    return re.sub(r"\s", "", text)


async def check_waterfall(page: Page, metadata: dict[str, str]) -> None:
    total = float(metadata["ttfa_ms"])
    await expect(page.locator(".waterfall summary")).to_have_text(f"Audio after {round(total)} ms")
    cells = await page.get_by_role("table").get_by_role("cell").all_inner_texts()
    values = [float(cell.removesuffix(" ms").replace("\N{MINUS SIGN}", "-")) for cell in cells]
    assert sum(values) == pytest.approx(total, abs=0.5)  # ten figures, each rounded to 0.1


async def test_a_typed_message_stops_the_reply_and_is_answered(server: Watched, origin: str, tmp_path: Path):
    async with live(origin, LONG_ANSWER, tmp_path) as talk:
        page = talk.page
        await page.get_by_role("button", name="Start").click()
        await state(page, "Speaking")
        await page.get_by_label("Message").fill(QUESTION.text)
        await page.keyboard.press("Enter")
        first, second = await talk.response("cancelled"), await talk.response("completed")
        await state(page, "Listening")

        (truncate,) = [event for event in talk.sent if event["type"] == "conversation.item.truncate"]
        assert truncate["item_id"] == first["output"][0]["id"]
        heard = truncate["audio_end_ms"] * RATE // 1000
        assert 0 < heard < len(talk.audio(first["id"]))
        stopped, answered = await words(page, "assistant").all_inner_texts()
        assert text_of(first).startswith(stopped) and stopped != text_of(first)
        await expect(page.get_by_text("Interrupted")).to_have_count(1)
        assert answered == text_of(second) and "Paris" in answered
        assert edits(word_errors(LONG_ANSWER.text, await words(page, "user").first.inner_text())) <= 1
        await expect(words(page, "user").last).to_have_text(QUESTION.text)


async def test_stop_in_mid_reply_frees_the_place(server: Watched, origin: str, tmp_path: Path):
    async with live(origin, LONG_ANSWER, tmp_path) as talk:
        page = talk.page
        await page.get_by_role("button", name="Start").click()
        await state(page, "Speaking")
        assert (await server.figures())["assistant_sessions_in_use"] == 1
        await page.get_by_role("button", name="Stop", exact=True).click()
        await state(page, "Press Start and speak")
        await free(server)
        assert talk.got("response.done") == []  # it was in mid-reply
