"""What may stand in the tree, and that its lists agree with each other."""

from __future__ import annotations

import re
import subprocess
import tomllib

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

# Character classes such as [-] keep this file from finding itself.
FORBIDDEN = {
    "a path of one machine": re.compile(r"(?<![\w.)}/-])/(home|root|work|Users|opt|mnt)/\w"),
    "where packages are fetched from": re.compile(
        r"pypi[.]org|python[h]osted|download[.]pytorch|index[-]url|find[-]links|trusted[-]host"
    ),
    "a folder outside the checkout": re.compile(r"[.][.]/shared"),
    "an address of a person": re.compile(r"[\w.+-]+@(?!example)[\w-]+\.(com|org|edu|net|ac|de|ch|uk)\b"),
}


@pytest.fixture(scope="module")
def files(root):
    command = ["git", "ls-files", "-co", "--exclude-standard"]
    listed = subprocess.run(command, cwd=root, capture_output=True, text=True, check=False)
    if listed.returncode != 0:
        pytest.skip("not a git checkout")
    texts = {}
    for name in listed.stdout.splitlines():
        path = root / name
        if path.is_file() and path.suffix not in {".png", ".npz", ".npy", ".ckpt", ".h5"}:
            texts[name] = path.read_text(encoding="utf-8")
    return texts


@pytest.mark.parametrize("what", FORBIDDEN)
def test_nothing_of_one_place_stands_in_the_tree(files, what):
    found = [
        f"{name}:{number}: {match.group()}"
        for name, text in files.items()
        for number, line in enumerate(text.splitlines(), 1)
        for match in FORBIDDEN[what].finditer(line)
    ]
    assert found == []


def test_the_pinned_set_holds_every_dependency_within_its_bounds(root):
    project = tomllib.loads((root / "pyproject.toml").read_text())["project"]
    lines = (root / "constraints.txt").read_text().splitlines()
    pins = [Requirement(line) for line in lines if line and not line.startswith("#")]
    assert all(re.fullmatch(r"[\w.-]+==[\w.]+", line) for line in lines if line and not line.startswith("#"))
    assert [canonicalize_name(pin.name) for pin in pins] == sorted({canonicalize_name(pin.name) for pin in pins})
    versions = {canonicalize_name(pin.name): str(pin.specifier).removeprefix("==") for pin in pins}
    extras = project["optional-dependencies"].values()
    for text in [*project["dependencies"], *(text for extra in extras for text in extra)]:
        requirement = Requirement(text)
        assert requirement.specifier.contains(versions[canonicalize_name(requirement.name)]), text


def test_every_built_in_plugin_is_packaged_checked_and_an_entry_point(root, packages):
    """A new plugin package has to take its place in each list of pyproject.toml."""
    built_in = {name for name in packages if name not in {"visioncore_engine", "example_lab"}}
    if not built_in:
        pytest.skip("this copy of the tree has no plugins")
    document = tomllib.loads((root / "pyproject.toml").read_text())
    on_disk = {path.name for path in (root / "plugins").iterdir() if (path / "__init__.py").is_file()}
    assert on_disk == built_in
    folders = {f"plugins/{name}" for name in built_in}
    hatch = document["tool"]["hatch"]["build"]["targets"]
    assert set(hatch["wheel"]["packages"]) == folders | {"visioncore_engine"}
    assert {f"/{folder}" for folder in folders} <= set(hatch["sdist"]["include"])
    assert document["project"]["entry-points"]["visioncore_engine"] == {name: name for name in built_in}
    assert folders <= set(document["tool"]["mypy"]["files"])
    assert set(document["tool"]["importlinter"]["root_packages"]) == built_in | {"visioncore_engine"}


def test_the_version_is_written_once_more_only_where_it_must(root):
    project = tomllib.loads((root / "pyproject.toml").read_text())["project"]
    source = (root / "visioncore_engine" / "__init__.py").read_text()
    assert f'__version__ = "{project["version"]}"' in source
    assert f"## [{project['version']}]" in (root / "CHANGELOG.md").read_text()
