"""The dataset `sheets`, its reader `csv_sheet` and its preparation `z_score`."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from example_lab.dataset import Sheets
from example_lab.options import CsvSheetOptions, SheetsOptions, ZScoreOptions
from example_lab.preparation import ZScore
from example_lab.reader import CsvSheet
from example_lab.sheet import Sheet
from visioncore_engine.component import Component
from visioncore_engine.contracts import DatasetFacts, PreparationFacts, ReaderFacts
from visioncore_engine.errors import ConfigError, DataError
from visioncore_engine.options import Choice, choose

TEXT = "a,b,y,z,split\n1,2,3,4,0\n5,6,,8,0\n,1,9,9,0\n2,2,2,2,1\n3,3,3,3,2\n"
READER = choose(
    "reader", Component(name="csv_sheet", summary="", build="example_lab.reader:CsvSheet"), CsvSheetOptions()
)
Z_SCORE = choose(
    "preparation",
    Component(name="z_score", summary="", build="example_lab.preparation:ZScore"),
    ZScoreOptions(of=("a", "b")),
)


def read(folder: Path, text: str = TEXT, **options: str) -> Sheet:
    path = folder / "m1.csv"
    path.write_text(text, encoding="utf-8")
    return CsvSheet(CsvSheetOptions(**options), ReaderFacts(path)).read()


def sheets(folder: Path, prepare: tuple[Choice, ...] = (), state: dict[str, object] | None = None) -> Sheets:
    read(folder)
    options = SheetsOptions(folder=str(folder), predict=("y", "z"), reader=READER, prepare=prepare)
    return Sheets(options, DatasetFacts(seed=1, state=state))


def test_a_file_is_read_cell_by_cell(tmp_path: Path) -> None:
    sheet = read(tmp_path, "a;b\n1.5;?\n-2;3\n", delimiter=";", missing=("?",))
    assert (sheet.name, sheet.columns) == ("m1", ("a", "b"))
    np.testing.assert_array_equal(sheet.values, [[1.5, np.nan], [-2.0, 3.0]])


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a,b\n1\n", r"m1\.csv:2: a line has 2 cells \(got 1\)"),
        ("a,b\n1,2\n3,x\n", r"m1\.csv:3: column 'b' holds finite numbers.*got 'x'"),
        ("a,b\n1,inf\n", r"m1\.csv:2: .*got 'inf'"),
        ("a,a\n", r"m1\.csv:1: .*no name comes twice"),
        ("", r"m1\.csv: the file ends within a line"),
        ("a,b\n1,2\n3,4", r"m1\.csv: the file ends within a line: it may be cut short"),
        ("\n", r"m1\.csv:1: "),
    ],
)
def test_a_damaged_line_is_named(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(DataError, match=message):
        read(tmp_path, text)


def test_moments_come_from_training_rows_and_numbers_only(tmp_path: Path) -> None:
    sheet = read(tmp_path)
    train = np.array([True, True, True, False, False])
    poisoned = sheet.values.copy()
    poisoned[~train] = np.nan
    z_score = ZScore(ZScoreOptions(of=("a", "y")), PreparationFacts(group="m1"))
    state = z_score.fit(sheet.with_values(poisoned), train)
    assert (
        state
        == z_score.fit(sheet, train)
        == {
            "a": {"mean": 3.0, "deviation": 2.0},
            "y": {"mean": 6.0, "deviation": 3.0},
        }
    )
    np.testing.assert_array_equal(z_score.apply(sheet, state).values[:, 0], [-1, 1, np.nan, -0.5, 0])
    np.testing.assert_array_equal(z_score.apply(sheet, state).values[:, 1], sheet.values[:, 1])


def test_what_cannot_be_scaled_or_found_is_named(tmp_path: Path) -> None:
    flat = Sheet("m1", ("flat", "b"), np.array([[1.0, 1.0], [1.0, 2.0]]), "m1.csv")
    with pytest.raises(DataError, match=r"m1\.csv: flat: the column does not vary"):
        ZScore(ZScoreOptions(), PreparationFacts(group="m1")).fit(flat, np.ones(2, dtype=bool))
    with pytest.raises(DataError, match=r"got 'flut'\); did you mean 'flat'"):
        flat.places(["flut"], "prepare.z_score.of")


def test_a_missing_cell_masks_its_value_and_a_missing_input_its_row(tmp_path: Path) -> None:
    (source,) = sheets(tmp_path).sources("train", 0)
    group = source.gather(np.array([2, 1, 0, 1]))
    assert group.mask.tolist() == [[False, False], [False, True], [True, True], [False, True]]
    assert group.inputs.tolist() == [[0, 0], [5, 6], [1, 2], [5, 6]]
    assert torch.isfinite(group.targets["values"]).all()
    np.testing.assert_array_equal(source.weights(), [1, 1, 0])
    np.testing.assert_array_equal(source.column_weights()["values"], [1, 2])


def test_splits_hold_their_own_rows_and_the_mean_is_that_of_training(tmp_path: Path) -> None:
    data = sheets(tmp_path)
    inputs = {
        split: data.sources(split, 0)[0].gather(np.array([0])).inputs.tolist() for split in ("validation", "test")
    }
    assert inputs == {"validation": [[2, 2]], "test": [[3, 3]]}
    (group,) = data.groups
    assert group.targets["values"].ids == ("y", "z")
    assert group.targets["values"].mean == (3.0, 6.0)  # the third row lacks an input
    with pytest.raises(ConfigError, match="no earlier frames"):
        data.sources("train", 3)


def test_a_trained_model_s_preparation_is_used_again(tmp_path: Path) -> None:
    state = {"m1": {"z_score": {"a": {"mean": 0.0, "deviation": 0.5}}}}
    fitted, restored = sheets(tmp_path, (Z_SCORE,)), sheets(tmp_path, (Z_SCORE,), state)
    assert restored.state() == state
    assert fitted.state()["m1"]["z_score"]["a"] == {"mean": 3.0, "deviation": 2.0}
    assert restored.sources("validation", 0)[0].gather(np.array([0])).inputs.tolist() == [[4, 2]]
    assert restored.fingerprints() != fitted.fingerprints()
    with pytest.raises(DataError, match="trained without it, on: m2"):
        sheets(tmp_path, (Z_SCORE,), {"m2": {}})
