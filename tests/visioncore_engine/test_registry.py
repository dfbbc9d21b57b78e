"""Plugins are found in one order, loaded each by itself, and looked up with messages that help."""

from __future__ import annotations

import random
import sys
import textwrap
from dataclasses import replace

import pytest

from visioncore_engine import Component, discover
from visioncore_engine.component import Command
from visioncore_engine.errors import PluginError, Problem

GOOD_PLUGIN = """
    from visioncore_engine import Component, hookimpl

    @hookimpl
    def visioncore_samplers():
        yield Component(name="{name}", summary="one", build="{module}:Builder")
"""


def sampler_plugin(module, name="good"):
    return GOOD_PLUGIN.format(module=module, name=name)


def only(registry, name):
    (found,) = [plugin for plugin in registry.plugins if plugin.name == name]
    return found


def message(call, *arguments):
    with pytest.raises(PluginError) as caught:
        call(*arguments)
    return str(caught.value)


HOOK = "from visioncore_engine import Component, hookimpl\n@hookimpl\ndef visioncore_samplers"
YIELD = "    yield Component(name='a', summary='', build=':A')\n"

# What a module says, and what the listing must say of its plugin.
BROKEN = {
    "P01-import-fails": (
        "import no_such_module_at_all",
        "ModuleNotFoundError: No module named 'no_such_module_at_all'",
    ),
    "P01-raises": ("raise ValueError('two\\nlines')", "ValueError: two lines"),
    "P01-syntax": ("def f(:", "SyntaxError"),
    "P02-exits": ("import sys; sys.exit(0)", "SystemExit: it tried to end the process (sys.exit(0))"),
    "P06-misspelt-hook": (
        "from visioncore_engine import hookimpl\n@hookimpl\ndef visioncore_sampler(): yield",
        "there is no hook named 'visioncore_sampler'; did you mean 'visioncore_samplers'?",
    ),
    "P07-argument": (
        "from visioncore_engine import hookimpl\n@hookimpl\ndef visioncore_samplers(oops): yield",
        "hook visioncore_samplers has no argument 'oops'; available: none",
    ),
    "P07-argument-of-checks": (
        "from visioncore_engine import hookimpl\n@hookimpl\ndef visioncore_checks(run): yield",
        "hook visioncore_checks has no argument 'run'; available: config",
    ),
    "P08-no-hook": ("def visioncore_samplers(): yield", "it has no hooks"),
    "raises-while-yielding": (
        f"{HOOK}():\n{YIELD}    raise KeyError('late')",
        "hook visioncore_samplers raised KeyError: 'late'",
    ),
    "exits-while-yielding": (
        f"import sys\n{HOOK}():\n{YIELD}    sys.exit(3)",
        "hook visioncore_samplers raised SystemExit: it tried to end the process (sys.exit(3))",
    ),
    "yields-another-type": (
        f"{HOOK}(): yield {{'name': 'a'}}",
        "hook visioncore_samplers must yield Component, got dict",
    ),
    "returns-a-number": (f"{HOOK}(): return 3", "TypeError"),
    "wrapper": (
        f"{HOOK}():\n    return (yield)".replace("@hookimpl", "@hookimpl(wrapper=True)"),
        "hook visioncore_samplers is a wrapper",
    ),
    "old-wrapper": (
        f"{HOOK}(): return ()".replace("@hookimpl", "@hookimpl(hookwrapper=True)"),
        "hook visioncore_samplers: Declared as wrapper=True or hookwrapper=True",
    ),
    "twice": (f"{HOOK}():\n{YIELD}{YIELD}", "hook visioncore_samplers yields 'a' twice"),
}


@pytest.mark.parametrize(("text", "expected"), BROKEN.values(), ids=BROKEN)
def test_a_broken_plugin_is_listed_with_its_reason_and_harms_nobody(site, installed, text, expected):
    site("bad-lab", "0.3", {"bad": "bad_module"}, bad_module=text)
    site("good-lab", "1.0", {"good": "good_module"}, good_module=sampler_plugin("good_module"))
    registry = discover(entry_points=installed())
    bad = only(registry, "bad")
    assert (bad.status, bad.distribution, bad.version) == ("broken", "bad-lab", "0.3")
    assert expected in bad.error
    assert "\n" not in bad.error
    assert [entry.reference for entry in registry.entries] == ["good:good"]
    # Asking for what it might have provided repeats the reason; asking for anything else does not fail.
    told = message(registry.find, "sampler", "a")
    assert "bad (bad-lab==0.3)" in told
    assert expected in told
    assert registry.find("sampler", "good").plugin.name == "good"


def test_p03_a_missing_attribute_is_named(site, installed):
    site("bad-lab", "1.0", {"bad": "bad_module:hooks"}, bad_module="x = 1")
    bad = only(discover(entry_points=installed()), "bad")
    assert bad.error == "'bad_module' has no attribute 'hooks', which its entry point names"


def test_an_import_error_says_where_it_was_raised(site, installed):
    site("bad-lab", "1.0", {"bad": "bad_module"}, bad_module="x = 1\ny = undefined_name\n")
    bad = only(discover(entry_points=installed()), "bad")
    assert bad.error.endswith("bad_module.py:2)")


def test_an_attribute_error_inside_a_module_is_not_taken_for_a_missing_entry(site, installed):
    site("bad-lab", "1.0", {"bad": "bad_module"}, bad_module="import os\nos.no_such_function()\n")
    assert "AttributeError: module 'os'" in only(discover(entry_points=installed()), "bad").error


def test_keyboard_interrupt_is_not_swallowed(fakes):
    with pytest.raises(KeyboardInterrupt):
        discover(entry_points=[fakes.entry_point("slow", KeyboardInterrupt())])


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({"name": "CamelCase"}, "'CamelCase' is no name"),
        ({"name": "with.dot"}, "'with.dot' is no name"),
        ({"name": "with:colon"}, "'with:colon' is no name"),
        ({"build": "module.attribute"}, "'module.attribute' is not an address"),
        ({"build": "os:system:x"}, "is not an address"),
        ({"build": ""}, "is not an address"),
        ({"options": "no address"}, "component.options: 'no address' is not an address"),
    ],
)
def test_a_declaration_that_cannot_be_used_breaks_its_plugin(fakes, change, expected):
    declared = replace(fakes.component("component"), **change)
    registry = discover(entry_points=[fakes.entry_point("lab", fakes.plugin({"sampler": [declared]}))])
    assert expected in only(registry, "lab").error
    assert registry.entries == ()


@pytest.mark.parametrize(
    ("version", "remedy"), [(0, "update the plugin"), (2, "update visioncore-engine")], ids=["older", "newer"]
)
def test_p14_another_contract_version_is_refused_before_its_addresses_are_read(fakes, version, remedy):
    stranger = Component(name="odd", summary="", build="not an address", version=version)
    plugin = fakes.plugin({"sampler": [stranger, fakes.component("fine")]})
    registry = discover(entry_points=[fakes.entry_point("lab", plugin, dist=fakes.distribution("lab-x", "2.0"))])
    assert only(registry, "lab").status == "loaded"
    assert registry.names("sampler") == ("fine",)
    told = message(registry.find, "sampler", "odd")
    assert f"version {version} of the sampler contract" in told
    assert remedy in told
    assert "lab-x==2.0" in told


def test_one_distribution_listed_twice_counts_once(site, installed):
    site("good-lab", "1.0", {"good": "good_module"}, good_module=sampler_plugin("good_module"))
    points = installed()
    registry = discover(entry_points=[*points, *points])
    assert len(registry.plugins) == 1
    assert registry.find("sampler", "good")


def two_labs(site):
    site("lab-one", "1.0", {"one": "module_one"}, module_one=sampler_plugin("module_one"))
    site("lab-two", "2.5", {"two": "module_two"}, module_two=sampler_plugin("module_two"))


def test_p04_p05_an_ambiguous_name_fails_only_when_it_is_selected(site, installed):
    two_labs(site)
    registry = discover(entry_points=installed())
    assert registry.names("sampler") == ("good",)
    assert [entry.reference for entry in registry.entries] == ["one:good", "two:good"]
    told = message(registry.find, "sampler", "good")
    for part in ("'one:good' (lab-one==1.0)", "'two:good' (lab-two==2.5)"):
        assert part in told
    assert registry.find("sampler", "two:good").plugin.distribution == "lab-two"


def test_one_plugin_name_from_two_distributions_is_kept_and_shown(site, installed):
    site("lab-one", "1.0", {"lab": "module_one"}, module_one=sampler_plugin("module_one"))
    site("lab-two", "2.5", {"lab": "module_two"}, module_two=sampler_plugin("module_two", "other"))
    registry = discover(entry_points=installed())
    assert [(plugin.name, plugin.distribution) for plugin in registry.plugins] == [
        ("lab", "lab-one"),
        ("lab", "lab-two"),
    ]
    assert registry.find("sampler", "lab:good").plugin.distribution == "lab-one"
    assert registry.find("sampler", "lab:other").plugin.distribution == "lab-two"


def test_one_spelling_from_two_distributions_is_told_apart_by_blocking(site, installed):
    site("lab-one", "1.0", {"lab": "module_one"}, module_one=sampler_plugin("module_one"))
    site("lab-two", "2.5", {"lab": "module_two"}, module_two=sampler_plugin("module_two"))
    assert "block one by its distribution" in message(discover(entry_points=installed()).find, "sampler", "lab:good")
    registry = discover(entry_points=installed(), block=["Lab_Two"])
    assert registry.find("sampler", "lab:good").plugin.distribution == "lab-one"


def test_one_module_under_two_distributions_is_shown_twice(site, installed):
    site("lab-one", "1.0", {"lab": "module_one"}, module_one=sampler_plugin("module_one"))
    site("lab-fork", "1.1", {"lab": "module_one"})
    registry = discover(entry_points=installed())
    assert [plugin.distribution for plugin in registry.plugins] == ["lab-fork", "lab-one"]
    assert all(plugin.status == "loaded" for plugin in registry.plugins)


def test_the_order_of_discovery_changes_nothing(site, installed):
    two_labs(site)
    site("bad-lab", "0.3", {"bad": "bad_module"}, bad_module="import no_such_module_at_all")
    for number in range(4):
        site(
            f"more-{number}",
            "1",
            {f"more{number}": f"m{number}"},
            **{f"m{number}": sampler_plugin(f"m{number}", f"s{number}")},
        )
    expected = discover(entry_points=installed())
    for seed in range(20):
        found = discover(entry_points=installed(random.Random(seed)))
        assert (found.plugins, found.entries) == (expected.plugins, expected.entries)
    assert [plugin.distribution for plugin in expected.plugins] == sorted(
        plugin.distribution for plugin in expected.plugins
    )


@pytest.mark.parametrize("word", ["heavy", "heavy-lab", "Heavy_Lab"])
def test_a_blocked_plugin_is_never_imported(site, installed, word):
    site("heavy-lab", "1.0", {"heavy": "heavy_module"}, heavy_module="raise AssertionError('imported')")
    registry = discover(entry_points=installed(), block=[word])
    assert only(registry, "heavy").status == "blocked"
    assert "heavy_module" not in sys.modules
    assert "heavy (heavy-lab==1.0) might provide it: blocked" in message(registry.find, "sampler", "good")
    assert "is blocked" in message(registry.find, "sampler", "heavy:good")


def test_blocking_what_is_not_there_is_an_error(site, installed):
    two_labs(site)
    told = message(lambda: discover(entry_points=installed(), block=["onne"]))
    assert "there is no such plugin to block (got 'onne')" in told
    assert "did you mean 'one'?" in told


def test_a_registry_without_a_plugin_is_that_of_blocking_it(registry):
    without = registry.select(block=["fake-lab"])
    assert without.entries == ()
    assert only(without, "fakes").status == "blocked"
    assert only(registry, "fakes").status == "loaded"


def test_unknown_names_come_with_the_nearest_and_with_what_is_installed(registry):
    told = message(registry.find, "sampler", "contrast_wieghted")
    assert "no sampler named 'contrast_wieghted'; did you mean 'contrast_weighted'?" in told
    assert "contrast_weighted, shuffled (from fake-lab==1.2)" in told
    assert "no kind named 'samplers'; did you mean 'sampler'?" in message(registry.find, "samplers", "x")
    assert "no plugin named 'fake'" in message(registry.find, "sampler", "fake:shuffled")
    assert "no sampler named 'shufled' in plugin 'fakes'" in message(registry.find, "sampler", "fakes:shufled")


def test_editable_installs_are_told(site, installed):
    site(
        "lab-one", "1.0", {"one": "m1"}, '{"url": "file:///x", "dir_info": {"editable": true}}', m1=sampler_plugin("m1")
    )
    site("lab-two", "1.0", {"two": "m2"}, '{"url": "file:///x", "dir_info": {}}', m2=sampler_plugin("m2"))
    site("lab-odd", "1.0", {"odd": "m3"}, "not json", m3=sampler_plugin("m3"))
    assert {plugin.name: plugin.editable for plugin in discover(entry_points=installed()).plugins} == {
        "one": True,
        "two": False,
        "odd": False,
    }


def test_a_declaration_that_imports_torch_is_warned_about(site, installed):
    declaration = "import torch\n" + textwrap.dedent(sampler_plugin("slow_module"))
    site("slow-lab", "1.0", {"slow": "slow_module"}, torch="", slow_module=declaration)
    real = sys.modules.pop("torch", None)
    try:
        slow = only(discover(entry_points=installed()), "slow")
    finally:
        sys.modules.pop("torch", None)  # the empty stand-in
        if real is not None:
            sys.modules["torch"] = real
    assert slow.status == "loaded"
    assert "imports torch" in slow.warnings[0]


def test_the_registry_cannot_be_changed(registry):
    with pytest.raises(AttributeError):
        registry.plugins = ()


def test_tracing_tells_what_was_found_and_looked_up(fakes, monkeypatch, capsys):
    monkeypatch.setenv("VISIONCORE_TRACE", "1")
    registry = discover(entry_points=[fakes.entry_point("lab", fakes.plugin({"sampler": [fakes.component("one")]}))])
    registry.find("sampler", "one")
    told = capsys.readouterr()
    assert told.out == ""
    assert "plugin lab (fake_home): loaded" in told.err
    assert "sampler 'one': lab (fake_home)" in told.err


# ---------------------------------------------------------------------------------------------------------------
# Single files


def plugin_file(folder, name="my_lab", text=None):
    path = folder / f"{name}.py"
    path.write_text(textwrap.dedent(text or GOOD_PLUGIN.format(module="", name="mine")))
    return path


def test_a_file_is_a_plugin(tmp_path):
    text = GOOD_PLUGIN.format(module="", name="mine") + "\n    class Builder:\n        pass\n"
    registry = discover(entry_points=[], files=[plugin_file(tmp_path, text=text)])
    entry = registry.find("sampler", "my_lab:mine")
    assert entry.plugin.source == str(tmp_path / "my_lab.py")
    assert entry.plugin.distribution == ""
    assert entry.home == "my_lab"
    assert sys.modules[entry.home].Builder.__name__ == "Builder"
    # Loaded again (in a notebook, after an edit), the new text holds.
    plugin_file(tmp_path, text=text.replace("mine", "changed"))
    assert discover(entry_points=[], files=[tmp_path / "my_lab.py"]).names("sampler") == ("changed",)


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("statistics", "would hide the module 'statistics'"),
        ("json", "would hide"),
        ("my-lab", "named like a Python module"),
    ],
)
def test_a_file_may_not_hide_a_module(tmp_path, name, expected):
    path = plugin_file(tmp_path, name)
    told = message(lambda: discover(entry_points=[], files=[path]))
    assert expected in told
    assert str(path) in told


def test_a_file_that_is_not_there_is_an_error(tmp_path):
    assert "no such plugin file" in message(lambda: discover(entry_points=[], files=[tmp_path / "none.py"]))


def test_a_file_that_fails_leaves_no_module_behind(tmp_path):
    path = plugin_file(tmp_path, "failing_lab", text="    raise OSError('no')\n")
    registry = discover(entry_points=[], files=[path])
    assert "OSError: no" in only(registry, "failing_lab").error
    assert "failing_lab" not in sys.modules


# ---------------------------------------------------------------------------------------------------------------
# The other hooks


def with_hooks(fakes, **hooks):
    plugin = fakes.plugin({}, **hooks)
    return discover(entry_points=[fakes.entry_point("lab", plugin, dist=fakes.distribution("lab-x", "2.0"))])


def test_commands_and_sections_keep_their_plugin(fakes):
    commands = [Command(name="zeta", summary="", build="m:z"), Command(name="alpha", summary="", build="m:a")]
    registry = with_hooks(fakes, visioncore_commands=lambda: commands, visioncore_report_sections=lambda: ["m:s", ":t"])
    assert [item.value.name for item in registry.commands()] == ["alpha", "zeta"]
    assert [item.value for item in registry.report_sections()] == ["m:s", ":t"]
    assert {item.plugin.name for item in (*registry.commands(), *registry.report_sections())} == {"lab"}


def test_what_a_section_names_is_imported_with_its_plugin_in_the_error(fakes):
    registry = with_hooks(fakes, visioncore_report_sections=lambda: ["no_such_module_at_all:section", "json:dumps"])
    broken, fine = registry.report_sections()
    assert "plugin lab (lab-x==2.0): cannot import 'no_such_module_at_all:section'" in message(broken.load)
    assert fine.load().__name__ == "dumps"


@pytest.mark.parametrize(
    ("hook", "value", "expected"),
    [
        ("visioncore_commands", "data", "must yield Command, got str"),
        ("visioncore_commands", Command(name="Bad Name", summary="", build="m:z"), "'Bad Name' is no name"),
        ("visioncore_report_sections", "no address", "'no address' is not an address"),
        ("visioncore_report_sections", 3, "3 is not an address"),
    ],
)
def test_other_hooks_are_checked_too(fakes, hook, value, expected):
    assert expected in only(with_hooks(fakes, **{hook: lambda: [value]}), "lab").error


@pytest.mark.parametrize(("hook", "ask"), [("visioncore_checks", "checks"), ("visioncore_data_checks", "data_checks")])
def test_checks_are_asked_and_their_failures_attributed(fakes, hook, ask):
    def asking(check):
        registry = with_hooks(fakes, **{hook: check})
        assert getattr(registry, "data_checks" if ask == "checks" else "checks")("this") == ()
        return getattr(registry, ask)

    assert asking(lambda config: [Problem(what=f"not {config}")])("this") == (Problem(what="not this"),)
    assert asking(lambda: ())("this") == ()
    assert asking(lambda config: None)("this") == ()
    told = message(asking(lambda config: 1 / 0), "this")
    assert f"plugin lab (lab-x==2.0): {hook} raised ZeroDivisionError" in told
    assert "must yield Problem, got str" in message(asking(lambda config: ["x"]), 1)
