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
}


def leaves(tree):
    for key, value in tree.items():
        if isinstance(value, dict):
            yield from leaves(value)
        else:
            yield key


def overlays(resolved):
    found = [CONFIGS / "overlays" / "tiny.yaml", CONFIGS / "overlays" / f"tiny-{resolved.run.data.name}.yaml"]
    return [path for path in found if path.exists()]


@pytest.mark.parametrize("path", sorted(CONFIGS.glob("**/*.yaml")), ids=lambda path: path.stem)
def test_a_config_composes_and_runs(path, tmp_path, monkeypatch):
    if path.parent.name == "overlays":
        assert set(leaves(yaml.safe_load(path.read_text()))) <= SIZES, "an overlay for tests may change sizes only"
        return
    if path.stem.startswith("example_lab") and all(plugin.name != "example_lab" for plugin in discover().plugins):
        pytest.skip("the example package is installed by its own test")
    resolved = resolve([path])
    if "sessions" in resolved.dump()["data"] or "files" in resolved.dump()["data"]:
        if not DATA.is_dir():
            pytest.skip(f"real recordings are not at {DATA} (set VISIONCORE_DATA)")
        monkeypatch.setenv("VISIONCORE_DATA", str(DATA))
    monkeypatch.chdir(tmp_path)
    sets = [f"run.dir={tmp_path / 'run'}"]
    if "folder" in resolved.dump()["data"]:
        sets.append(f"data.folder={CHECKOUT / resolved.dump()['data']['folder']}")
    if "warmup_steps" in (resolved.dump()["scheduler"] or {}):
        sets.append("scheduler.warmup_steps=1")  # a rise must end before the two steps do
    tiny = resolve([path, *overlays(resolved)], sets=sets)
    if tiny.run.transfer is not None:  # a source must be there: the same run, without the transfer
        sets_of_source = [*sets[1:], f"run.dir={tmp_path / 'source'}", "transfer=null", "seed=99"]
        train(resolve([path, *overlays(resolved)], sets=sets_of_source), quiet=True)
        tiny = resolve([path, *overlays(resolved)], sets=[*sets, f"transfer.from={tmp_path / 'source'}"])
    result = train(tiny, quiet=True)
    assert (result.run_dir / "report.html").stat().st_size > 10_000
    assert any(name.startswith("val/") for name in result.scores)
