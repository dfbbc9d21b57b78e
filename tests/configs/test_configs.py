"""Every run file in `configs/` trains: two steps each, in one process, cut by overlays that change sizes only."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
import yaml

from visioncore_engine import discover, resolve, train

CHECKOUT = Path(__file__).parents[2]
CONFIGS = CHECKOUT / "configs"
DATA = Path(os.environ.get("VISIONCORE_DATA") or CHECKOUT.parent / "shared" / "data")
SIZES = {
    "max_epochs",
    "check_val_every_n_epoch",
    "log_every_n_steps",
    "batches_per_epoch",
    "num_units",
    "duration",
    "max_frames",
    "num_examples",
    "num_sessions",
    "size",
    "batch_size",
    "channels",
    "hidden_channels",
    "burn_in",
}
BUILT_IN = ("visioncore_common", "visioncore_neural")
ELSEWHERE = {  # what no run file of ours can hold, and the tests that train with it instead
    "launcher": {"local": "every run that says nothing", "slurm": "tests/clusters", "torchrun": "tests/clusters"},
    "logger": {"wandb": "tests/visioncore_common/test_wandb.py"},  # it starts a service of its own
    "reader": dict.fromkeys(("dset", "folder", "hdf5", "nwb", "sensorium"), "tests/visioncore_neural write files"),
}


def leaves(tree):
    for key, value in tree.items():
        if isinstance(value, dict):
            yield from leaves(value)
        else:
            yield key


def files(path):
    """A run file as it is; a way to launch on the variant that it is for."""
    if path.parent.name != "launch":
        return [path]
    return [CONFIGS / "neural" / f"{'resnet_history' if 'history' in path.stem else 'resnet_none_none'}.yaml", path]


def overlays(path, resolved):
    """Whatever cuts sizes of this run: for all, for its data, for its folder, for parts that it has."""
    options = resolved.run.model.options
    parts = [choice.id for slot in ("core", "recurrent") for choice in getattr(options, slot, ())]
    names = ["", f"-{resolved.run.data.name}"]
    if resolved.run.data.name == "synthetic_v1" and path.parent in (CONFIGS / "neural", CONFIGS / "neural" / "launch"):
        names += ["-neural", *(f"-{part}" for part in parts)]
    found = [CONFIGS / "overlays" / f"tiny{name}.yaml" for name in names]
    return [path for path in found if path.exists()]


def run_files():
    for path in sorted(CONFIGS.glob("**/*.yaml")):
        if path.parent.name not in ("overlays", "parts"):
            # Twenty ways to say nearly the same thing: most of them wait for `make smoke`.
            variant = path.stem.startswith(("resnet_", "dense_")) or path.parent.name in ("launch", "components")
            slow = [pytest.mark.slow] * variant
            # Ways to launch one model differ in numbers; two have parts of their own.
            slow += [pytest.mark.rest] * (
                path.parent.name == "launch" and path.stem not in ("warm_restarts", "defaults")
            )
            yield pytest.param(path, id="-".join(path.relative_to(CONFIGS).with_suffix("").parts), marks=slow)


@pytest.mark.parametrize("path", sorted(CONFIGS.glob("overlays/*.yaml")), ids=lambda path: path.stem)
def test_an_overlay_for_tests_changes_sizes_only(path):
    assert set(leaves(yaml.safe_load(path.read_text()))) <= SIZES


@pytest.mark.parametrize("path", sorted(CONFIGS.glob("**/parts/*.yaml")), ids=lambda path: path.stem)
def test_a_part_is_in_a_run_file(path):
    extended = {name for other in path.parents[1].glob("*.yaml") for name in extends(other)}
    assert f"parts/{path.name}" in extended


def extends(path):
    names = yaml.safe_load(path.read_text()).get("extends", [])
    return [names] if isinstance(names, str) else names


def test_every_component_stands_in_a_run_file():
    """Each is trained with below: who adds one adds it to a run file, or says where it is trained with."""
    found = {
        (choice.kind, choice.name)
        for path in CONFIGS.glob("**/*.yaml")
        if path.parent.name not in ("overlays", "parts") and not path.stem.startswith("example_lab")
        for _, choice in resolve(files(path)).choices()
    }
    declared = {(one.kind, one.component.name) for one in discover().entries if one.plugin.name in BUILT_IN}
    left = {kind: set() for kind in ELSEWHERE}
    for kind, name in declared - found:
        left.setdefault(kind, set()).add(name)
    assert left == {kind: set(names) for kind, names in ELSEWHERE.items()}


@pytest.mark.parametrize("path", list(run_files()))
def test_b12_a_config_composes_and_runs(path, tmp_path, monkeypatch):
    if path.stem.startswith("example_lab") and all(plugin.name != "example_lab" for plugin in discover().plugins):
        pytest.skip("the example package is installed by its own test")
    resolved = resolve(files(path))
    if "sessions" in resolved.dump()["data"] or "files" in resolved.dump()["data"]:
        if not DATA.is_dir():
            pytest.skip(f"real recordings are not at {DATA} (set VISIONCORE_DATA)")
        monkeypatch.setenv("VISIONCORE_DATA", str(DATA))
    monkeypatch.chdir(tmp_path)
    sets = [f"run.dir={tmp_path / 'run'}"]
    if "folder" in resolved.dump()["data"]:
        sets.append(f"data.folder={CHECKOUT / resolved.dump()['data']['folder']}")
    (tmp_path / "configs").symlink_to(CONFIGS)  # tables that run files name
    for key, value in (("warmup_steps", 1), ("warmup_fraction", 0.6)):
        if key in (resolved.dump()["scheduler"] or {}):
            sets.append(f"scheduler.{key}={value}")  # a rise must end before the two steps do
    tiny = resolve([*files(path), *overlays(path, resolved)], sets=sets)
    if tiny.run.transfer is not None:  # a source must be there: the same run, without the transfer
        sets_of_source = [*sets[1:], f"run.dir={tmp_path / 'source'}", "transfer=null", "seed=99"]
        train(resolve([*files(path), *overlays(path, resolved)], sets=sets_of_source), quiet=True)
        tiny = resolve([*files(path), *overlays(path, resolved)], sets=[*sets, f"transfer.from={tmp_path / 'source'}"])
    result = train(tiny, quiet=True)
    assert (result.run_dir / "report.html").stat().st_size > 10_000
    assert any(name.startswith("val/") for name in result.scores)
