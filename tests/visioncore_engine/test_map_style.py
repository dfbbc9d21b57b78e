"""Map-style datasets as sources, and sources as map-style datasets."""

from __future__ import annotations

import pickle

import numpy as np
import pytest
import torch
from torch.utils.data import DataLoader, Dataset

from visioncore_engine.contracts import GroupSpec, TargetSpec
from visioncore_engine.data import MapDataset, MapSource
from visioncore_engine.errors import DataError

GROUP = GroupSpec("g", {}, (1, 2, 2), {"y": TargetSpec("counts", 3, "units")}, side={"run": 2}, tags={"frame": 99})
LABELLED = GroupSpec("g", {}, (1, 2, 2), {"label": TargetSpec("classes", 4)})


class Clips(Dataset):
    """Clips of 5 frames with 2 predictions of 3 units; where nothing counts there are only NaN."""

    def __init__(self, num=20):
        rng = np.random.default_rng(0)
        self.inputs = rng.normal(size=(num, 1, 5, 2, 2)).astype(np.float32)
        self.mask = rng.random((num, 2, 3)) < 0.7
        self.mask[4] = False
        self.inputs[4] = np.nan
        self.y = np.where(self.mask, rng.poisson(2.0, (num, 2, 3)), np.nan).astype(np.float32)
        self.run = rng.normal(size=(num, 5, 2)).astype(np.float32)
        self.asked = []

    def __len__(self):
        return len(self.y)

    def __getitem__(self, i):
        self.asked.append(i)
        frame = torch.tensor([2 * i, 2 * i + 1])
        return {"inputs": self.inputs[i], "y": self.y[i], "mask": self.mask[i], "run": self.run[i], "frame": frame}


class Batched(Clips):
    def __getitem__(self, i):
        raise AssertionError("asked one by one")

    def __getitems__(self, numbers):
        return [Clips.__getitem__(self, i) for i in numbers]


class Labelled(Dataset):
    def __len__(self):
        return 7

    def __getitem__(self, i):
        return {"inputs": torch.full((1, 2, 2), float(i)), "label": i % 4, "mask": i != 3}


@pytest.mark.parametrize("kind", [Clips, Batched])
def test_a_map_style_dataset_is_a_source(kind):
    data = kind()
    source = MapSource(GROUP, 0, data, frames_per_item=2)
    items = np.array([7, 4, 0])
    group = source.gather(items)
    assert group.inputs.shape == (3, 1, 5, 2, 2)
    np.testing.assert_array_equal(group.items, items)
    np.testing.assert_array_equal(group.tags["frame"][:, 0], 2 * items)
    np.testing.assert_array_equal(group.mask, data.mask[items])
    np.testing.assert_array_equal(group.targets["y"], np.nan_to_num(data.y[items]))
    np.testing.assert_array_equal(group.inputs, np.nan_to_num(data.inputs[items]))  # L1
    np.testing.assert_array_equal(source.weights(), data.mask.any(-1).sum(1))
    np.testing.assert_array_equal(source.column_weights()["y"], data.mask.sum((0, 1)))
    again = pickle.loads(pickle.dumps(source)).gather(items)
    assert torch.equal(again.inputs, group.inputs)


def test_examples_have_one_mask_and_no_columns():
    source = MapSource(LABELLED, 0, Labelled())
    group = source.gather(np.arange(7))
    assert group.mask.tolist() == [True] * 3 + [False] + [True] * 3
    assert group.targets["label"].tolist() == [0, 1, 2, 0, 0, 1, 2]
    assert group.inputs[:, 0, 0, 0].tolist() == [0, 1, 2, 0, 4, 5, 6]
    np.testing.assert_array_equal(source.weights(), [1, 1, 1, 0, 1, 1, 1])
    np.testing.assert_array_equal(source.column_weights()["label"], [6])
    with pytest.raises(KeyError, match="no scores"):
        source.score("contrast")


def test_a_field_that_is_not_there_is_named():
    with pytest.raises(DataError, match=r"g: item 0 of the dataset has no run, frame"):
        MapSource(GROUP, 0, [{"inputs": np.zeros((1, 5, 2, 2)), "y": np.zeros((2, 3))}]).gather(np.array([0]))


@pytest.mark.parametrize("workers", [0, 1])
def test_a_stock_loader_reads_whole_batches_of_sources(workers):
    sources = [MapSource(GROUP, 0, Clips(6), frames_per_item=2), MapSource(GROUP, 1, Clips(9), frames_per_item=2)]
    dataset = MapDataset(sources)
    loader = DataLoader(dataset, batch_size=4, collate_fn=MapDataset.collate, num_workers=workers)
    batches = list(loader)
    assert [len(batch) for batch in batches] == [4, 4, 4, 3]
    assert [[group.index for group in batch.groups] for batch in batches] == [[0], [0, 1], [1], [1]]
    read = torch.cat([group.items for batch in batches for group in batch.groups])
    assert read.tolist() == [*range(6), *range(9)]
    torch.testing.assert_close(batches[1].groups[1].inputs, sources[1].gather(np.arange(2)).inputs)
    assert len(list(dataset)) == len(dataset) == 15
