"""A frozen core and new readouts for new recordings: what was known before is predicted as before."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from unreported import train

from visioncore_engine import load, resolve

CONFIGS = Path(__file__).parents[2] / "configs"
TINY = (CONFIGS / "overlays" / "tiny.yaml", CONFIGS / "overlays" / "tiny-synthetic_v1.yaml")
SHORT = ("scheduler.warmup_steps=1", "sampler.batches_per_epoch=3", "evaluate=[]")


@pytest.fixture(scope="module")
def source(tmp_path_factory):
    folder = tmp_path_factory.mktemp("source")
    train(
        resolve([CONFIGS / "demo.yaml", *TINY], sets=[*SHORT, "data.num_sessions=2", f"run.dir={folder}/run"]),
    )
    return folder / "run"


@pytest.mark.parametrize("sampler", ["shuffled", "by_session"])  # by session: batches in which nothing trains
@pytest.mark.parametrize("devices", [1, pytest.param(2, marks=pytest.mark.slow)])
def test_old_sessions_are_predicted_as_before_behind_a_frozen_core(source, tmp_path, devices, sampler):
    old = load(source / "checkpoints" / "best.ckpt")
    names = list(old.groups)
    frozen = ["core", "modulator", *(f"readouts.{name}.*" for name in names)]
    sets = [
        *SHORT, f"transfer.from={source}", "transfer.parts=[core, modulator, readouts]",
        f"transfer.freeze=[{', '.join(map(repr, frozen))}]", f"run.dir={tmp_path}/run", "seed=1",
        f"trainer.devices={devices}", f"sampler.name={sampler}", "sampler.batch_size=400",
    ]  # fmt: skip
    result = train(resolve([CONFIGS / "transfer.yaml", *TINY], sets=sets))
    new = load(result.run_dir / "checkpoints" / "last.ckpt")
    assert len(new.groups) == 3
    assert set(names) < set(new.groups)
    for name in names:
        spec = old.groups[name]
        inputs = torch.randn(2, spec.input_shape[0], old.history + 4, *spec.input_shape[1:])
        side = {key: torch.randn(2, old.history + 4, size) for key, size in spec.side.items()}
        assert torch.equal(old(name, inputs, side), new(name, inputs, side))
    (added,) = set(new.groups) - set(names)
    assert new.model.readouts[added].bias.shape == (len(new.ids(added)),)


def test_a7_a_resumed_run_goes_on_with_its_trained_biases_and_not_with_the_means(tmp_path):
    def run(name, epochs, **options):
        sets = [*SHORT, "scheduler=null", "data.num_sessions=2", f"run.dir={tmp_path}/{name}"]
        resolved = resolve([CONFIGS / "demo.yaml", *TINY], sets=[*sets, f"trainer.max_epochs={epochs}"])
        train(resolved, **options)
        return load(tmp_path / name / "checkpoints" / "last.ckpt").model.state_dict()

    whole, half = run("whole", 2), run("cut", 1)
    resumed = run("cut", 2, resume=True)
    groups = load(tmp_path / "cut" / "checkpoints" / "last.ckpt").groups
    for name, group in groups.items():
        bias = f"readouts.{name}.bias"
        means = torch.tensor(group.targets["robs"].mean)
        start = (means + torch.log(-torch.expm1(-means))).float()  # the inverse of softplus
        assert ((half[bias] - start).abs() > 1e-3).all()  # trained away from the means
        assert (half[bias] - resumed[bias]).abs().max() > 1e-3
    assert all(torch.equal(whole[name], resumed[name]) for name in whole)
