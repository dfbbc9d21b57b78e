"""A component that was renamed is found by its former name, with a warning; the record holds the new one."""

from __future__ import annotations

import pytest
from jsonschema import Draft202012Validator

from visioncore_engine import discover, resolve
from visioncore_engine.config.schema import schema
from visioncore_engine.errors import ConfigError, PluginError
from visioncore_engine.record import collect
from visioncore_engine.resume import check_resume


@pytest.fixture
def plugins(fakes):
    """Registry of plugins by name, each with samplers: (name, former names…)."""

    def plugins(**found):
        points = [
            fakes.entry_point(
                name,
                fakes.plugin({"sampler": [fakes.component(new, former_names=tuple(old)) for new, *old in samplers]}),
                dist=fakes.distribution(f"{name}-lab", "2.0"),
            )
            for name, samplers in found.items()
        ]
        return discover(entry_points=points)

    return plugins


@pytest.mark.parametrize("reference", ["old", "older", "lab:old", "new"])
def test_a_former_name_finds_the_component(plugins, reference):
    registry = plugins(lab=[("new", "old", "older")])
    assert registry.find("sampler", reference).name == "new"
    assert registry.names("sampler") == ("new",)  # what is offered is the present name


def test_a_name_in_use_is_nobodys_former_name(plugins):
    registry = plugins(one=[("new", "same")], two=[("same",)])
    assert registry.find("sampler", "same").reference == "two:same"
    assert registry.find("sampler", "one:same").reference == "one:new"
    assert [entry.reference for entry in registry.candidates("sampler", "same")] == ["two:same"]


def test_one_former_name_of_two_plugins_is_ambiguous(plugins):
    registry = plugins(one=[("a", "old")], two=[("b", "old")])
    with pytest.raises(PluginError, match=r"'one:a' .*'two:b'"):
        registry.find("sampler", "old")
    assert registry.find("sampler", "two:old").name == "b"


@pytest.mark.parametrize(
    ("samplers", "expected"),
    [
        ([("new", "new")], "yields 'new' twice"),
        ([("a", "old"), ("b", "old")], "yields 'old' twice"),
        ([("a",), ("b", "a")], "yields 'a' twice"),
        ([("a", "Not A Name")], "'Not A Name' is no name"),
    ],
)
def test_names_that_contradict_each_other_break_their_plugin(plugins, samplers, expected):
    (plugin,) = plugins(lab=samplers).plugins
    assert plugin.status == "broken"
    assert expected in plugin.error


@pytest.fixture
def renamed(fakes, registry):
    """Today's plugin: the sampler of the good run has another name, and so has a callback."""

    def components(entries):
        names = {"contrast_weighted": "by_contrast", "heartbeat": "pulse"}
        for entry in entries:
            new = names.get(entry.name, entry.name)
            former = () if new == entry.name else (entry.name,)
            yield fakes.component(new, entry.component.options, logs=entry.component.logs, former_names=former)

    kinds = {entry.kind for entry in registry.entries}
    plugin = fakes.plugin({k: list(components([e for e in registry.entries if e.kind == k])) for k in kinds})
    return discover(entry_points=[fakes.entry_point("fakes", plugin, dist=fakes.distribution("fake-lab", "1.3"))])


def test_a_run_with_a_former_name_is_warned_of_and_recorded_by_the_new_one(renamed, write, good, capsys):
    text = good.replace("name: contrast_weighted", "name: fakes:contrast_weighted")
    resolved = resolve(write(run=text), registry=renamed)
    told = capsys.readouterr().err.splitlines()
    todo = "(plugin fakes (fake-lab==1.3)); write the new name: the old one will go"
    assert told == [
        f"warning: run.yaml:4: sampler: sampler 'fakes:contrast_weighted' is now called 'by_contrast' {todo}",
        f"warning: run.yaml:30: callbacks.heartbeat: callback 'heartbeat' is now called 'pulse' {todo}",
    ]
    assert resolved.dump()["sampler"]["name"] == "fakes:by_contrast"
    assert resolved.dump()["callbacks"]["heartbeat"]["name"] == "pulse"  # the id stays what the run file calls it
    names = {part["key"]: part["name"] for part in collect(resolved)["components"]}
    assert (names["sampler"], names["callbacks.heartbeat"]) == ("by_contrast", "pulse")
    again = resolve(resolved.dump(), registry=renamed)
    assert again.dump() == resolved.dump()
    assert capsys.readouterr().err == ""


def test_a_run_of_before_the_renaming_is_resumed_as_the_same_one(registry, renamed, write, good, capsys):
    saved = resolve(write(run=good), registry=registry).dump()
    now = resolve(write(run=good.replace("contrast_weighted", "by_contrast")), registry=renamed)
    check_resume(now, saved)
    other = resolve(write(run=good), ["sampler=shuffled"], registry=renamed)
    with pytest.raises(ConfigError, match="by_contrast"):
        check_resume(other, saved)


def test_an_editor_takes_former_names_that_are_not_ambiguous(plugins):
    accepts = Draft202012Validator(schema(plugins(one=[("a", "old"), ("c", "gone")], two=[("b", "old")]))[0]).is_valid
    assert accepts({"sampler": "gone"})
    assert accepts({"sampler": {"name": "one:old"}})
    assert not accepts({"sampler": "old"})
