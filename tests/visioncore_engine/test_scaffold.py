"""New plugins are written whole, without torch or a network, and what they are called is checked first."""

from __future__ import annotations

import ast
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from visioncore_engine import discover
from visioncore_engine.cli import main
from visioncore_engine.component import KINDS
from visioncore_engine.errors import UsageError
from visioncore_engine.scaffold import LICENSES, Names, package_files, single_file
from visioncore_engine.scaffold.imports import body_of, imports_of

AUTHOR = 'the "$lab" of C:\\ é'
POISONED = """
import sys, socket
for name in ("torch", "numpy", "pytorch_lightning", "pydantic"):
    sys.modules[name] = None
socket.socket.connect = None
from visioncore_engine.cli import main
sys.exit(main(sys.argv[1:]))
"""


@pytest.mark.parametrize("kind", KINDS)
def test_a_package_is_whole(kind):
    files = package_files(Names.of(kind, "probe"))
    package = f"probe_{kind}"
    assert set(files) == {
        ".github/workflows/test.yml",
        ".gitignore",
        "CHANGELOG.md",
        "LICENSE",
        "README.md",
        "pyproject.toml",
        "run.yaml",
        f"src/{package}/__init__.py",
        f"src/{package}/{kind}.py",
        f"src/{package}/options.py",
        f"src/{package}/py.typed",
        "tests/test_probe.py",
    }
    assert [path for path, text in files.items() if "$" in text.replace('$", ', "")] == []
    project = tomllib.loads(files["pyproject.toml"])["project"]
    assert project["entry-points"] == {"visioncore_engine": {package: package}}
    assert (project["name"], project["license"], len(project["dependencies"])) == (f"probe-{kind}", "MIT", 1)
    for path, text in files.items():
        if path.endswith(".py"):
            ast.parse(text)
            assert max(map(len, text.splitlines()), default=0) <= 120, path
    assert "probe" in files["run.yaml"]


@pytest.mark.parametrize("kind", KINDS)
def test_a_single_file_is_a_plugin(kind, tmp_path):
    path = tmp_path / f"alone_{kind}.py"
    path.write_text(single_file(Names.of(kind, "alone")))
    registry = discover(files=[path])
    (plugin,) = [plugin for plugin in registry.plugins if plugin.name == path.stem]
    assert plugin.status == "loaded", plugin.error
    assert registry.find(kind, "alone").component.build.startswith(":")


@pytest.mark.parametrize("name", ["probe", "a_rather_long_one"])
def test_linters_have_nothing_to_say(name, tmp_path):
    for kind in KINDS:
        assert main(["new-plugin", kind, name, "--dir", str(tmp_path)]) == 0
        assert main(["new-plugin", kind, name, "--dir", str(tmp_path / "single"), "--in-repo"]) == 0
        package = tmp_path / f"{name}_{kind}".replace("_", "-")
        for command in (["check", "--output-format=concise"], ["format", "--check"]):
            config = ["--config", "pyproject.toml", "--no-cache"]
            told = subprocess.run(
                [sys.executable, "-m", "ruff", *command, *config, ".", str(tmp_path / "single")],
                cwd=package,
                capture_output=True,
                text=True,
                check=False,
            )
            assert told.returncode == 0, told.stdout + told.stderr


def test_licences_and_authors(capsys, tmp_path):
    for license_name in LICENSES:
        folder = tmp_path / license_name
        words = ["--license", license_name, "--author", AUTHOR, "--dir", str(folder)]
        assert main(["new-plugin", "sampler", "probe", *words]) == 0
        package = folder / "probe-sampler"
        document = tomllib.loads((package / "pyproject.toml").read_text())
        assert document["project"]["authors"] == [{"name": AUTHOR}]
        assert document["project"].get("license", "none") == license_name
        assert (package / "LICENSE").exists() == (license_name != "none")
    for license_name in ("MIT", "BSD-3-Clause"):
        assert AUTHOR in (tmp_path / license_name / "probe-sampler" / "LICENSE").read_text()


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["smapler", "probe"], "there is no kind 'smapler'; did you mean 'sampler'"),
        (["losses", "probe"], "did you mean 'loss'"),
        (["sampler", "MyBursts-2"], "no keyword of Python (got 'MyBursts-2'); write 'my_bursts_2'"),
        (["sampler", "class"], "write 'my_class'"),
        (["sampler", "9"], "a name is one word"),
        (["sampler", "probe", "--license", "GPL"], "choose from"),
        (["sampler"], "NAME"),
    ],
)
def test_words_that_are_no_names_are_refused(words, message, capsys, tmp_path):
    assert main(["new-plugin", *words, "--dir", str(tmp_path / "new")]) == 2
    assert message in capsys.readouterr().err
    assert not (tmp_path / "new").exists()


def test_nothing_is_written_over_and_no_module_is_hidden(capsys, tmp_path, monkeypatch):
    for words, target in (([], "probe-sampler"), (["--in-repo"], "probe_sampler.py")):
        (tmp_path / target).write_text("mine")
        assert main(["new-plugin", "sampler", "probe", "--dir", str(tmp_path), *words]) == 2
        assert f"{tmp_path / target}: is there already" in capsys.readouterr().err
        assert (tmp_path / target).read_text() == "mine"
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(UsageError, match="'probe_sampler' can be imported already"):
        Names.of("sampler", "probe")
    assert main(["new-plugin", "scheduler", "probe", "--dir", str(tmp_path / "probe-sampler")]) == 74
    assert "probe-sampler" in capsys.readouterr().err


def test_a_name_that_another_plugin_offers_is_allowed_and_said(capsys, tmp_path, monkeypatch):
    path = tmp_path / "others_probe.py"
    path.write_text(single_file(Names.of("scheduler", "probe")))
    registry = discover(files=[path])
    monkeypatch.setattr("visioncore_engine.registry.discover", lambda: registry)
    assert main(["new-plugin", "scheduler", "probe", "--dir", str(tmp_path)]) == 0
    told = capsys.readouterr().out
    assert "note: others_probe offers a scheduler 'probe' too" in told
    assert "probe_scheduler:probe" in told


def test_a_suffix_is_not_said_twice():
    names = Names.of("sampler", "my_sampler")
    assert (names.package, names.distribution, names.builder_class) == ("my_sampler", "my-sampler", "MySampler")
    assert Names.of("sampler", "sampler").package == "sampler_sampler"


def test_neither_torch_nor_numpy_nor_pydantic_nor_a_network_is_needed(tmp_path):
    command = [sys.executable, "-c", POISONED, "new-plugin", "stage", "probe", "--dir", str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "probe-stage" / "pyproject.toml").is_file()


def test_templates_know_one_kind_of_data_no_better_than_another():
    folder = Path(sys.modules["visioncore_engine"].__file__).parent / "scaffold" / "templates"
    texts = {
        path.name: path.read_text().lower().replace("visioncore_neural", "")
        for path in folder.rglob("*.txt")
        if path.parent.name != "licenses"
    }
    words = ("spik", "neuron", "neural", "stimul", "robs", "dfs", "bits_per")
    assert [(name, word) for name, text in texts.items() for word in words if word in text] == []


MODULES = st.sampled_from(["math", "numpy", "torch", "visioncore_engine.contracts", "collections.abc", "probe.options"])
NAMES = st.sampled_from(["Mapping", "nn", "MAX", "Tensor", "generator"])


@given(st.lists(st.tuples(MODULES, st.lists(NAMES, min_size=1)), min_size=1))
def test_merged_imports_are_those_of_the_parts(parts):
    sources = [f"from {module} import {', '.join(names)}\nx = 1" for module, names in parts]
    merged = imports_of(sources, without="probe")
    found = {(node.module, alias.name) for node in ast.parse(merged).body for alias in node.names}
    assert found == {(module, name) for module, names in parts for name in names if module != "probe.options"}
    assert imports_of([merged], without="probe") == merged


def test_a_body_begins_at_its_first_decorator():
    source = '"""Doc."""\n\nimport math\n\n__all__ = ["f"]\n\n\n@one\n@two\ndef f(): ...\n'
    assert body_of(source) == "@one\n@two\ndef f(): ..."
