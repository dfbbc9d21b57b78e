"""The hash of a plugin's code: the same for the same files, another for any other byte; nothing is imported."""

from __future__ import annotations

import base64
import hashlib
import subprocess
import sys
from pathlib import Path

import pytest

from visioncore_engine.registry import Plugin, contents, module_file

FILES = {"__init__.py": "raise AssertionError('imported')\n", "parts/deep.py": "x = 1\n", "table.csv": "1,2\n"}
EDITABLE = '{"url": "file:///x", "dir_info": {"editable": true}}'


def package(folder, name="content_lab", files=FILES):
    for file, text in files.items():
        path = folder / name / file
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return folder / name


def record(folder, names, more=""):
    """A RECORD as installers write it, with files that are theirs rather than the wheel's."""

    def row(name):
        digest = base64.urlsafe_b64encode(hashlib.sha256((folder / name).read_bytes()).digest()).rstrip(b"=").decode()
        return f"{name},sha256={digest},{(folder / name).stat().st_size}\n"

    (info,) = folder.glob("*.dist-info")
    (info / "RECORD").write_text("".join(map(row, names)) + f"{info.name}/RECORD,,\n{info.name}/INSTALLER,,\n{more}")


def plugin(**more):
    return Plugin(**{"name": "lab", "distribution": "content-lab", "version": "1.0", "module": "content_lab", **more})


@pytest.fixture
def wheel(site):
    """An installed wheel with a RECORD: its folder."""
    folder = site("content-lab", "1.0", {"lab": "content_lab"})
    package(folder)
    record(folder, [f"content_lab/{name}" for name in FILES], "../../../bin/lab,,\ncontent_lab/x.pyc,,\n")
    return folder


def test_a_wheel_is_the_files_that_it_brought(wheel):
    found = contents(plugin())
    lines = [f"content_lab/{name} {hashlib.sha256(text.encode()).hexdigest()}\n" for name, text in FILES.items()]
    assert found.hash == f"sha256:{hashlib.sha256(''.join(sorted(lines)).encode()).hexdigest()}"
    assert found.edited == ()
    assert "content_lab" not in sys.modules
    (wheel / "content_lab" / "stray.py").write_text("not of the wheel\n")
    (wheel / "content_lab-1.0.dist-info" / "INSTALLER").write_text("another\n")
    assert contents(plugin()) == found


def test_a_wheel_that_was_edited_or_lost_a_file_says_so(wheel):
    before = contents(plugin()).hash
    (wheel / "content_lab" / "parts" / "deep.py").write_text("x = 2\n")
    found = contents(plugin())
    assert found.edited == ("content_lab/parts/deep.py",)
    assert found.hash != before
    (wheel / "content_lab" / "table.csv").unlink()
    assert contents(plugin()).edited == ("content_lab/parts/deep.py", "content_lab/table.csv")


def test_an_editable_install_is_its_package_and_equals_the_wheel_of_the_same_files(wheel, site):
    as_wheel = contents(plugin()).hash
    found = contents(plugin(editable=True))
    assert found.hash == as_wheel
    assert found.folder == str(wheel)
    for stray in (".hidden", "__pycache__/deep.cpython-311.pyc", "deep.pyc"):
        path = wheel / "content_lab" / stray
        path.parent.mkdir(exist_ok=True)
        path.write_text("x")
    assert contents(plugin(editable=True)) == found
    (wheel / "content_lab" / "more.txt").write_text("")
    assert contents(plugin(editable=True)).hash != found.hash


@pytest.mark.parametrize("module", ["content_lab", "content_lab.parts.deep"])
def test_without_a_record_it_is_the_package_of_the_declarations(site, module):
    folder = site("content-lab", "1.0", {"lab": module})
    package(folder)
    assert contents(plugin(module=module)).hash.startswith("sha256:")
    assert contents(plugin(module=module)) == contents(plugin())
    assert "content_lab" not in sys.modules


def test_a_namespace_is_shared_and_only_the_part_of_the_plugin_counts(site):
    folder = site("content-lab", "1.0", {"lab": "shared_names.content_lab"})
    package(folder / "shared_names")
    before = contents(plugin(module="shared_names.content_lab"))
    (folder / "shared_names" / "other_lab").mkdir()
    (folder / "shared_names" / "other_lab" / "__init__.py").write_text("x = 1\n")
    assert contents(plugin(module="shared_names.content_lab")) == before
    assert before.hash == (package(folder), contents(plugin()))[1].hash


def test_a_module_and_a_single_file_are_one_file(site, tmp_path):
    folder = site("content-lab", "1.0", {"lab": "content_lab"}, content_lab="x = 1\n")
    one = contents(plugin())
    alone = contents(Plugin(name="content_lab", module="content_lab", source=str(folder / "content_lab.py")))
    assert one.hash == alone.hash != ""


@pytest.mark.parametrize(
    "found", [plugin(module="no_such_module_at_all"), plugin(distribution="", module="x"), plugin(module="sys")]
)
def test_what_has_no_files_has_no_hash(found):
    assert contents(found).hash == ""


def test_a_wheel_built_by_pip_is_hashed_alike(tmp_path, monkeypatch):
    """Against a real installer: the RECORD that pip writes."""
    source = tmp_path / "source"
    package(source)
    (source / "pyproject.toml").write_text(
        '[build-system]\nrequires = ["hatchling"]\nbuild-backend = "hatchling.build"\n'
        '[project]\nname = "content-lab"\nversion = "1.0"\n'
        '[project.entry-points.visioncore_engine]\nlab = "content_lab"\n'
    )
    target = tmp_path / "target"
    command = [sys.executable, "-m", "pip", "install", "-q", "--no-deps", "--no-build-isolation", "--no-index"]
    subprocess.run([*command, "--target", str(target), str(source)], check=True, capture_output=True)
    monkeypatch.syspath_prepend(str(target))
    found = contents(plugin())
    assert found.edited == ()
    monkeypatch.setattr(sys, "path", [str(source), *sys.path])
    assert found.hash == contents(plugin(editable=True)).hash


def test_files_of_modules_are_found_without_importing_them(site):
    folder = site("content-lab", "1.0", {"lab": "content_lab"})
    package(folder)
    sys.modules.pop("content_lab", None)
    assert module_file("no_such_module_at_all.part") == Path()
    assert module_file("visioncore_engine.errors").name == "errors.py"
