"""The old way to train computes the engine's loss and gradients, and scores what the engine's metric scores."""

from __future__ import annotations

import numpy as np
import pytest
import torch
import training
from old_data import old_loader
from old_layout import OldModule, Plan, sessions_of, validation_loader

from visioncore_engine.build import build
from visioncore_engine.data.index import gather
from visioncore_engine.objective import predict
from visioncore_engine.schedule import Clock
from visioncore_engine.scoring import Scoring

SIZES = training.Sizes(sessions=2, pixels=12, batch=32, temporal=3, channels=(3,))
CLOCK = Clock(0, 0.0, 0.0)


@pytest.fixture(scope="module")
def parts(tmp_path_factory):
    found = build(training.run_of(SIZES, 1, 4, str(tmp_path_factory.mktemp("runs"))))
    found.model.eval()
    found.model.double()
    return found


def gradients(model):
    found = {name: p.grad.clone() for name, p in model.named_parameters() if p.grad is not None}
    model.zero_grad(set_to_none=True)
    return found


def doubled(sample):
    return {key: value.double() if value.is_floating_point() else value for key, value in sample.items()}


@pytest.mark.parametrize("seed", [0, 1])
def test_losses_and_gradients_are_the_engines(parts, seed):
    items = np.random.default_rng(seed).integers(parts.index.num_items, size=32)
    (batch,) = old_loader(sessions_of(parts.index.sources, parts.history), [items.tolist()])
    module = OldModule(parts)
    old = module.loss([doubled(sample) for sample in batch]) + module.penalty(CLOCK)
    old.backward()
    from_old = gradients(parts.model)

    ours = gather(parts.index, items).to("cpu", torch.float64)
    weights = parts.objective.weights([ours])
    loss = parts.objective.total(parts.objective.sums(predict(parts.model, ours), ours), weights)
    loss.backward()
    parts.regularization.add_gradients(CLOCK)
    penalties = parts.regularization.values(CLOCK)
    from_engine = gradients(parts.model)

    assert old.item() == pytest.approx(loss.item() + sum(value.item() for value in penalties.values()), rel=1e-12)
    assert from_old.keys() == from_engine.keys()
    for name, gradient in from_engine.items():
        torch.testing.assert_close(from_old[name], gradient, rtol=1e-9, atol=1e-12)


@torch.no_grad()
def test_scores_are_the_engines(parts):
    module = OldModule(parts)
    for batch in validation_loader(parts, 50):
        module.validation_step([doubled(sample) for sample in batch], 0)
    old = torch.cat([score.compute() for _, score in sorted(module._scores.items())])
    scoring = (
        Scoring(parts.dataset.groups, parts.metrics_for_test, None) if hasattr(parts, "metrics_for_test") else None
    )
    if scoring is None:
        from visioncore_engine.contracts import MetricFacts
        from visioncore_neural.metrics.bits_per_spike import BitsPerSpike
        from visioncore_neural.options.metric import BitsPerSpikeOptions

        metrics = {"bits": BitsPerSpike(BitsPerSpikeOptions(), MetricFacts(parts.dataset.groups))}
        scoring = Scoring(parts.dataset.groups, metrics, None)
    for source in parts.validation:
        batch = gather_all(source)
        scoring.update(predict(parts.model, batch), batch)
    results, _ = scoring.compute()
    ours = np.concatenate(list(results["bits"].columns.values()))
    np.testing.assert_allclose(old.numpy(), ours, rtol=0, atol=1e-6)


def gather_all(source):
    from visioncore_engine.contracts import Batch

    return Batch([source.gather(np.arange(source.num_items))]).to("cpu", torch.float64)


def test_a_plan_names_every_sample_once_and_two_passes_differ():
    plan = Plan(100, 20, seed=3)
    first, second = ([number for batch in plan for number in batch] for _ in range(2))
    assert sorted(first) == sorted(second) == list(range(100))
    assert first != second
    assert [number for batch in Plan(100, 20, seed=3) for number in batch] == first


def test_other_pixels_are_refused(parts, monkeypatch):
    (source, *_) = parts.index.sources
    monkeypatch.setattr(source, "recording", source.recording.rescaled("stim", 2.0, 0.0))
    with pytest.raises(ValueError, match="pixel_norm"):
        sessions_of([source], parts.history)
