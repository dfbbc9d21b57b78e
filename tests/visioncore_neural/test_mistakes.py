"""Mistakes about which recordings stand in a run, and how they are split: refused by the command, with their names."""

from __future__ import annotations

import pytest
from neural_recordings import make

from visioncore_engine.cli import main
from visioncore_neural.data.folder import write_session

RUN = """
data: {name: sessions, root: recordings, window: {length: 8}}
sampler: {name: shuffled, batch_size: 64}
model: {name: encoder, core: [{name: conv3d, channels: [2], kernel_size: [1, 3, 3]}], readout: gaussian}
loss: poisson
optimizer: {name: adamw, lr: 0.01}
trainer: {max_epochs: 1, accelerator: cpu}
run: {dir: out}
"""


@pytest.fixture
def refused(tmp_path, monkeypatch, capsys):
    """What ``train`` says of recordings, each with the folder that it lies in, and of changes of the run file."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "run.yaml").write_text(RUN)

    def refused(recordings, *sets):
        for folder, recording in recordings.items():
            write_session(recording, tmp_path / "recordings" / folder)
        assert main(["train", "run.yaml", "--quiet", *(word for item in sets for word in ("--set", item))]) == 2
        told = capsys.readouterr().err
        assert "Traceback" not in told
        assert not list(tmp_path.glob("out/checkpoints/*.ckpt"))
        return told

    return refused


def test_d08_two_sessions_of_one_name_are_refused_with_both_places(refused):
    told = refused({"first/m1_a": make("m1_a"), "second/m1_a": make("m1_a")}, "data.sessions=['*/m1_a']")
    assert "two sessions have one name (got m1_a)" in told
    assert "recordings/first/m1_a and " in told
    assert "recordings/second/m1_a" in told
    assert "rename one" in told


def test_d10_shares_that_do_not_sum_to_one_are_refused_with_their_sum(refused):
    told = refused({"m1_a": make("m1_a")}, "data.split.fractions=[0.8, 0.3, 0.1]")
    assert "data.split" in told
    assert "and sum to 1; the sum is 1.2" in told


def test_d10_a_share_without_a_trial_is_refused_with_its_split(refused):
    told = refused({"m1_a": make("m1_a", split=None, frames=120)}, "data.split.fractions=[0.8, 0.1, 0.1]")
    assert "split.fractions: " in told
    assert "would hold nothing" in told
