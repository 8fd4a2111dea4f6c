"""`python -m llm.train` from a file to a folder, with a tiny model, and its evaluation."""

import json
from pathlib import Path

import pytest
from safetensors.torch import load_file

from llm.gguf.file import GgufFile
from llm.train import __main__ as command
from llm.train import evaluate

QUICK = ["--settings", "2", "--steps", "2", "--every", "400", "--replay", "4", "--base", "some/base"]


@pytest.fixture(autouse=True)
def short(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("llm.train.figures._MOST_TOKENS", 3)
    monkeypatch.setattr("llm.train.figures.TEXTS", ("free_chat",))
    monkeypatch.setattr("llm.train.replay.MOST_TOKENS", 3)


def test_everything_is_written_to_one_folder(
    tmp_path: Path, small: GgufFile, capsys: pytest.CaptureFixture[str]
) -> None:
    command.main(["--model", str(small.path), "--out", str(tmp_path / "out"), *QUICK])
    out = tmp_path / "out"
    names = ["README.md", "adapter_config.json", "adapter_model.safetensors"]
    assert sorted(p.name for p in out.iterdir()) == [*names, "figures.json", "log.txt", "replies.jsonl"]
    kept = json.loads((out / "adapter_config.json").read_text())
    figures = json.loads((out / "figures.json").read_text())
    assert [run["rate"] for run in figures["runs"]] == [1e-3, 1e-3]
    assert kept["r"] == len(load_file(out / "adapter_model.safetensors")[_first(out)])
    card = (out / "README.md").read_text()
    assert "# A voice assistant's adapter for some/base" in card
    assert "Apache-2.0" in card
    assert "{" not in card.replace('{"name": ..., "arguments": {...}}', "")
    replies = [json.loads(line) for line in (out / "replies.jsonl").read_text().splitlines()]
    assert len(replies) == sum(
        share["total"]
        for name, share in figures["report"]["base"]["shares"].items()
        if name.startswith(("fact/", "command/", "cannot/", "unknown/", "talk/", "follow_up/"))
    )
    assert "kept: rank 16" in capsys.readouterr().out


def _first(folder: Path) -> str:
    return min(name for name in load_file(folder / "adapter_model.safetensors") if "lora_A" in name)


def test_time_that_runs_out_leaves_later_settings_out(tmp_path: Path, small: GgufFile) -> None:
    command.main(["--model", str(small.path), "--out", str(tmp_path), *QUICK, "--minutes", "0"])
    figures = json.loads((tmp_path / "figures.json").read_text())
    assert len(figures["runs"]) == 1
    assert "left out, there is no time" in (tmp_path / "log.txt").read_text()


def test_an_adapter_is_evaluated_beside_its_base(
    tmp_path: Path, small: GgufFile, capsys: pytest.CaptureFixture[str]
) -> None:
    command.main(["--model", str(small.path), "--out", str(tmp_path), *QUICK, "--settings", "1"])
    capsys.readouterr()
    files = ["--json", str(tmp_path / "f.json"), "--replies", str(tmp_path / "r.jsonl")]
    evaluate.main(
        ["--model", str(small.path), "--adapter", str(tmp_path), "--part", "choose", "--most", "5", *files]
    )
    head, _, *rows = capsys.readouterr().out.splitlines()
    assert head == "| right | base | base with the adapter |"
    assert rows[-1].startswith("| perplexity | ")
    assert json.loads((tmp_path / "f.json").read_text()).keys() == {"base", "base with the adapter"}
    assert len((tmp_path / "r.jsonl").read_text().splitlines()) == 5
