from __future__ import annotations

import os
import pickle
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from visioncore_common.examples.arrays import arrays
from visioncore_common.options.dataset import ArraysOptions
from visioncore_engine.contracts import DatasetFacts
from visioncore_engine.errors import ConfigError, DataError


def example_arrays(num=30, shape=(4, 5), seed=0, num_classes=3):
    draw = np.random.default_rng(seed)
    labels = draw.permutation(np.arange(num) % num_classes)
    return {
        "inputs": draw.normal(3.0, 2.0, (num, *shape)),
        "labels": labels.astype(np.int16),
        "split": np.repeat([0, 1, 2], [num - 10, 5, 5]).astype(np.int8),
    }


def write(folder, name="a.npz", **changes):
    content = {**example_arrays(), **changes}
    folder.mkdir(parents=True, exist_ok=True)
    np.savez(folder / name, **{key: value for key, value in content.items() if value is not None})


def open_arrays(root, state=None, **options):
    options = {"files": "*.npz", "axes": "nhw", **options}
    return arrays(ArraysOptions(root=str(root), **options), DatasetFacts(0, state))


def everything(source):
    return source.gather(np.arange(source.num_items))


def test_examples_labels_and_splits_are_those_of_the_file(tmp_path):
    write(tmp_path)
    stored = example_arrays()
    dataset = open_arrays(tmp_path, standardize="none")
    (spec,) = dataset.groups
    assert (spec.name, spec.labels, spec.input_shape, spec.dt) == ("a", {"files": "a"}, (1, 4, 5), None)
    for number, split in enumerate(("train", "validation", "test")):
        (source,) = dataset.sources(split, 0)
        group, rows = everything(source), stored["split"] == number
        assert group.inputs.dtype == torch.float32
        assert np.allclose(group.inputs.numpy()[:, 0], stored["inputs"][rows])
        assert group.targets["class"].tolist() == stored["labels"][rows].tolist()
        assert group.targets["class"].dtype == torch.int64
        assert group.mask.all()
        assert group.items.tolist() == list(range(source.num_items))
        assert source.weights().sum() == source.column_weights()["class"].item() == rows.sum()


def test_rows_come_in_the_order_that_was_asked_for(tmp_path):
    write(tmp_path)
    (source,) = open_arrays(tmp_path).sources("train", 0)
    whole, items = everything(source), np.array([7, 0, 7, 3])
    group = source.gather(items)
    assert torch.equal(group.inputs, whole.inputs[items])
    assert torch.equal(group.targets["class"], whole.targets["class"][items])
    assert group.items.tolist() == items.tolist()


@pytest.mark.parametrize(
    ("axes", "shape", "expected"),
    [
        ("nhw", (30, 4, 5), (1, 4, 5)),
        ("nhwc", (30, 4, 5, 3), (3, 4, 5)),
        ("nchw", (30, 3, 4, 5), (3, 4, 5)),
        ("wnh", (5, 30, 4), (1, 4, 5)),
        ("nc", (30, 6), (6, 1, 1)),
    ],
)
def test_axes_are_moved_to_their_place(axes, shape, expected, tmp_path):
    values = np.arange(np.prod(shape), dtype=np.float32).reshape(shape)
    write(tmp_path, inputs=values)
    dataset = open_arrays(tmp_path, axes=axes, standardize="none")
    assert dataset.groups[0].input_shape == expected
    full = values.transpose([axes.index(axis) for axis in "nchw" if axis in axes]).reshape(30, *expected)
    assert np.array_equal(everything(dataset.sources("train", 0)[0]).inputs.numpy(), full[:20])


@pytest.mark.parametrize("mode", ["channel", "pixel"])
def test_l9_standardisation_knows_only_labelled_training_examples(mode, tmp_path):
    stored = example_arrays()
    stored["labels"][3] = -1
    stored["inputs"][3] = np.nan  # a training example without a label
    stored["inputs"][20:] = 1e6  # validation and test
    write(tmp_path, **stored)
    dataset = open_arrays(tmp_path, standardize=mode)
    group = everything(dataset.sources("train", 0)[0])
    kept = group.inputs[group.mask].double()
    dims = (0, 2, 3) if mode == "channel" else 0
    assert kept.mean(dim=dims).abs().max() < 1e-6
    assert (kept.std(dim=dims, correction=0) - 1).abs().max() < 1e-6


def test_a_pixel_that_never_changes_is_not_divided_by_zero(tmp_path):
    stored = example_arrays()
    stored["inputs"][:, 0, 0] = 7.0
    write(tmp_path, **stored)
    group = everything(open_arrays(tmp_path, standardize="pixel").sources("train", 0)[0])
    assert torch.isfinite(group.inputs).all()
    assert (group.inputs[:, 0, 0, 0] == 0).all()


@given(value=st.sampled_from([float("nan"), float("inf"), 1e9, 0.0]))
@settings(max_examples=4, deadline=None)
def test_l1_an_example_without_a_label_is_never_seen(value, tmp_path_factory):
    folder = tmp_path_factory.mktemp("data")
    stored = example_arrays()
    stored["labels"][[2, 21]] = -1
    stored["inputs"][[2, 21]] = value
    write(folder, **stored)
    dataset = open_arrays(folder)
    group = everything(dataset.sources("train", 0)[0])
    assert group.mask.tolist() == [number != 2 for number in range(20)]
    assert (group.inputs[2] == 0).all()
    assert dataset.state()["a"]["mean"].isfinite().all()
    assert dataset.sources("train", 0)[0].weights().sum() == 19
    assert dataset.summary().rows[0]["unlabelled"] == 2


def test_class_frequencies_are_those_of_the_labelled_training_examples(tmp_path):
    labels = np.array([0] * 15 + [1] * 4 + [-1] + [2] * 10)
    write(tmp_path, labels=labels)
    target = open_arrays(tmp_path).groups[0].targets["class"]
    assert (target.kind, target.size, target.columns) == ("classes", 3, "")
    assert target.mean == pytest.approx((15 / 19, 4 / 19, 0.0))
    assert target.ids == ("0", "1", "2")


def test_each_file_is_a_group_or_all_are_one(tmp_path):
    for name in ("b", "a"):
        write(tmp_path, f"{name}.npz", **example_arrays(seed=ord(name)))
    each = open_arrays(tmp_path, grouping="speakers")
    assert [(group.name, group.labels) for group in each.groups] == [("a", {"speakers": "a"}), ("b", {"speakers": "b"})]
    assert [everything(source).index for source in each.sources("test", 0)] == [0, 1]
    one = open_arrays(tmp_path, groups="single", standardize="none")
    assert [group.name for group in one.groups] == ["all"]
    expected = torch.cat([everything(source).targets["class"] for source in each.sources("test", 0)])
    assert torch.equal(everything(one.sources("test", 0)[0]).targets["class"], expected)


def test_a_folder_of_npy_files_is_mapped_and_equal_to_an_archive(tmp_path):
    write(tmp_path)
    (tmp_path / "b").mkdir()
    for key, value in example_arrays().items():
        np.save(tmp_path / "b" / f"{key}.npy", value)
    archive, folder = open_arrays(tmp_path), open_arrays(tmp_path, files="b")
    assert folder.groups[0].name == "b"
    assert torch.equal(*(everything(data.sources("train", 0)[0]).inputs for data in (archive, folder)))
    assert list(archive.fingerprints().values()) == list(folder.fingerprints().values())


def test_fingerprints_see_every_value(tmp_path):
    prints = set()
    for number, (key, place) in enumerate([("inputs", (29, 3, 4)), ("labels", 0), ("split", 0), (None, None)]):
        stored = example_arrays()
        if key:
            stored[key][place] += 1
        write(tmp_path / str(number), **stored)
        prints |= set(open_arrays(tmp_path / str(number)).fingerprints().values())
    assert len(prints) == 4


def test_a_trained_models_state_replaces_the_fit(tmp_path):
    write(tmp_path / "one")
    write(tmp_path / "two", inputs=example_arrays()["inputs"] * 5)
    first = open_arrays(tmp_path / "one")
    second = open_arrays(tmp_path / "two", state=first.state())
    one, two = (everything(data.sources("test", 0)[0]).inputs for data in (first, second))
    mean, deviation = (first.state()["a"][key].item() for key in ("mean", "deviation"))
    assert torch.allclose(two, one * 5 + 4 * mean / deviation, atol=1e-4)
    with pytest.raises(DataError, match="trained without this group; it knows other"):
        open_arrays(tmp_path / "one", state={"other": first.state()["a"]})


def test_the_root_comes_from_the_environment_where_it_is_not_written(tmp_path, monkeypatch):
    write(tmp_path)
    monkeypatch.setenv("VISIONCORE_DATA", str(tmp_path))
    assert open_arrays("").groups[0].name == "a"
    monkeypatch.delenv("VISIONCORE_DATA")
    with pytest.raises(ConfigError, match=r"data\.root.*VISIONCORE_DATA"):
        open_arrays("")


def test_a_model_with_history_is_refused(tmp_path):
    write(tmp_path)
    with pytest.raises(ConfigError, match="24 earlier frames"):
        open_arrays(tmp_path).sources("train", 24)


def test_a_split_that_is_not_there_is_the_users_mistake(tmp_path):
    write(tmp_path)
    with pytest.raises(DataError, match=r"split: these data have the splits train, validation, test \(got repeats\)"):
        open_arrays(tmp_path).sources("repeats", 0)


def test_sources_are_picklable_and_say_that_they_have_no_scores(tmp_path):
    write(tmp_path)
    (source,) = open_arrays(tmp_path).sources("train", 0)
    copy = pickle.loads(pickle.dumps(source))
    assert torch.equal(everything(copy).inputs, everything(source).inputs)
    with pytest.raises(KeyError, match="contrast"):
        source.score("contrast")


class Malicious:
    def __reduce__(self):
        return os.mkdir, ("executed",)


def changed(key, place, value, dtype=None):
    array = example_arrays()[key].astype(dtype) if dtype else example_arrays()[key]
    array[place] = value
    return {key: array}


BAD = {
    "missing array": ({"split": None}, {}, r"a\.npz: split: no such array; there are inputs, labels"),
    "misspelt key": ({}, {"labels": "label"}, r"label: no such array.*did you mean 'labels'"),
    "label too large": (
        changed("labels", 4, 3),
        {"classes": ("x", "y", "z")},
        r"outside -1 … 2 \(got 3 at example 4\)",
    ),
    "label too small": (changed("labels", 4, -2), {}, r"labels: 1 values outside .*-2 at example 4"),
    "split value": (changed("split", [1, 2], 7), {}, r"split: 2 values outside 0 … 2 \(got 7 at example 1\)"),
    "labels of numbers": ({"labels": example_arrays()["labels"] * 1.0}, {}, "one integer per example.*float64"),
    "labels of text": ({"labels": example_arrays()["labels"].astype(str)}, {}, "one integer per example"),
    "lengths": ({"labels": np.zeros(28, int)}, {}, "labels: 30 examples, but 28 values"),
    "nan": (changed("inputs", (5, 0, 0), np.nan), {}, "inputs: 1 labelled examples.*not finite.*first at example 5"),
    "inf": (changed("inputs", (25, 3, 4), -np.inf), {}, "first at example 25"),
    "axes": ({}, {"axes": "nchw"}, r"`axes` 'nchw' names 4 axes \(got shape \(30, 4, 5\)\)"),
    "text": ({"inputs": np.full((30, 4, 5), "x")}, {}, "inputs: numbers are needed"),
    "no training label": ({"split": np.full(30, 2)}, {}, "a: data: no labelled training example"),
    "one class": ({"labels": np.zeros(30, int)}, {}, "one class only"),
    "pickled": ({"inputs": np.array([Malicious()] * 30, dtype=object)}, {}, "inputs: pickled objects are refused"),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_arrays_are_named_with_their_file(case, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    changes, options, message = BAD[case]
    write(tmp_path, **changes)
    with pytest.raises(DataError, match=message):
        open_arrays(tmp_path, **options)
    assert not (tmp_path / "executed").exists()


def test_files_that_are_no_archives_are_named(tmp_path):
    write(tmp_path)
    whole = (tmp_path / "a.npz").read_bytes()
    bad = {"cut": whole[: len(whole) // 2], "empty": b"", "text": b"hello", "pickle": pickle.dumps({"a": 1})}
    for name, content in bad.items():
        (tmp_path / f"{name}.npz").write_bytes(content)
        with pytest.raises(DataError, match=rf"{name}\.npz: cannot be read: cut short, or no NumPy file"):
            open_arrays(tmp_path, files=f"{name}.npz")
    (tmp_path / "folder").mkdir()
    for key, value in example_arrays().items():
        np.save(tmp_path / "folder" / f"{key}.npy", value)
    (tmp_path / "folder" / "split.npy").write_bytes(b"\x93NUMPY")
    with pytest.raises(DataError, match="folder: split: cannot be read"):
        open_arrays(tmp_path, files="folder")
    np.save(tmp_path / "alone.npy", np.zeros(3))
    with pytest.raises(DataError, match="one array alone"):
        open_arrays(tmp_path, files="alone.npy")


def test_all_bad_files_are_named_in_one_go(tmp_path):
    write(tmp_path, "a.npz", split=None)
    write(tmp_path, "b.npz")
    write(tmp_path, "c.npz", **changed("labels", 0, -5))
    with pytest.raises(DataError) as caught:
        open_arrays(tmp_path)
    assert [problem.where.rsplit(os.sep, 1)[-1] for problem in caught.value.problems] == ["a.npz", "c.npz"]


def test_missing_files_and_folders_are_named(tmp_path):
    write(tmp_path / "data")
    with pytest.raises(DataError, match=r"no file matches \(got 'b\*\.npz'\); the folder holds a\.npz"):
        open_arrays(tmp_path / "data", files=("a.npz", "b*.npz"))
    with pytest.raises(DataError, match="no file matches"):
        open_arrays(tmp_path / "data", files=str(tmp_path / "data" / "a.npz"))
    with pytest.raises(DataError, match="no such folder"):
        open_arrays(tmp_path / "nowhere")
    with pytest.raises(DataError, match="no file is named"):
        open_arrays(tmp_path / "data", files=())


def test_d08_two_groups_with_one_name_are_refused(tmp_path):
    write(tmp_path / "x")
    write(tmp_path / "y")
    with pytest.raises(DataError, match="two groups named 'a'"):
        open_arrays(tmp_path, files="*/a.npz")
    assert open_arrays(tmp_path, files="*/a.npz", groups="single").groups[0].name == "all"


def test_files_of_one_group_have_one_shape(tmp_path):
    write(tmp_path, "a.npz")
    write(tmp_path, "b.npz", **example_arrays(shape=(4, 6)))
    with pytest.raises(DataError, match=r"one shape.*\(1, 4, 5\), \(1, 4, 6\)"):
        open_arrays(tmp_path, groups="single")


@pytest.mark.parametrize(
    "options", [{"axes": "hw"}, {"axes": "nhh"}, {"axes": "nxy"}, {"classes": ("a", "a")}, {"classes": ("a",)}]
)
def test_impossible_options_are_refused(options):
    with pytest.raises(ValueError, match=r"axes|classes"):
        ArraysOptions(files="*.npz", **options)


@pytest.fixture
def recordings():
    """Folder of the real recordings: $VISIONCORE_DATA, else ``shared/data`` beside the checkout."""
    folder = Path(os.environ.get("VISIONCORE_DATA") or Path(__file__).parents[3] / "shared" / "data")
    if not (folder / "sign_digits").is_dir():
        pytest.skip(f"no real recordings in {folder}; set VISIONCORE_DATA")
    return folder


@pytest.mark.real_data
def test_photographs_of_signs_are_one_group(recordings):
    dataset = open_arrays(recordings, files="sign_digits/sign_digits.npz", inputs="images", groups="single")
    (spec,) = dataset.groups
    assert (spec.input_shape, spec.targets["class"].size) == ((1, 64, 64), 10)
    sizes = [dataset.sources(split, 0)[0].num_items for split in ("train", "validation", "test")]
    assert sizes == [1462, 200, 400]


@pytest.mark.real_data
def test_each_speaker_is_a_group_on_its_own_scale(recordings):
    dataset = open_arrays(recordings, files="spoken_digits/*.npz", inputs="spec", grouping="speakers")
    assert [group.labels["speakers"] for group in dataset.groups] == [
        "george",
        "jackson",
        "lucas",
        "nicolas",
        "theo",
        "yweweler",
    ]
    for source in dataset.sources("train", 0):
        inputs = everything(source).inputs.double()
        assert inputs.shape == (400, 1, 64, 32)
        assert abs(float(inputs.mean())) < 1e-6
        assert float(inputs.std(correction=0)) == pytest.approx(1.0, abs=1e-6)
