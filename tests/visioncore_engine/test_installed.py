"""What is read from the files of installed packages is what importlib-metadata finds there, or nothing at all."""

from __future__ import annotations

import json
import os
import sys
import zipfile
from collections import Counter
from importlib.machinery import PathFinder

import importlib_metadata
import pytest

from visioncore_engine.registry.installed import installed_points, points_on_disk

GROUP = "lab_group"
METADATA = "Metadata-Version: 2.1\nName: My.Lab\nVersion: 1.5\n\nName: not this\n\nVersion: nor this\n"
PLAIN = f"[{GROUP}]\nlab = my_lab\n"


def put(folder, info="my_lab-1.5.dist-info", points=PLAIN, metadata=METADATA, file="METADATA"):
    made = folder / info
    made.mkdir(parents=True)
    (made / "entry_points.txt").write_text(points, encoding="utf-8")
    (made / "direct_url.json").write_text('{"dir_info": {"editable": true}}')
    if metadata is not None:
        (made / file).write_text(metadata, encoding="utf-8")


def told(points):
    return sorted(
        (point.name, point.value, point.dist.name, point.dist.version, point.dist.read_text("direct_url.json"))
        for point in points
    )


def test_what_is_installed_here_is_what_importlib_metadata_finds():
    names = Counter(distribution.name for distribution in importlib_metadata.distributions())
    for group in ("visioncore_engine", "console_scripts", "pytest11"):
        found = points_on_disk(group, sys.path, [PathFinder])
        if found is None:  # where something is installed twice, as where plugins are tried without others
            assert max(names.values()) > 1
        else:
            assert told(found) == told(importlib_metadata.entry_points(group=group))


USUAL = {
    "a module": PLAIN,
    "an object": f"[{GROUP}]\nlab=my_lab.parts:Thing.made\nother = x\n",
    "other sections": f"[console_scripts]\nlab = no:no\n[{GROUP}]\n  lab = my_lab  \n[{GROUP}.more]\nno = no\n",
    "comments": f"# {GROUP}\n\n[{GROUP}]\n# lab = no\nlab = my_lab\n",
    "none": f"[other]\n{GROUP} = no\n",
    "letters": f"[{GROUP}]\nläb = my_lab\n",
}


@pytest.mark.parametrize("points", USUAL.values(), ids=USUAL)
@pytest.mark.parametrize("info", ["my_lab-1.5.dist-info", "My.Lab-1.5.dist-info", "My_Lab.egg-info"])
def test_usual_packages_are_read_as_importlib_metadata_reads_them(tmp_path, monkeypatch, points, info):
    put(tmp_path / "b", info, points, file="PKG-INFO" if "egg" in info else "METADATA")
    put(tmp_path / "a", "other-2.dist-info", f"[{GROUP}]\nzz = other\n", "Name: other\nVersion: 2\n")
    (tmp_path / "b" / "old.egg-info").write_text("a file, as distutils left it")
    (tmp_path / "b" / "empty-1.dist-info").mkdir()
    path = [str(tmp_path / folder) for folder in ("b", "a", "missing", "b")]
    monkeypatch.setattr(sys, "path", [*path, *sys.path])
    assert told(points_on_disk(GROUP, sys.path, sys.meta_path)) == told(importlib_metadata.entry_points(group=GROUP))


def test_loading_gives_the_module_or_the_object(tmp_path):
    put(tmp_path, points=f"[{GROUP}]\na = json\nb = os:path.join\n")
    one, two = points_on_disk(GROUP, [str(tmp_path)], [])
    assert one.load() is json
    assert two.load() is os.path.join


def _zipped(folder):
    with zipfile.ZipFile(folder / "lab.zip", "w") as archive:
        archive.writestr("my_lab-1.5.dist-info/METADATA", METADATA)
    return [str(folder / "lab.zip")]


def _twice(folder):
    put(folder / "a", metadata=None)
    put(folder / "b", "my-lab-1.6.dist-info")
    put(folder / "b", "My_Lab-1.5.dist-info")
    return [str(folder / "a"), str(folder / "b")]


def _put(**given):
    def made(folder):
        put(folder, **given)
        return [str(folder)]

    return made


UNUSUAL = {
    "an archive": _zipped,
    "one distribution twice": _twice,
    "extras": _put(points=f"[{GROUP}]\nlab = my_lab:x [fast]\n"),
    "no value": _put(points=f"[{GROUP}]\nlab\n"),
    "no metadata": _put(metadata=None),
    "no name": _put(metadata="Version: 1\n"),
    "not utf-8": _put(points=PLAIN),
}


@pytest.mark.parametrize("make", UNUSUAL.values(), ids=UNUSUAL)
def test_what_is_unusual_is_left_to_importlib_metadata(tmp_path, make):
    path = make(tmp_path)
    for file in tmp_path.glob("*/METADATA") if make is UNUSUAL["not utf-8"] else ():
        file.write_bytes(METADATA.encode() + "ä".encode("latin-1"))
    assert points_on_disk(GROUP, path, [PathFinder]) is None


def test_a_finder_of_packages_of_its_own_is_asked(tmp_path, monkeypatch):
    class Finder:
        def find_distributions(self, context):
            (folder,) = tmp_path.iterdir()
            yield importlib_metadata.PathDistribution(folder)

    put(tmp_path)
    assert points_on_disk(GROUP, [], [PathFinder, Finder()]) is None
    monkeypatch.setattr(sys, "meta_path", [*sys.meta_path, Finder()])
    assert [point.value for point in installed_points(GROUP)] == ["my_lab"]


def test_where_importlib_metadata_is_imported_it_is_asked(monkeypatch):
    monkeypatch.setattr(importlib_metadata, "entry_points", lambda group: [group])
    assert installed_points(GROUP) == [GROUP]
