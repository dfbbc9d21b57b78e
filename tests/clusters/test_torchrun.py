"""What processes of torchrun agree on before anything is written, and that none waits for one that refused."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest
import torch
from clusters import PLUGINS, weights, words
from together import together
from torch.distributed import TCPStore

import visioncore_engine.run as engine
from visioncore_engine import resolve
from visioncore_engine.checkpoint import read_checkpoint
from visioncore_engine.errors import ConfigError
from visioncore_engine.launch import LauncherFacts

torch.set_num_threads(1)  # a child of a process with a pool of threads would wait for threads that it does not have
torchrun = pytest.importorskip("visioncore_common.launchers.torchrun")
options = pytest.importorskip("visioncore_common.options.launcher")


class Started:
    """Processes started as torchrun starts them, forked from this one so that torch is imported once."""

    def __init__(self, folder, size=2):
        self.folder, self.size = folder, size
        self.store = TCPStore("127.0.0.1", 0, is_master=True, wait_for_workers=False, timeout=timedelta(seconds=30))

    def environment(self, rank, restarts=0):
        numbers = {
            "RANK": rank,
            "LOCAL_RANK": rank,
            "GROUP_RANK": 0,
            "WORLD_SIZE": self.size,
            "LOCAL_WORLD_SIZE": self.size,
            "MASTER_PORT": self.store.port,
            "TORCHELASTIC_RESTART_COUNT": restarts,
        }
        words = {"MASTER_ADDR": "127.0.0.1", "TORCHELASTIC_RUN_ID": "test", "TORCHELASTIC_USE_AGENT_STORE": "True"}
        return {**words, **{name: str(number) for name, number in numbers.items()}}

    def run(self, *arguments, restarts=0, before=None):
        """Run the command in every process, with the arguments of its rank or the same; see `together`."""
        own = [arguments[rank % len(arguments)] for rank in range(self.size)]
        processes = [(self.environment(rank, restarts), own[rank]) for rank in range(self.size)]
        return together(self.folder, processes, before=before)


@pytest.fixture
def started(here):
    return Started(here)


def test_the_first_process_chooses_one_folder_for_all(here, started):
    codes, errors, _ = started.run(words("launch=torchrun", "trainer.devices=2"))
    assert codes == [0, 0], errors
    (folder,) = here.glob("runs/*/*")
    assert resolve(folder / "run.yaml", plugin_files=PLUGINS).run.launch.name == "torchrun"
    assert weights(folder)


def test_all_refuse_where_the_first_refuses(here, started):
    (here / "used").mkdir()
    (here / "used" / "record.json").write_text("{}")
    codes, errors, seconds = started.run(words("launch=torchrun", "run.dir=used"))
    assert codes == [2, 2], errors
    assert "this folder already holds a run" in errors[0]
    assert "the first process refused to train" in errors[1]
    assert seconds < 15


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ("optimizer.lr=0.02", "processes disagree on what to train (got rank 0: 0.01; rank 1: 0.02)"),
        ("model.width=7", "model.width: processes disagree"),  # parameters of other shapes
        ("data.num_columns=5", "data.num_columns: processes disagree"),
    ],
)
def test_processes_that_disagree_say_on_what_and_end(here, started, change, named):
    codes, errors, seconds = started.run(words("launch=torchrun"), words("launch=torchrun", change))
    assert codes == [2, 2], errors
    assert seconds < 15
    for error in errors:
        assert named in error
        assert "Traceback" not in error


def test_hosts_that_share_no_folder_say_so_instead_of_going_on_from_different_weights(here, started):
    codes, errors, _ = started.run(words("launch=torchrun", "run.dir=a", "trainer.max_epochs=1"))
    assert codes == [0, 0], errors

    def hide(rank):
        if rank == 1:
            engine._last_checkpoint = lambda folder: None

    codes, errors, _ = Started(here).run(words("launch=torchrun", "run.dir=a", resume=True), before=hide)
    assert codes == [2, 2], errors
    assert "the checkpoint: processes disagree on what to train (got rank 0: step 4; rank 1: the start)" in errors[0]


def launcher(environment, *, devices="auto", run_dir=""):
    facts = LauncherFacts(environment, devices, lambda: 0, "run", run_dir)
    return torchrun.Torchrun(options.TorchrunOptions(), facts)


def test_other_devices_than_torchrun_started_are_refused(started):
    with pytest.raises(ConfigError, match=r"trainer\.devices: torchrun started 2 processes on this host"):
        launcher(started.environment(0), devices=3).place()
    assert launcher(started.environment(1), devices=2).place().rank == 1


def test_outside_of_torchrun_it_says_how_to_start(here):
    with pytest.raises(ConfigError, match=r"no number RANK, which torchrun sets.*start the processes with torchrun"):
        launcher({}).place()


def test_without_a_store_to_agree_in_it_names_the_rendezvous(started):
    found = launcher({**started.environment(1), "TORCHELASTIC_USE_AGENT_STORE": "False"})
    with pytest.raises(ConfigError, match="--rdzv-backend=c10d"):
        found.agree(found.place(), Path)


def test_a_restart_by_torchrun_goes_on_in_the_folder_of_before(here, started):
    environment = {**started.environment(0, restarts=1), "TORCHELASTIC_MAX_RESTARTS": "1"}
    with pytest.raises(ConfigError, match=r"run\.dir: a restart by torchrun must know where to go on"):
        launcher(environment).place()
    assert launcher(environment, run_dir="a").place().restarted
    codes, errors, _ = started.run(words("launch=torchrun", "run.dir=a", "trainer.max_epochs=1"))
    assert codes == [0, 0], errors
    codes, errors, _ = Started(here).run(words("launch=torchrun", "run.dir=a"), restarts=1)
    assert codes == [0, 0], errors
    assert read_checkpoint(here / "a" / "checkpoints" / "last.ckpt")["global_step"] == 8
    # A first start that ended before it had begun a run leaves nothing to go on from: the second begins it.
    codes, errors, _ = Started(here).run(words("launch=torchrun", "run.dir=b"), restarts=1)
    assert codes == [0, 0], errors
    assert (here / "b" / "run.yaml").exists()


def test_a_run_that_does_not_say_torchrun_is_not_trained_once_per_process(here, started):
    codes, errors, _ = started.run(words())
    assert codes == [2, 2]
    assert "write launch: torchrun" in errors[0]
    assert not list(here.glob("runs"))
