"""Which plugins may be imported: allowed, blocked, locked. What may not be is never in `sys.modules`."""

from __future__ import annotations

import json
import shutil
import sys
import textwrap
from pathlib import Path

import pytest

from visioncore_engine import discover, resolve
from visioncore_engine.cli import main
from visioncore_engine.errors import ConfigError, PluginError
from visioncore_engine.registry import to_text

SAMPLER = """
    from visioncore_engine import Component, hookimpl

    @hookimpl
    def visioncore_samplers():
        yield Component(name="{name}", summary="one", build="{module}_parts:Builder")
"""


def install(site, name, version="1.0", text=SAMPLER):
    """Install the distribution ``<name>-lab`` with the plugin `name`, in place of an older one."""
    for old in site.folder.glob(f"{name}_lab-*.dist-info"):
        shutil.rmtree(old)
    modules = {f"{name}_module": text.format(name=f"{name}_sampler", module=name), f"{name}_parts": "raise OSError\n"}
    site(f"{name}-lab", version, {name: f"{name}_module"}, **modules)
    sys.modules.pop(f"{name}_module", None)


@pytest.fixture
def labs(site):
    install(site, "light")
    install(site, "heavy")
    return site


def states(registry):
    return {plugin.name: plugin.status for plugin in registry.plugins if plugin.name in ("light", "heavy")}


def refusal(call, *arguments, **named):
    with pytest.raises(PluginError) as caught:
        call(*arguments, **named)
    return str(caught.value)


@pytest.mark.parametrize("word", ["light", "light-lab", "Light_Lab"])
def test_only_what_is_allowed_is_imported(labs, installed, word):
    registry = discover(entry_points=installed(), allow=[word])
    assert states(registry) == {"light": "loaded", "heavy": "blocked"}
    assert "heavy_module" not in sys.modules
    told = refusal(registry.find, "sampler", "heavy:heavy_sampler")
    assert "plugin heavy (heavy-lab==1.0) is blocked (it is not among those that are allowed)" in told


def test_blocking_comes_before_allowing(labs, installed):
    registry = discover(entry_points=installed(), allow=["light", "heavy"], block=["heavy-lab"])
    assert states(registry) == {"light": "loaded", "heavy": "blocked"}
    assert "heavy_module" not in sys.modules
    assert states(discover(entry_points=installed(), allow=[])) == {"light": "loaded", "heavy": "loaded"}


def test_a_registry_is_narrowed_as_if_it_had_been_made_so(labs, installed):
    whole = discover(entry_points=installed())
    narrowed, made = whole.select(allow=["light"]), discover(entry_points=installed(), allow=["light"])
    assert narrowed.entries == made.entries
    assert states(narrowed) == states(made)


def test_allowing_what_is_not_there_is_an_error(labs, installed):
    told = refusal(discover, entry_points=installed(), allow=["lihgt"], block=["none"])
    assert "there is no such plugin to allow (got 'lihgt'); did you mean 'light'?" in told
    assert "there is no such plugin to block (got 'none')" in told


def test_a_run_says_what_it_allows_and_the_command_line_may(lab_run, capsys):
    run = lab_run("plugins: {allow: [cli-lab]}\n")
    assert main(["check", run]) == 0
    assert "heavy_module" not in sys.modules
    assert main(["check", lab_run(""), "--allow", "cli_lab"]) == 0
    assert "heavy_module" not in sys.modules
    capsys.readouterr()
    assert main(["plugins", "--allow", "cli-lab", "--json"]) == 0
    assert "heavy_module" not in sys.modules
    rows = {row["name"]: row for row in json.loads(capsys.readouterr().out)["plugins"]}
    assert (rows["cli_lab"]["status"], rows["heavy"]["status"]) == ("loaded", "blocked")
    assert main(["check", lab_run("plugins: {allow: [cli-lba]}\n")]) == 2
    told = capsys.readouterr().err
    assert told.startswith("plugin error: run.yaml:9: plugins.allow: there is no such plugin to allow (got 'cli-lba')")
    assert "did you mean 'cli-lab'" in told


def test_what_the_command_line_allows_is_part_of_the_run(lab_run, tmp_path, capsys):
    assert main(["check", lab_run(""), "--allow", "cli-lab", "--print"]) == 0
    assert "allow: [cli-lab]  # --set" in capsys.readouterr().out


@pytest.fixture
def lab_run(site, write, lab):
    """A run file that uses `cli-lab` only, with more lines at its end; `heavy-lab` is installed too."""
    install(site, "heavy")
    text = Path(lab).read_text()

    def written(more):
        return write(run=text + more)

    return written


# ---------------------------------------------------------------------------------------------------------------
# Locks


@pytest.fixture
def locked(lab_run, capsys):
    """A run that requires a lock of the one plugin that it uses: its name."""
    assert main(["plugins", "--write-lock", "plugins.lock", "--used-by", lab_run("")]) == 0
    assert "wrote plugins.lock: cli_lab" in capsys.readouterr().out
    sys.modules.pop("heavy_module", None)
    return lab_run("plugins: {lock: plugins.lock}\n")


def test_a_lock_names_version_and_hash_and_is_kept(locked, capsys, tmp_path):
    content = json.loads((tmp_path / "plugins.lock").read_text())
    (row,) = content["plugins"]
    assert (row["name"], row["distribution"], row["version"]) == ("cli_lab", "cli-lab", "1.5")
    assert row["hash"].startswith("sha256:")
    assert main(["check", locked]) == 0
    assert "heavy_module" not in sys.modules  # what the lock does not hold is not imported
    assert main(["check", locked, "--set", "sampler=heavy_sampler"]) == 2
    assert "heavy (heavy-lab==1.0) might provide it: blocked: it is not in the lock" in capsys.readouterr().err


def test_another_version_is_refused_before_anything_is_imported(locked, site, capsys):
    site_version(site, "1.5", "2.0")
    sys.modules.pop("cli_lab_module", None)
    assert main(["check", locked]) == 2
    told = capsys.readouterr().err
    assert told == (
        "plugin error: run.yaml:9: plugins.lock: plugin 'cli_lab' is cli-lab==2.0 here, and cli-lab==1.5 in the lock "
        "(got plugins.lock); install cli-lab==1.5, or accept what is here: "
        "visioncore plugins --write-lock plugins.lock\n"
    )
    assert "cli_lab_module" not in sys.modules


def site_version(site, old, new):
    info = site.folder / f"cli_lab-{old}.dist-info"
    text = (info / "METADATA").read_text().replace(f"Version: {old}", f"Version: {new}")
    (info / "METADATA").write_text(text)
    info.rename(site.folder / f"cli_lab-{new}.dist-info")


def test_other_code_of_the_same_version_is_refused_with_both_hashes(locked, site, capsys, tmp_path):
    was = json.loads((tmp_path / "plugins.lock").read_text())["plugins"][0]["hash"]
    path = site.folder / "cli_lab_module.py"
    path.write_text(path.read_text() + "\n# edited\n")
    assert main(["check", locked]) == 2
    told = capsys.readouterr().err
    assert f"and {was[:19]} in the lock" in told
    assert "the code of plugin 'cli_lab' (cli-lab==1.5) is sha256:" in told
    assert main(["plugins", "--write-lock", "plugins.lock", "--used-by", locked]) == 0  # the remedy that it names
    assert main(["check", locked]) == 0


def test_what_is_set_aside_by_name_may_differ_from_the_lock(labs, installed, tmp_path):
    (tmp_path / "lock").write_text(to_text(discover(entry_points=installed()).plugins))
    install(labs, "heavy", "2.0")
    assert "heavy-lab==2.0 here" in refusal(discover, entry_points=installed(), lock=tmp_path / "lock")
    for named in ({"allow": ["light"]}, {"block": ["heavy-lab"]}):
        assert states(discover(entry_points=installed(), lock=tmp_path / "lock", **named))["light"] == "loaded"


def test_a_plugin_of_the_lock_that_is_gone_is_named(locked, site, capsys):
    shutil.rmtree(site.folder / "cli_lab-1.5.dist-info")
    assert main(["check", locked]) == 2
    assert "plugin 'cli_lab' (cli-lab==1.5) of the lock is not here" in capsys.readouterr().err


def test_a_single_file_is_locked_by_its_content(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    file = tmp_path / "lone_lab.py"
    file.write_text(textwrap.dedent(SAMPLER.format(name="lone", module="lone")))
    assert main(["plugins", "--plugin", "lone_lab.py", "--write-lock", "l", "--allow", "lone_lab"]) == 0
    assert discover(entry_points=[], files=[file], lock="l").names("sampler") == ("lone",)
    file.write_text(file.read_text() + "\n")
    assert "the code of plugin 'lone_lab' (a single file)" in refusal(discover, entry_points=[], files=[file], lock="l")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (None, "the lock cannot be read: No such file or directory"),
        ("", "this is no lock of plugins"),
        ("[]", "this is no lock of plugins"),
        ('{"plugins": [1], "format": 1}', "this is no lock of plugins"),
        ('{"plugins": [{"name": "x"}], "format": 1}', "this is no lock of plugins"),
        ('{"plugins": [], "format": 9}', "this is a lock of format 9, and this engine reads format 1"),
    ],
)
def test_what_is_no_lock_is_said_to_be_none(lab_run, tmp_path, text, expected, capsys):
    if text is not None:
        (tmp_path / "plugins.lock").write_text(text)
    assert main(["check", lab_run("plugins: {lock: plugins.lock}\n")]) == 2
    told = capsys.readouterr().err
    assert f"run.yaml:9: plugins.lock: {expected}" in told
    assert "write one: visioncore plugins --write-lock plugins.lock" in told


def test_a_wrong_type_is_told_as_one(lab_run):
    with pytest.raises(ConfigError, match=r"run\.yaml:9: plugins\.lock: expected text"):
        resolve(lab_run("plugins: {lock: 3}\n"))
    with pytest.raises(ConfigError, match=r"run\.yaml:9: plugins\.allow: expected a list"):
        resolve(lab_run("plugins: {allow: cli-lab}\n"))


def test_used_by_without_a_lock_is_a_mistake(capsys):
    assert main(["plugins", "--used-by", "x.yaml"]) == 2
    assert "add --write-lock FILE" in capsys.readouterr().err
