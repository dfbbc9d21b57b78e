"""Laws of every kind of component."""

from __future__ import annotations

import pickle
from typing import Any

from visioncore_engine.component import KINDS, resolve_address
from visioncore_engine.config.document import read
from visioncore_engine.config.node import plain
from visioncore_engine.config.text import to_yaml
from visioncore_engine.errors import ConfigError, UserError
from visioncore_engine.options import Choice, slots
from visioncore_engine.testing.case import Case, Given
from visioncore_engine.testing.checking import check
from visioncore_engine.testing.folder import fresh_folder
from visioncore_engine.testing.fresh import importing
from visioncore_engine.testing.observed import difference
from visioncore_engine.testing.variation import own_options, variations
from visioncore_engine.testing.worlds import generators, process_state, seeded

__all__ = [
    "declaration_is_light",
    "every_entry_of_a_list_acts",
    "every_option_acts",
    "global_generators_are_left_alone",
    "it_builds",
    "options_are_described",
    "options_come_back_from_yaml",
    "other_processes_can_import_it",
    "process_is_left_alone",
    "same_seed_gives_the_same",
    "unknown_options_are_refused",
]


@check(fresh_process=True)
def declaration_is_light(case: Case) -> None:
    """Listing it needs neither torch nor numpy nor pydantic; its options need neither torch nor numpy."""
    failed, entry = importing(case), case.entry
    for address in (f"{entry.home}:", entry.component.options):
        assert address not in failed, f"{address} cannot be imported without: {failed[address]}"


@check(fresh_process=True)
def other_processes_can_import_it(case: Case) -> None:
    """Its builder is found in a fresh process, as every process of a run has to find it."""
    failed, address = importing(case), case.entry.component.build
    assert address not in failed, f"{address} cannot be imported in a fresh process: {failed[address]}"


@check()
def it_builds(case: Case) -> None:
    """It builds on its defaults (or the case's options), and what it builds is of its kind."""
    case.build()


@check(one_setting="it reads the class of the options, not their values")
def options_are_described(case: Case) -> None:
    """Every option says what it is, and the component what it does, in one line."""
    summary = case.entry.component.summary
    assert summary.strip(), "the component has no summary"
    assert "\n" not in summary, "the summary is longer than one line"
    missing = [name for name, field in type(case.choose().options).model_fields.items() if not field.description]
    assert not missing, f"options without a description: {', '.join(missing)}"


@check()
def options_come_back_from_yaml(case: Case) -> None:
    """Written to a run file with every default and read again, its options are the same."""
    choice = case.choose()
    path = fresh_folder() / "run.yaml"
    path.write_text(to_yaml(_block(choice), lambda _key: "default"), encoding="utf-8")
    found: Any = plain(read(path, str(path)))
    again = Case(case.kind, found.pop("name"), options=found, registry=case.plugins).choose()
    assert again.options == choice.options, f"{choice.options!r} came back as {again.options!r}"
    assert pickle.loads(pickle.dumps(choice.options)) == choice.options, "pickled options are not the same"  # noqa: S301 - our own


@check(one_setting="what is no option is none beside any other value")
def unknown_options_are_refused(case: Case) -> None:
    """A key that it does not have is an error that names the key."""
    word = "no_such_option"
    try:
        case.choose(**{word: 1})
    except ConfigError as error:
        assert word in str(error), f"the error does not name the key: {error}"
    else:
        raise AssertionError(f"the key {word!r} was taken without a word")


@check(one_setting="it changes the options itself, one after another")
def every_option_acts(case: Case) -> None:
    """Each of its own options changes something that it does."""
    options = case.choose().options
    base = resolve_address(KINDS[case.kind].options)
    names = own_options(type(options), base)
    _known(case, names)
    plain_probe = case.probe()
    for name in names:
        if name not in case.variants:
            found = variations(options, name, case.plugins)
            acts = _first_that_acts(case, [Given(value) for value in found], name, plain_probe)
        else:
            variant = case.variants[name]
            given = variant if isinstance(variant, Given) else Given(variant)
            acts = _first_that_acts(case, [given], name, case.probe(**given.others) if given.others else plain_probe)
        if name in case.inert:
            assert not acts, f"{name} is said to change nothing here, and does"
        else:
            assert acts, (
                f"no other value of the option {name!r} changes anything: the component ignores it, or no valid value "
                f"could be derived (give one in `variants`, with Given where it acts only beside others)"
            )


@check(one_setting="it changes the options itself, one after another")
def every_entry_of_a_list_acts(case: Case) -> None:
    """Of an option that holds several values each changes something."""
    options = case.choose().options
    current = options.model_dump(mode="json")
    plain_probe: Any = None
    for name in own_options(type(options), resolve_address(KINDS[case.kind].options)):
        value = current[name]
        if name in case.inert or not isinstance(value, list) or len(value) < 2:
            continue
        plain_probe = plain_probe or case.probe()
        for place in range(len(value)):
            found = [
                Given(other)
                for other in variations(options, name, case.plugins)
                if isinstance(other, list) and _differing(value, other) == [place]
            ]
            acts = _acting(case, found, name, plain_probe)
            assert acts is not False, f"entry {place} of {name!r} changes nothing: only some of the entries are used"


def _differing(one: list[Any], two: list[Any]) -> list[int]:
    if len(one) != len(two):
        return []
    return [place for place, (left, right) in enumerate(zip(one, two, strict=True)) if left != right]


@check(one_setting="every setting is built twice by `global_generators_are_left_alone`, which wants the same")
def same_seed_gives_the_same(case: Case) -> None:
    """Built twice under one seed, it does the same."""
    found = difference(case.probe(), case.probe())
    assert found is None, f"built twice with the same seed and options, it does other things: {found}"


@check()
def global_generators_are_left_alone(case: Case) -> None:
    """It neither reads nor moves the global random generators, initialisers of modules under the run's seed aside."""
    probes = []
    for seed in (1, 2):
        with seeded(seed):
            before = generators()
            probes.append(case.probe())
            after = generators()
        for name, state in before.items():
            assert difference(state, after[name]) is None, (
                f"{name} was moved: draw from visioncore_engine.data.generator, keyed by the seed and what is drawn for"
            )
    found = difference(*probes)
    assert found is None, f"what it does depends on a global random generator: {found}"


@check()
def process_is_left_alone(case: Case) -> None:
    """It changes nothing that others in its process rely on: dtype, threads, modes, path, environment, signals."""
    before = process_state()
    case.probe()
    after = process_state()
    changed = [f"{name} (from {before[name]!r} to {after[name]!r})" for name in before if before[name] != after[name]]
    assert not changed, f"it changes {' and '.join(changed)[:400]}"


def _first_that_acts(case: Case, found: list[Given], name: str, plain_probe: Any) -> bool:
    return bool(_acting(case, found, name, plain_probe))


def _acting(case: Case, found: list[Given], name: str, plain_probe: Any) -> bool | None:
    """Whether any of these values changes what is observed; None where none of them is valid."""
    acts: bool | None = None
    for given in found:
        try:
            probe = case.probe(**{**given.others, name: given.value})
        except UserError:  # not valid beside the other options: the next one may be
            continue
        acts = difference(plain_probe, probe) is not None
        if acts:
            break
    return acts


def _known(case: Case, names: tuple[str, ...]) -> None:
    unknown = {*case.variants, *case.inert, *case.apart} - set(names)
    assert not unknown, f"the case speaks of options that are not there: {', '.join(sorted(unknown))}"


def _block(choice: Choice) -> dict[str, Any]:
    """Write out a block as the record of a run does: blocks in lists by their ids."""
    found = slots(type(choice.options))
    content: dict[str, Any] = {"name": f"{choice.plugin}:{choice.name}", **choice.options.model_dump(mode="json")}
    for name in found:
        value = getattr(choice.options, name)
        if found[name].many:
            content[name] = {item.id: _block(item) for item in value}
        elif isinstance(value, Choice):
            content[name] = _block(value)
    return content
