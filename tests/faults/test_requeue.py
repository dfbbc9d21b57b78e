"""A signal in a job of SLURM, with a stub of ``scontrol``; what the real one does stands in `tests/clusters`."""

from __future__ import annotations

import os
import shlex
import socket

import numpy as np
import pytest
import pytorch_lightning as pl
import torch
from clusters import weights, words
from lightning_fabric.plugins.environments import SLURMEnvironment
from together import together

from visioncore_engine.checkpoint import read_checkpoint

pytest.importorskip("visioncore_common.launchers.slurm")
torch.set_num_threads(1)  # a child of a process with a pool of threads would wait for threads that it does not have

EVENTS = ("callbacks=[toy_events]", "launch=slurm", "trainer.devices=2")


@pytest.fixture
def step(here):
    """Environments of the two processes of a job step, whose port is free."""
    with socket.socket() as probe:
        for port in range(15000, 32000):
            try:
                probe.bind(("127.0.0.1", port))
                break
            except OSError:
                continue

    def step(**more):
        shared = {
            "SLURM_JOB_ID": port - 15000,
            "SLURM_JOB_NAME": "run",
            "SLURM_NTASKS": 2,
            "SLURM_STEP_ID": 0,
            "SLURM_STEP_NUM_TASKS": 2,
            "SLURM_STEP_TASKS_PER_NODE": "2",
            "SLURM_STEP_NUM_NODES": 1,
            "SLURM_NODEID": 0,
            "PATH": f"{here}{os.pathsep}{os.environ['PATH']}",
            **more,
        }
        return [{**shared, "SLURM_PROCID": rank, "SLURM_LOCALID": rank} for rank in range(2)]

    return step


@pytest.fixture
def scontrol(here):
    """A stub that writes down how it was called, and answers as told."""
    calls = here / "calls"

    def scontrol(answer):
        path = here / "scontrol"
        path.write_text(f'#!/bin/sh\necho "$*" >> {shlex.quote(str(calls))}\n{answer}\n')
        path.chmod(0o755)
        return lambda: [call for call in calls.read_text().splitlines() if call.startswith("requeue")]

    return scontrol


def test_f17_sigusr1_in_a_job_saves_queues_it_again_once_and_ends_with_143(here, step, scontrol):
    requeued = scontrol("echo JobState=RUNNING")
    codes, errors, _ = together(here, [(process, words("run.dir=whole", *EVENTS)) for process in step()])
    assert codes == [0, 0], errors

    signal = ("callbacks.toy_events.signal_at=3", "callbacks.toy_events.signal_name=SIGUSR1")  # to rank 1 alone
    codes, errors, _ = together(here, [(process, words("run.dir=cut", *EVENTS, *signal)) for process in step()])
    assert codes == [143, 143], errors
    assert requeued() == [f"requeue {step()[0]['SLURM_JOB_ID']}"]
    assert read_checkpoint(here / "cut" / "checkpoints" / "last.ckpt")["global_step"] == 4

    again = [(process, words("run.dir=cut", *EVENTS)) for process in step(SLURM_RESTART_COUNT=1)]
    codes, errors, _ = together(here, again)  # --resume is implied
    assert codes == [0, 0], errors
    for name, value in weights("whole").items():
        np.testing.assert_array_equal(weights("cut")[name], value)


def test_a_job_that_cannot_be_queued_again_says_so_and_fails(here, step, scontrol):
    scontrol('case "$1" in requeue) echo "Requested operation is presently disabled" >&2; exit 1;; esac')
    signal = ("callbacks.toy_events.signal_at=3", "callbacks.toy_events.signal_name=SIGTERM")
    codes, errors, _ = together(here, [(process, words("run.dir=cut", *EVENTS, *signal)) for process in step()])
    assert codes == [70, 143], errors
    assert "could not be queued again: `scontrol requeue` says 'Requested operation is presently disabled'" in errors[0]
    assert read_checkpoint(here / "cut" / "checkpoints" / "last.ckpt")["global_step"] == 4


def test_lightning_does_not_find_slurm_by_itself(here, step, scontrol, monkeypatch):
    """In a job with two tasks, Lightning's own environment would register its handlers, which save on a signal."""
    process = step()[0]
    for name, value in process.items():
        monkeypatch.setenv(name, str(value))
    assert SLURMEnvironment.detect(), "this test sees nothing any more"
    scontrol("true")

    def spy(rank):
        original = pl.Trainer.__init__

        def checked(self, *arguments, **options):
            original(self, *arguments, **options)
            found = self._accelerator_connector.cluster_environment
            assert type(found).__name__ == "PlacedProcesses", found

        pl.Trainer.__init__ = checked

    alone = {"SLURM_NTASKS": 1, "SLURM_JOB_ID": 1}  # a job's script without srun, and one task
    for number in ("SLURM_STEP_ID", "SLURM_PROCID", "SLURM_LOCALID", "SLURM_NODEID"):
        monkeypatch.delenv(number)
    codes, errors, _ = together(
        here, [(alone, words("run.dir=one", "callbacks=[toy_events]", "launch=slurm"))], before=spy
    )
    assert codes == [0], errors
    codes, errors, _ = together(here, [(one, words("run.dir=two", *EVENTS)) for one in step()], before=spy)
    assert codes == [0, 0], errors
