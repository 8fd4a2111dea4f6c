"""The page of a trace: every turn is on it, what was said is no markup, and it needs nobody else."""

from html.parser import HTMLParser
from pathlib import Path

import pytest
from hand_trace import write
from lived_trace import lines

from assistant.commands.trace_show import run_show
from assistant.trace.page import page
from assistant.trace.timeline import timelines
from assistant.trace.trace import read_trace

SHIPPED = Path(__file__).parents[3] / "traces" / "recorded" / "questions"
NASTY = "</script><script>alert(1)</script><img src=x onerror=alert(2)> \"q\" 'a' & </title></svg> &lt;b&gt;"
FILE = NASTY.replace("/", "")
EMPTY = {"meta", "img", "br", "link", "input"}


class Page(HTMLParser):
    """Tags, attributes and texts; fails where an end does not fit."""

    def __init__(self, text: str) -> None:
        super().__init__(convert_charrefs=True)
        self.open: list[str] = []
        self.tags: list[str] = []
        self.attributes: list[tuple[str, str, str]] = []
        self.texts: list[tuple[str, str]] = []
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += [(tag, name, value or "") for name, value in attrs]
        if tag not in EMPTY:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.handle_starttag(tag, attrs)
        self.open.pop()

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if data.strip():
            self.texts.append((self.open[-1] if self.open else "", data))

    def of(self, tag: str) -> list[str]:
        return [text for where, text in self.texts if where == tag]

    def values(self, tag: str, name: str) -> list[str]:
        return [value for where, what, value in self.attributes if (where, what) == (tag, name)]


def test_every_turn_of_every_trace_is_there(tmp_path: Path) -> None:
    write(tmp_path / "first", lines())
    write(tmp_path / "second", [{**line, "session": "s"} for line in lines(transcript="No?")])
    out = tmp_path / "page.html"
    run_show([tmp_path], out)
    found = Page(out.read_text(encoding="utf-8"))
    assert found.values("section", "id") == ["turn-0", "turn-1"]
    assert found.values("a", "href") == ["#turn-0", "#turn-1"]
    assert found.of("small")[::2] == ["first, s", "second, s"]
    assert [text for text in found.of("dd") if text.endswith("?")] == ["Yes?", "Yes?", "Yes?", "No?"]


def test_what_was_said_stays_text(tmp_path: Path) -> None:
    of = lines(partial=NASTY, transcript=NASTY, reply=NASTY, what=NASTY)
    for line in of:
        if line["is"] == "clip":
            line.update(file=FILE, text=NASTY)
        if line.get("stage") == "asr.final":
            line["gave"] = {**line["gave"], "text": NASTY}
        if line["is"] == "call":
            line["worker"] = NASTY
    found = Page(page(timelines(read_trace(write(tmp_path / "t", of)))))
    plain = Page(page(timelines(read_trace(write(tmp_path / "u", lines())))))
    assert found.tags.count("script") == 1 and "img" not in found.tags
    assert set(found.tags) == set(plain.tags)
    assert {(tag, name) for tag, name, _ in found.attributes} == {
        (t, name) for t, name, _ in plain.attributes
    }
    assert found.of("dd") == [NASTY, NASTY, NASTY]
    assert found.of("em") == [NASTY] and found.of("h2") == [FILE + " "]
    assert f"gave: {NASTY}" in "\n".join(found.of("title")) and NASTY + " " in found.of("text")


def test_a_bar_lies_where_it_was(tmp_path: Path) -> None:
    # the turn is drawn from 20 to 2062 ms
    found = Page(page(timelines(read_trace(write(tmp_path / "t", lines())))))
    bars = dict(zip(found.of("title")[1:], _rects(found), strict=False))
    voice = next(place for title, place in bars.items() if title.startswith("voice at 0.300 s"))
    assert voice == pytest.approx(((320 - 20) / 2042 * 100, (960 - 320) / 2042 * 100), abs=0.001)
    final = next(title for title in bars if title.startswith("asr.final at 1.022 s"))
    told = {"worker: asr.final", "waited: 0.0 ms", "took: 100.0 ms", "gave: Yes?"}
    assert set(final.splitlines()[1:]) == told


def test_the_stacked_bar_adds_up_to_the_time_to_first_audio(tmp_path: Path) -> None:
    found = Page(page(timelines(read_trace(write(tmp_path / "t", lines())))))
    widths = [float(value[6:-1]) for value in found.values("b", "style")]
    assert widths == pytest.approx([262 / 3.02, 20 / 3.02, 20 / 3.02], abs=0.001)
    cells = [text for text in found.of("td") if text.replace(".", "").isdigit()]
    assert cells[-2:] == ["302.0", "180.0"]  # hidden: 100 of asr, 50 and 20 of llm, 10 of tts
    assert sum(map(float, cells[:-2:2])) == 302


def test_it_needs_nobody_else_and_is_small() -> None:
    turns = timelines(read_trace(SHIPPED))
    text = page(turns)
    found = Page(text)
    assert len(turns) == 10 == found.tags.count("section")
    assert "http://" not in text and "https://" not in text and "url(#" in text
    assert not [
        a for a in found.attributes if a[1] in ("src", "srcset", "xlink:href") or a[1].startswith("on")
    ]
    assert not [value for value in found.values("a", "href") if not value.startswith("#")]
    assert "@import" not in text and "url(h" not in text and "link" not in found.tags
    assert len(text.encode()) < 1_000_000


def test_half_a_character_is_replaced(tmp_path: Path) -> None:
    folder = write(tmp_path / "t", lines(reply="\ud800!"))
    run_show([folder], tmp_path / "page.html")
    assert "?!" in Page((tmp_path / "page.html").read_text(encoding="utf-8")).of("dd")


def test_no_turns_is_said() -> None:
    assert "No turn was recorded." in Page(page([])).of("p")


def _rects(found: Page) -> list[tuple[float, float]]:
    """Share of the turn at which each bar with a title begins, and its length."""
    lefts = [v for v in found.values("rect", "x") if v.endswith("%")]
    widths = [v for v in found.values("rect", "width") if v.endswith("%")]
    return [(float(x[:-1]), float(w[:-1])) for x, w in zip(lefts, widths, strict=True)]
