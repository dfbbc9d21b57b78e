"""Laws of what datasets hand out: sources and windows. B windows, L predictions, T frames, N columns."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator

import numpy as np
import torch

from visioncore_engine.contracts import Dataset, Group, GroupSpec, Source
from visioncore_engine.testing.case import Case
from visioncore_engine.testing.checking import check
from visioncore_engine.testing.observed import expect_same
from visioncore_engine.testing.scenes.dataset import DatasetScene
from visioncore_engine.testing.scenes.flow import take

__all__ = [
    "order_and_repetition_are_kept",
    "sources_follow_the_groups",
    "splits_share_nothing",
    "stored_windows_stand_for_their_values",
    "weights_count_valid_values",
    "what_the_model_sees_is_finite",
    "windows_fit_their_group",
]


def _open(case: Case) -> tuple[DatasetScene, Dataset]:
    scene = case.scene_of()
    assert isinstance(scene, DatasetScene), f"the scene of {case} must be a {DatasetScene.__name__}"
    dataset: Dataset = case.build(scene)
    return scene, dataset


def _sources(case: Case) -> Iterator[tuple[str, Source]]:
    scene, dataset = _open(case)
    for split in scene.splits:
        yield from ((split, source) for source in scene.sources(dataset, split) if source.num_items)


def _all(source: Source) -> Group:
    return source.gather(np.arange(source.num_items, dtype=np.int64))


@check("dataset")
def sources_follow_the_groups(case: Case) -> None:
    """Groups have a name each; every split has one source per group, in their order, and the same when asked again."""
    scene, dataset = _open(case)
    names = [group.name for group in dataset.groups]
    assert names, "there are no groups"
    assert len(set(names)) == len(names), f"two groups have one name: {', '.join(names)}"
    lengths = set()
    for split in scene.splits:
        sources = scene.sources(dataset, split)
        found = [source.group.name for source in sources]
        assert found == names, f"sources of split {split!r} are of {', '.join(found)}, not of {', '.join(names)}"
        for source, again, spec in zip(sources, scene.sources(dataset, split), dataset.groups, strict=True):
            assert str(source.group) == str(spec), f"source of {spec.name!r} describes its group otherwise"
            assert source.num_items == again.num_items, f"asked again, {spec.name!r} has another number of windows"
            assert source.num_items >= 0, f"{spec.name!r} has {source.num_items} windows"
            assert split != "train" or source.num_items, f"{spec.name!r} has no window to train on"
            lengths.add(source.frames_per_item)
    assert len(lengths) == 1, f"windows of one run are equally long, here {lengths} predictions"


@check("dataset")
def windows_fit_their_group(case: Case) -> None:
    """Shapes, dtypes and ranges of inputs, targets, mask, side inputs and tags are what the group declares."""
    scene, dataset = _open(case)
    for split in scene.splits:
        for index, source in enumerate(scene.sources(dataset, split)):
            if source.num_items:
                items = np.arange(min(5, source.num_items), dtype=np.int64)
                _expect_fit(source.gather(items), source, index, items, scene.history)


def _expect_fit(group: Group, source: Source, index: int, items: np.ndarray, history: int) -> None:
    spec, num = source.group, len(items)
    where = f"group {spec.name!r}"
    assert (group.name, group.index) == (spec.name, index), f"{where} says that it is {group.name!r}, {group.index}"
    expect_same(torch.from_numpy(items), group.items, f"{where}: `items` are not the windows that were asked for")
    channels, *space = spec.input_shape
    time = () if spec.dt is None else (history + source.frames_per_item,)
    length = () if spec.dt is None else (source.frames_per_item,)
    _expect(group.inputs, (num, channels, *time, *space), spec.input_dtype, f"{where}: inputs")
    assert list(group.targets) == list(spec.targets), f"{where}: targets {list(group.targets)} are not those declared"
    assert list(group.side) == list(spec.side), f"{where}: side inputs {list(group.side)} are not those declared"
    assert group.mask.dtype == torch.bool, f"{where}: the mask is {group.mask.dtype}"
    for name, size in spec.side.items():
        _expect(group.side[name], (num, *time, size), torch.float32, f"{where}: side input {name!r}")
    for name, tag in group.tags.items():
        _expect(tag, (num, *length), torch.int64, f"{where}: tag {name!r}")
        bound = spec.tags.get(name)
        assert bound is not None, f"{where}: tag {name!r} is not declared"
        low, high = int(tag.min()), int(tag.max())
        assert -1 <= low <= high < bound, (
            f"{where}: tag {name!r} reaches from {low} to {high}, declared are -1 … {bound - 1}"
        )
    _expect_targets(group, spec, num, length, where)


def _expect(tensor: torch.Tensor, shape: tuple[int, ...], dtype: torch.dtype, where: str) -> None:
    found = tuple(tensor.shape), tensor.dtype
    assert found == (shape, dtype), f"{where} are {found[1]} {found[0]}, declared is {dtype} {shape}"


def _expect_targets(group: Group, spec: GroupSpec, num: int, length: tuple[int, ...], where: str) -> None:
    for task, target in spec.targets.items():
        value = group.targets[task]
        shape = (num, *length) if target.kind == "classes" else (num, *length, target.size)
        assert tuple(value.shape) == shape, f"{where}: target {task!r} has shape {tuple(value.shape)}, not {shape}"
        fits = group.mask.ndim == value.ndim and all(
            size in (1, wanted) for size, wanted in zip(group.mask.shape, value.shape, strict=True)
        )
        assert fits, f"{where}: a mask of shape {tuple(group.mask.shape)} does not fit {task!r}"
        valid = value[group.mask.expand_as(value)]
        assert bool(valid.double().isfinite().all()), f"{where}: valid values of {task!r} are not finite"
        if target.kind == "classes" and len(valid):
            assert 0 <= int(valid.min()) <= int(valid.max()) < target.size, (
                f"{where}: a class outside 0 … {target.size - 1}"
            )
        if target.kind in ("counts", "rates") and len(valid):
            assert float(valid.min()) >= 0, f"{where}: negative {target.kind}"
        for given in (target.ids, target.mean):
            assert len(given) in (0, target.size), f"{where}: {len(given)} ids or means for {target.size} of {task!r}"


@check("dataset")
def what_the_model_sees_is_finite(case: Case) -> None:
    """Inputs and side inputs are finite, also where nothing is valid: masks cover targets, not what models compute."""
    for split, source in _sources(case):
        group = _all(source)
        for name, value in {"inputs": group.inputs, **group.side}.items():
            rows = torch.nonzero(~value.isfinite().flatten(1).all(1)).flatten().tolist()
            assert not rows, (
                f"{name} of {source.group.name!r} are not finite in {len(rows)} windows of {split!r}, the first is "
                f"{rows[0]}: leave the windows out, or write zeros and mask what is predicted from them"
            )


@check("dataset")
def stored_windows_stand_for_their_values(case: Case) -> None:
    """Windows read as they are stored are, once decoded, those of `gather` to the bit; nothing is missing in them."""
    for where, source in _sources(case):
        stored: Callable[[np.ndarray], Group] | None = getattr(source, "stored", None)
        if stored is None:
            continue  # then loaders use `gather`
        items = np.arange(source.num_items)
        group = stored(items)
        expect_same(vars(source.gather(items)), vars(group.decoded()), f"{where}: `stored` and `gather` differ")
        assert (group.encoding is None) == (group.inputs.dtype == torch.float32), (
            f"{where}: inputs of {group.inputs.dtype} need an `Encoding`, values of float32 none"
        )


@check("dataset")
def weights_count_valid_values(case: Case) -> None:
    """`weights` counts each window's predictions with a valid value, `column_weights` each column's valid values."""
    for split, source in _sources(case):
        group, where = _all(source), f"{source.group.name!r} in {split!r}"
        mask = group.mask.numpy()
        predictions = mask.any(-1).sum(-1) if mask.ndim == 3 else mask.reshape(len(mask), -1).any(-1).astype(int)
        weights = source.weights()
        assert weights.dtype == np.float64, f"weights of {where} are {weights.dtype}"
        expect_same(
            predictions.astype(np.float64), weights, f"weights of {where} are not the numbers of valid predictions"
        )
        for task, target in group.targets.items():
            columns = source.column_weights()[task]
            assert columns.dtype == np.float64, f"column_weights of {where} are {columns.dtype}"
            if target.ndim == mask.ndim == 1:
                expected = np.array([mask.sum()], dtype=np.float64)
            else:
                wide = np.broadcast_to(mask, target.shape)
                expected = wide.sum(tuple(range(wide.ndim - 1))).astype(np.float64)
            law = f"column_weights of {where} are not the numbers of valid values of {task!r}"
            expect_same(expected, columns, law)


@check("dataset")
def order_and_repetition_are_kept(case: Case) -> None:
    """Windows come in the order asked for, as often as asked for, and are the same beside any others."""
    for _, source in _sources(case):
        every, last = _all(source), source.num_items - 1
        for rows in ([last, 0, last // 2, 0], [last]):
            found = source.gather(np.array(rows, dtype=np.int64))
            expect_same(take(every, rows), found, f"windows {rows} of {source.group.name!r} are not those asked for")


@check("dataset")
def splits_share_nothing(case: Case) -> None:
    """No input frame (or example) of one split is seen in another, not even as history."""
    scene, dataset = _open(case)
    if not scene.distinct:
        return  # equal frames are no sign of sharing where the data repeat themselves
    seen: dict[tuple[str, bytes], str] = {}
    for split in scene.splits:
        new: dict[tuple[str, bytes], str] = {}
        for source in scene.sources(dataset, split):
            if source.num_items:
                new |= {(source.group.name, content): split for content in _contents(_all(source), source.group)}
        shared = [(name, seen[name, content]) for name, content in new if (name, content) in seen]
        assert not shared, (
            f"{len(shared)} input frames of {shared[0][0]!r} are seen in {split!r} and in {shared[0][1]!r}: windows, "
            "with their history, must stay in their split"
        )
        seen |= new


def _contents(group: Group, spec: GroupSpec) -> Iterator[bytes]:
    """Hash of every frame that is not uniform: zeros stand in for frames that nobody needs."""
    frames = group.inputs.transpose(1, 2).flatten(0, 1) if spec.dt is not None else group.inputs
    for frame in frames.flatten(1).numpy():
        if frame.size < 2 or frame.min() < frame.max():
            yield hashlib.sha256(np.ascontiguousarray(frame).tobytes()).digest()
