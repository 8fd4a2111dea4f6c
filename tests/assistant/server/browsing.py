"""A browser for the page's tests: Debian's Chromium with a microphone that is a file."""

import asyncio
import importlib.util
import os
import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from playwright.async_api import Browser, Page

FOREIGN_HOST = "assistant.test"
"""A name that the browser takes for this machine, without taking it for a secure context."""


def unsupported_reason() -> str | None:
    """What keeps a browser from running here; None if one can."""
    if importlib.util.find_spec("playwright") is None:
        return "no playwright"
    return None if shutil.which("chromium") else "no chromium"


@asynccontextmanager
async def chromium(microphone: Path, *flags: str) -> "AsyncIterator[Browser]":
    """A browser whose microphone plays a WAV file once, and then is silent."""
    from playwright.async_api import async_playwright  # noqa: PLC0415 (it is optional)

    arguments = [
        "--use-fake-device-for-media-stream",
        f"--use-file-for-fake-audio-capture={microphone}%noloop",
        f"--host-resolver-rules=MAP {FOREIGN_HOST} 127.0.0.1",
        "--autoplay-policy=user-gesture-required",
        *(["--no-sandbox"] if os.getuid() == 0 else []),
        *flags,
    ]
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=shutil.which("chromium"), args=arguments)
        try:
            yield browser
        finally:
            await browser.close()


@dataclass
class Visit:
    """A page that was opened, with all that it asked for and complained about."""

    page: "Page"
    origin: str
    requests: list[str] = field(default_factory=list)
    complaints: list[str] = field(default_factory=list)

    @property
    def foreign(self) -> list[str]:
        """Requests to any other server than the page's own."""
        own = (self.origin + "/", self.origin.replace("http", "ws", 1) + "/")
        return [url for url in self.requests if not url.startswith(own)]


@asynccontextmanager
async def visit(
    browser: "Browser", origin: str, path: str = "/", script: str = "", **context: object
) -> AsyncIterator[Visit]:
    """The page of the server at `origin`, in a browser context of its own. `script` runs before it."""
    opened = await browser.new_context(**({"permissions": ["microphone"]} | context))
    try:
        visited = Visit(await opened.new_page(), origin)
        page = visited.page
        await page.add_init_script(script or ";")
        page.set_default_timeout(30_000)
        page.on("request", lambda request: visited.requests.append(request.url))
        page.on("websocket", lambda socket: visited.requests.append(socket.url))
        page.on("pageerror", lambda error: visited.complaints.append(str(error)))
        page.on("console", lambda message: visited.complaints.append(f"{message.type}: {message.text}"))
        await page.goto(origin + path)
        yield visited
    finally:
        await asyncio.shield(opened.close())
