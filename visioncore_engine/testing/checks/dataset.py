"""Laws of datasets."""

from __future__ import annotations

import math
import pickle
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any

import numpy as np

from visioncore_engine.contracts import Dataset, Source
from visioncore_engine.errors import UserError
from visioncore_engine.testing.case import Case
from visioncore_engine.testing.checking import check
from visioncore_engine.testing.checks import windows
from visioncore_engine.testing.observed import difference, expect_same
from visioncore_engine.testing.saved import moved_numbers, saved_and_loaded
from visioncore_engine.testing.scenes.dataset import DatasetScene

__all__ = [
    "fingerprints_are_of_the_content",
    "fitted_state_is_used",
    "held_out_data_are_not_fitted",
    "means_are_those_of_training",
    "sources_can_be_sent_and_shared",
    "state_gives_the_same_data",
    "summary_has_a_row_per_group",
    "unknown_names_are_refused",
    "windows",
]


def _open(case: Case) -> tuple[DatasetScene, Dataset]:
    scene = case.scene_of()
    assert isinstance(scene, DatasetScene), f"the scene of {case} must be a {DatasetScene.__name__}"
    dataset: Dataset = case.build(scene)
    return scene, dataset


def _everything(scene: DatasetScene, dataset: Dataset, splits: tuple[str, ...] = ()) -> dict[str, Any]:
    """Windows of splits, all by default."""
    return {
        split: {
            source.group.name: (source.num_items, scene.read(source) if source.num_items else None)
            for source in scene.sources(dataset, split)
        }
        for split in splits or scene.splits
    }


@check("dataset")
def fingerprints_are_of_the_content(case: Case) -> None:
    """Each group has a fingerprint, which is the same when it is opened again and another when its content is."""
    scene, dataset = _open(case)
    found, names = dict(dataset.fingerprints()), [group.name for group in dataset.groups]
    assert sorted(found) == sorted(names), f"fingerprints of {', '.join(found)} for groups {', '.join(names)}"
    assert all(isinstance(value, str) and value for value in found.values()), (
        "a fingerprint is a text that is not empty"
    )
    expect_same(found, dict(case.build(scene).fingerprints()), "opened again, the same data have another fingerprint")
    other: Dataset
    if scene.altered:
        other = case.build(scene, **scene.altered)
    else:
        other = case.build(replace(scene, facts=replace(scene.facts, seed=scene.facts.seed + 1)))
    moved = _changed_groups(_everything(scene, dataset), _everything(scene, other))
    assert moved, "no other content to compare with: give the scene options `altered` that lead to other content"
    changed = dict(other.fingerprints())
    stale = [name for name in moved if changed.get(name) == found[name]]
    assert not stale, f"the content of {', '.join(stale)} is another, its fingerprint is not: hash what is read"


def _changed_groups(one: Mapping[str, Any], two: Mapping[str, Any]) -> list[str]:
    names = dict.fromkeys(name for split in one.values() for name in split)
    return [
        name
        for name in names
        if any(difference(one[split].get(name), two[split].get(name)) is not None for split in one)
    ]


@check("dataset")
def state_gives_the_same_data(case: Case) -> None:
    """`state` is plain, survives a checkpoint, and opens the same data again."""
    scene, dataset = _open(case)
    state = dataset.state()
    other: Dataset = case.build(replace(scene, facts=replace(scene.facts, state=saved_and_loaded(state))))
    expect_same(
        _everything(scene, dataset), _everything(scene, other), "opened with its state, the data are other ones"
    )
    expect_same(state, other.state(), "opened with its state, it has another state")
    law = "opened with its state, its groups are other ones"
    expect_same([str(group) for group in dataset.groups], [str(group) for group in other.groups], law)


@check("dataset")
def fitted_state_is_used(case: Case) -> None:
    """A state is used as it is given and not fitted anew: another value of any number in it makes other windows."""
    scene, dataset = _open(case)
    expected = _everything(scene, dataset)
    for place, moved in moved_numbers(dataset.state()):
        other: Dataset = case.build(replace(scene, facts=replace(scene.facts, state=moved)))
        assert difference(expected, _everything(scene, other)) is not None, (
            f"the number at {place} of a checkpoint's state changes nothing: it is fitted again, or not used"
        )


@check("dataset", one_setting="what is held out in another setting the scene does not know")
def held_out_data_are_not_fitted(case: Case) -> None:
    """Where only what is not trained on is another, all that is trained on and fitted is the same."""
    scene, dataset = _open(case)
    if not scene.held_out:
        return  # a dataset that is generated cannot be changed in part
    other: Dataset = case.build(scene, **scene.held_out)
    apart = _everything(scene, dataset), _everything(scene, other)
    assert difference(*apart) is not None, "the scene's options `held_out` lead to the same content"
    expect_same(dataset.state(), other.state(), "data that are not trained on change what is fitted")
    law = "data that are not trained on change what is known of a group, such as its means"
    expect_same([_fitted(group) for group in dataset.groups], [_fitted(group) for group in other.groups], law)
    trained = _everything(scene, dataset, ("train",)), _everything(scene, other, ("train",))
    expect_same(*trained, "data that are not trained on change the training windows")


def _fitted(group: Any) -> str:
    return str({task: target.mean for task, target in group.targets.items()})


@check("dataset")
def means_are_those_of_training(case: Case) -> None:
    """`TargetSpec.mean` is the mean over the valid training values: class frequencies for classes."""
    scene, dataset = _open(case)
    for source in scene.sources(dataset, "train", 0):
        if not source.num_items:
            continue
        group = source.gather(np.arange(source.num_items, dtype=np.int64))
        for task, target in source.group.targets.items():
            if not target.mean:
                continue
            values = group.targets[task].double().numpy()
            if target.kind == "classes":
                values = np.eye(target.size)[values[group.mask.numpy()].astype(int)]
                expected = values.mean(0)
            else:
                mask = np.broadcast_to(group.mask.numpy(), values.shape)
                axes = tuple(range(values.ndim - 1))
                with np.errstate(invalid="ignore"):
                    expected = np.where(mask, values, 0.0).sum(axes) / mask.sum(axes)
            found = np.asarray(target.mean, dtype=np.float64)
            law = f"group {source.group.name!r}: the mean of {task!r} is not that of its valid training values"
            expect_same(expected, found, law, rtol=1e-6, atol=1e-9)


@check("dataset")
def sources_can_be_sent_and_shared(case: Case) -> None:
    """A source is the same after pickling, and read from several threads at once."""
    scene, dataset = _open(case)
    for source in _filled(scene, dataset):
        expected = scene.read(source)
        try:
            copy = pickle.loads(pickle.dumps(source))  # noqa: S301 - our own, a moment ago
        except (pickle.PicklingError, TypeError, AttributeError) as error:
            raise AssertionError(f"a source cannot be sent to another process: {error}") from error
        expect_same(expected, scene.read(copy), "a pickled source reads otherwise")
        with ThreadPoolExecutor(max_workers=4) as pool:
            for found in pool.map(lambda _, own=source: scene.read(own), range(6)):
                expect_same(expected, found, "read from several threads at once, windows are other ones")


def _filled(scene: DatasetScene, dataset: Dataset) -> Iterator[Source]:
    for split in scene.splits:
        yield from (source for source in scene.sources(dataset, split) if source.num_items)


@check("dataset")
def unknown_names_are_refused(case: Case) -> None:
    """A split that does not exist is the user's mistake; a score that does not exist is a KeyError."""
    scene, dataset = _open(case)
    word = "no_such_split"
    try:
        dataset.sources(word, 0)
    except UserError as error:
        assert word in str(error), f"the error does not name the split: {error}"
    except Exception as error:
        raise AssertionError(
            f"a split that does not exist raises {type(error).__name__}: raise a DataError that names the splits"
        ) from error
    else:
        raise AssertionError(f"there are sources of the split {word!r}: raise a DataError that names the splits")
    source = next(_filled(scene, dataset))
    try:
        source.score("no_such_score")
    except KeyError:
        return
    raise AssertionError("a score that does not exist is given: raise a KeyError with the known names")


@check("dataset")
def summary_has_a_row_per_group(case: Case) -> None:
    """`summary` has a row per group, with the columns of its table."""
    _, dataset = _open(case)
    table = dataset.summary()
    assert len(table.rows) == len(dataset.groups), f"{len(table.rows)} rows for {len(dataset.groups)} groups"
    for group, row in zip(dataset.groups, table.rows, strict=True):
        assert tuple(row) == tuple(table.columns), f"a row has the keys {tuple(row)}, the table {table.columns}"
        assert group.name in row.values(), f"the row of group {group.name!r} does not name it"
        assert not any(isinstance(value, float) and math.isinf(value) for value in row.values()), f"infinite: {row}"
