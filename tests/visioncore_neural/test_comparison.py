"""`visioncore compare`: pairs by name, intervals of known spread, and no comparison of what cannot be compared."""

from __future__ import annotations

import csv
import json
import math

import numpy as np
import pytest
import yaml

from visioncore_engine.cli import main
from visioncore_engine.errors import DataError, UsageError
from visioncore_neural.comparison.bootstrap import crossed, interval, nested
from visioncore_neural.comparison.conditions import conditions_of
from visioncore_neural.comparison.pair import compare
from visioncore_neural.comparison.scores import read_scores

METRIC = "bits_per_spike"


@pytest.fixture
def write(tmp_path):
    """Writes a run folder as training leaves it: scores by (session, unit)."""

    def write(name, scores, *, seed=1, named=True, width=16, content="a", frames=100, split="validation"):
        folder = tmp_path / "runs" / name
        folder.mkdir(parents=True)
        run = {
            "seed": seed,
            "model": {"name": "encoder", "channels": [width]},
            "run": {"name": "study", "dir": str(folder) if named else ""},
        }
        (folder / "run.yaml").write_text(yaml.safe_dump(run))
        sessions = dict.fromkeys(session for session, _ in scores)
        record = {
            "name": "study",
            "seed": seed,
            "finished": "now",
            "data": {key: f"{content}-{key}" for key in sessions},
        }
        (folder / "record.json").write_text(json.dumps(record))
        rows = [
            {"split": split, "session": session, "unit": unit, METRIC: value, "spikes": 7, "num_valid": frames}
            for (session, unit), value in scores.items()
        ]
        with (folder / "units.csv").open("w", newline="") as file:
            writer = csv.DictWriter(file, list(rows[0]))
            writer.writeheader()
            writer.writerows(rows)
        return folder

    return write


def units(num, *, shift=0.0, session="m1_a", seed=0):
    values = np.random.default_rng(seed).normal(size=num)
    return {(session, f"u{number}"): float(value + shift) for number, value in enumerate(values)}


def compared(*folders, **options):
    baseline, *others = conditions_of([read_scores(folder, METRIC, "validation") for folder in folders])
    return [compare(other, baseline, **options) for other in others]


def test_units_are_paired_by_name_and_not_by_position(write):
    scores = units(20)
    turned = {unit: value + 0.5 for unit, value in reversed(scores.items())}
    (pair,) = compared(write("plain", scores), write("film", turned, width=8))
    assert (pair.name, pair.baseline, pair.resampled) == ("film", "plain", "units")
    np.testing.assert_allclose(pair.differences, 0.5)
    assert (pair.mean, pair.wins) == (pytest.approx(0.5), 1.0)
    assert pair.interval == pytest.approx((0.5, 0.5))


def test_a_difference_is_the_other_less_the_baseline_and_equal_units_win_half(write):
    one = {("s", "a"): 1.0, ("s", "b"): 1.0, ("s", "c"): 1.0}
    other = {("s", "a"): 0.0, ("s", "b"): 1.0, ("s", "c"): 3.0}
    (pair,) = compared(write("one", one), write("other", other, width=8))
    assert pair.mean == pytest.approx(1 / 3)
    assert pair.wins == pytest.approx(0.5)


def test_the_draws_of_crossed_seeds_and_units_spread_as_the_formula_says():
    """Where a difference is a seed's effect plus a unit's, the variance of a draw is known in closed form."""
    draws = np.random.default_rng(3)
    seeds, own = draws.normal(size=(6, 1)), draws.normal(size=(1, 40))
    base = draws.normal(size=(6, 40))
    found = crossed(base + seeds + own, base, paired=True, num_draws=40_000, seed=1)
    assert found.mean() == pytest.approx((seeds + own).mean(), abs=0.01)
    assert found.var() == pytest.approx(seeds.var() / 6 + own.var() / 40, rel=0.05)


def test_seeds_that_are_not_shared_are_drawn_for_each_condition_by_itself():
    draws = np.random.default_rng(3)
    seeds, others = draws.normal(size=(6, 1)), draws.normal(size=(4, 1))
    found = crossed(np.tile(seeds, 5), np.tile(others, 5), paired=False, num_draws=40_000, seed=1)
    assert found.var() == pytest.approx(seeds.var() / 6 + others.var() / 4, rel=0.05)
    paired = crossed(np.tile(seeds, 5), np.tile(seeds, 5), paired=True, num_draws=50, seed=1)
    np.testing.assert_allclose(paired, 0.0, atol=1e-12)


def test_the_draws_of_units_within_seeds_spread_as_the_formula_says():
    draws = np.random.default_rng(5)
    parts = [draws.normal(loc=draws.normal(), size=size) for size in (30, 50, 80)]
    found = nested(parts, num_draws=60_000, seed=1)
    means = np.array([part.mean() for part in parts])
    within = np.array([part.var() / len(part) for part in parts])
    assert found.mean() == pytest.approx(means.mean(), abs=0.01)
    assert found.var() == pytest.approx(means.var() / 3 + within.mean() / 3, rel=0.05)


def test_an_interval_holds_the_middle_of_the_draws():
    assert interval(np.arange(1001.0)) == pytest.approx((25.0, 975.0))


def test_runs_that_differ_in_nothing_but_their_seed_are_one_condition(write):
    folders = [write(f"plain-seed{seed}", units(9, seed=seed), seed=seed) for seed in (2, 1)]
    folders += [write(f"film_s{seed}", units(9, seed=seed, shift=0.2), seed=seed, width=8) for seed in (1, 2)]
    (pair,) = compared(*folders)
    assert (pair.name, pair.baseline) == ("film", "plain")
    assert pair.resampled == "2 seeds, the same for both, and units, the same for all seeds"
    np.testing.assert_allclose(pair.differences, 0.2)
    assert len(pair.keys) == 9


def test_only_the_runs_own_seed_is_no_part_of_its_name(write):
    names = ("kernel-16", "film_s3", "seed3", "wide3", "film-seed3", "film_3")
    stems = [read_scores(write(name, units(2), seed=3), METRIC, "validation").stem for name in names]
    assert stems == ["kernel-16", "film", "seed3", "wide3", "film", "film"]


def test_runs_of_one_name_with_other_content_are_told_apart_by_it(write):
    folders = [write(f"study/{number}", units(4), width=width, named=False) for number, width in enumerate((16, 8))]
    (pair,) = compared(*folders)
    assert (pair.baseline, pair.name) == ("study model.channels=[16]", "study model.channels=[8]")


def test_recordings_that_follow_the_seed_are_compared_within_it(write):
    folders = [write(f"plain-{seed}", units(9, seed=seed), seed=seed, content=str(seed)) for seed in (1, 2)]
    folders += [
        write(f"film-{seed}", units(9, seed=seed, shift=seed), seed=seed, width=8, content=str(seed)) for seed in (1, 2)
    ]
    (pair,) = compared(*folders)
    assert pair.resampled.startswith("2 seeds, and the units of each")
    assert [seed for seed, _ in pair.keys] == [1] * 9 + [2] * 9
    np.testing.assert_allclose(pair.differences, [1.0] * 9 + [2.0] * 9)
    assert pair.interval == pytest.approx((1.0, 2.0))


def test_another_recording_is_named_with_both_fingerprints(write):
    one, other = write("one", units(3), content="a"), write("other", units(3), content="b", width=8)
    with pytest.raises(DataError, match=r"session 'm1_a' is not the same recording: fingerprint b-m1_a against a-m1_a"):
        compared(one, other)


def test_scores_on_other_frames_are_refused_with_the_way_out(write):
    one, other = write("one", units(3)), write("other", units(3), frames=90, width=8)
    with pytest.raises(DataError, match=r"unit m1_a/u0 was scored on other frames: 90 valid against 100; .*history="):
        compared(one, other)


def test_units_that_only_some_runs_have_are_named_or_left_out_on_request(write):
    one, other = write("one", units(3)), write("other", units(4), width=8)
    with pytest.raises(DataError, match=r"1 units are not in all runs: m1_a/u3; .*--common"):
        compared(one, other)
    (pair,) = compared(one, other, common=True)
    assert len(pair.keys) == 3


def test_units_without_a_score_are_left_out_and_counted(write):
    silent = {**units(3), ("m1_a", "u1"): math.nan}
    (pair,) = compared(write("one", silent), write("other", units(3, shift=1.0), width=8))
    assert ([unit for _, (_, unit) in pair.keys], pair.left_out) == (["u0", "u2"], 1)
    assert pair.mean == pytest.approx(1.0)


def test_no_unit_with_a_score_is_an_error(write):
    silent = dict.fromkeys(units(3), math.nan)
    with pytest.raises(DataError, match="no unit has this score"):
        compared(write("one", silent), write("other", units(3), width=8))


def test_one_run_twice_is_an_error(write):
    one, two = write("first/plain", units(3)), write("second/plain", units(3))
    with pytest.raises(DataError, match="same content and seed"):
        compared(one, two)


def test_what_is_missing_is_told_with_what_there_is(write):
    folder = write("one", units(3), split="test")
    with pytest.raises(DataError, match=r"not scored on split 'validation'; scored are: test; .*evaluate .* --split"):
        read_scores(folder, METRIC, "validation")
    with pytest.raises(UsageError, match="no 'bits_per_spik' here; did you mean 'bits_per_spike'"):
        read_scores(folder, "bits_per_spik", "test")
    (folder / "units.csv").unlink()
    with pytest.raises(DataError, match="no table of units"):
        read_scores(folder, METRIC, "test")


def test_the_command_prints_a_table_that_fits_and_writes_table_and_picture(write, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for seed in (1, 2, 3):
        write(f"plain-{seed}", units(12, seed=seed), seed=seed)
        write(f"film-{seed}", units(12, seed=seed, shift=0.25), seed=seed, width=8)
    assert main(["compare", "runs", "--baseline", "plain", "--draws", "200"]) == 0
    out = capsys.readouterr().out
    assert all(len(line) <= 80 for line in out.splitlines())
    assert "+0.25 to +0.25" in out
    assert "resampled were 3 seeds" in out
    with (tmp_path / "runs" / f"compare-{METRIC}-validation.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [round(float(row["difference"]), 9) for row in rows] == [0.25] * 12
    assert (tmp_path / "runs" / f"compare-{METRIC}-validation.png").read_bytes().startswith(b"\x89PNG")
    assert main(["compare", "runs", "--baseline", "plain", "--json", "--out", str(tmp_path / "out")]) == 0
    found = json.loads(capsys.readouterr().out)
    (only,) = found["comparisons"]
    assert (only["name"], only["seeds"], only["units"], only["wins"]) == ("film", [1, 2, 3], 12, 1.0)
    assert only["interval"] == pytest.approx([0.25, 0.25])


def test_one_condition_is_nothing_to_compare(write, capsys):
    folder = write("plain-1", units(3))
    assert main(["compare", str(folder)]) == 2
    assert "nothing to compare it with" in capsys.readouterr().err


def test_a_wrong_baseline_and_an_empty_folder_are_mistakes(write, capsys, tmp_path):
    folders = [str(write("plain", units(3))), str(write("film", units(3), width=8))]
    assert main(["compare", *folders, "--baseline", "plan"]) == 2
    assert "did you mean 'plain'" in capsys.readouterr().err
    (tmp_path / "empty").mkdir()
    assert main(["compare", *folders, str(tmp_path / "empty")]) == 2
    assert "there is no run in this folder" in capsys.readouterr().err
