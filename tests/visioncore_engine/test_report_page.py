from __future__ import annotations

import json
import re
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path

import pytest

from visioncore_engine.errors import UsageError
from visioncore_engine.registry import Declared, Plugin, Registry
from visioncore_engine.report import Section, write

HOSTILE = "<script>alert('x')</script>&\"$m$ $"
VOID = {"meta", "br", "img", "hr", "link", "input"}


class Page(HTMLParser):
    """Reads a page strictly: what is opened is closed, in order."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags, self.ids, self.links, self.texts = [], [], [], []
        self.headings: list[str] = []
        self._open: list[str] = []
        self.feed(text)
        self.close()
        assert not self._open

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        values = dict(attrs)
        self.ids += [values["id"]] if "id" in values else []
        self.links += [values[name] for name in ("href", "src", "xlink:href") if name in values]
        if tag not in VOID:
            self._open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.handle_starttag(tag, attrs)
        if tag not in VOID:
            self._open.pop()

    def handle_endtag(self, tag):
        assert self._open.pop() == tag

    def handle_data(self, data):
        self.texts.append(data)
        if self._open and self._open[-1] == "h2":
            self.headings.append(data)

    @property
    def text(self) -> str:
        return "".join(self.texts)


def a_run(folder: Path, name: str = "demo") -> Path:
    folder.mkdir(exist_ok=True)
    rows = [{"step": step, "train/loss": 1 / step, "rate/core": 1e-3 / step, "epoch": step / 5} for step in range(1, 9)]
    rows += [
        {
            "step": step,
            "val/loss": 2 / step,
            "val/score": -((step - 5) ** 2),
            f"val/score/{name}": 1.0,
            "val/other": None,
        }
        for step in range(1, 9)
    ]
    (folder / "metrics.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    scores = {"validation": {"score": 0.25, f"score/{name}": 0.5, "nothing": float("nan")}, "test": {"score": 0.125}}
    (folder / "scores.json").write_text(json.dumps(scores))
    record = {
        "started": "2025-01-02T03:04:05+00:00",
        "finished": "2025-01-02T03:05:06+00:00",
        "components": [{"key": "model", "name": name, "sources": {"module": "0" * 64}}],
        "digest": "a1" * 32,
        "data": {name: "fingerprint", "other": "print"},
        "plugins": [{"name": name, "version": "1.0"}],
        "warnings": [f"mind {name}"],
        "parameters": [{"group": name, "values": 12}],
    }
    (folder / "record.json").write_text(json.dumps(record))
    (folder / "cells.csv").write_text("split,cell,score\nvalidation,007,0.5\n")
    (folder / "run.yaml").write_text(
        f"seed: 7\nmetrics: [score]\ncheckpoint: {{monitor: val/score, mode: max}}\nrun: {{name: {json.dumps(name)}}}\n"
    )
    return folder


def drawn(folder: Path, *sections) -> Page:
    plugin = Plugin(name="lab", distribution="lab-plugins", version="2.0", module=__name__)
    registry = Registry(declared_sections=tuple(Declared(address, plugin, __name__) for address in sections))
    path = write(folder, registry=registry)
    assert path == folder / "report.html"
    return Page(path.read_text(encoding="utf-8"))


def a_section(context):
    return Section("Cells of the lab", f"<p>{len(context.tables['cells'])} cell</p>", 300)


def a_silent_section(context):
    return None


def a_broken_section(context):
    raise ZeroDivisionError("no cell has a score <b>")


def a_lazy_section(context):
    return "<p>done</p>"


def test_the_page_tells_the_whole_run(tmp_path):
    page = drawn(a_run(tmp_path), ":a_section", ":a_silent_section")
    assert page.headings == [
        "Scores",
        "Learning curves",
        "Cells of the lab",
        "What trained",
        "The run",
        "Record",
    ]
    for words in ("demo", "02 January 2025", "Best val/score 0 at step 5", "1.6 epochs", "trained for 1 min 1 s"):
        assert words in page.text
    assert "mind demo" in page.text
    assert "a1a1a1a1a1a1…" in page.text
    assert page.tags.count("svg") == 3  # losses, the score, rates


def test_the_page_needs_nothing_else(tmp_path):
    text = (a_run(tmp_path), drawn(tmp_path, ":a_section"))[0].joinpath("report.html").read_text(encoding="utf-8")
    page = Page(text)
    assert not re.search(r"\b[a-z]+://|@import|@font-face", text)
    assert "script" not in page.tags
    assert all(link.startswith(("#", "data:")) for link in page.links)


def test_every_link_has_one_target_on_the_page(tmp_path):
    page = drawn(a_run(tmp_path), ":a_section")
    targets = set(page.ids)
    assert all(link[1:] in targets for link in page.links if link.startswith("#"))
    anchors = [name for name in page.ids if name[0].isdigit() and "-" in name and name.split("-")[0].isdigit()]
    assert len(anchors) == len(set(anchors))


def test_names_are_text_and_never_markup(tmp_path):
    page = drawn(a_run(tmp_path, HOSTILE), ":a_broken_section")
    assert "script" not in page.tags
    assert "b" in page.tags  # our own, in the figures of the header
    assert HOSTILE in page.text
    assert "no cell has a score <b>" in page.text


def test_a_broken_section_is_shown_with_its_plugin_and_harms_no_other(tmp_path):
    page = drawn(a_run(tmp_path), ":a_broken_section", ":a_section", ":a_lazy_section", ":not_there")
    assert "Cells of the lab" in page.headings
    assert sum(heading.endswith("(failed)") for heading in page.headings) == 3
    for words in ("lab (lab-plugins==2.0)", "ZeroDivisionError", "it returned str", "not_there"):
        assert words in page.text


def test_an_empty_folder_gives_a_page_that_says_what_is_missing(tmp_path):
    page = drawn(tmp_path)
    for name in ("metrics.jsonl", "scores.json", "record.json", "run.yaml"):
        assert name in page.text
    assert "Nothing is known of how this run went" in page.text


@pytest.mark.parametrize("name", ["metrics.jsonl", "scores.json", "record.json", "run.yaml", "cells.csv"])
@pytest.mark.parametrize("content", [b"\xff\xfe\x00{", b"[1, 2]"])
def test_a_damaged_file_costs_its_own_part_only(tmp_path, name, content):
    (a_run(tmp_path) / name).write_bytes(content)
    page = drawn(tmp_path)
    assert {"Scores", "Learning curves", "The run", "Record"} <= set(page.headings)


def test_the_same_folder_gives_the_same_bytes(tmp_path):
    a_run(tmp_path)
    drawn(tmp_path, ":a_section")
    first = (tmp_path / "report.html").read_bytes()
    drawn(tmp_path, ":a_section")
    assert (tmp_path / "report.html").read_bytes() == first


def test_a_folder_that_is_not_there_is_the_users_mistake(tmp_path):
    with pytest.raises(UsageError, match="no such run folder"):
        write(tmp_path / "nowhere")


def test_no_torch_no_pyplot_and_a_home_that_cannot_be_written(tmp_path):
    """A page of files alone costs no torch; drawing works with a read-only home and whatever MPLBACKEND says."""
    a_run(tmp_path)
    program = (
        "import sys\n"
        "from pathlib import Path\n"
        "from visioncore_engine.registry import Registry\n"
        "from visioncore_engine.report import write\n"
        f"write({str(tmp_path)!r}, registry=Registry())\n"
        "assert 'torch' not in sys.modules and 'matplotlib.pyplot' not in sys.modules\n"
    )
    environment = {"HOME": "/proc", "MPLBACKEND": "TkAgg", "PATH": "/usr/bin", "PYTHONPATH": ":".join(sys.path)}
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, env=environment, check=False)
    assert (done.returncode, done.stderr) == (0, "")
