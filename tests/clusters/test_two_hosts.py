"""Two hosts under torchrun train what one process trains, and neither waits for the other in vain."""

from __future__ import annotations

import os
import signal
import sys
import time

import pytest
from clusters import VISIONCORE, distance, needs, weights, words
from two_hosts import TwoHosts
from waiting import until

from visioncore_engine.checkpoint import read_checkpoint
from visioncore_engine.cli import main


@pytest.fixture
def hosts():
    """Two hosts."""
    needs(("ip", "unshare"), "iproute2 and util-linux")
    with TwoHosts() as hosts:
        yield hosts


def torchrun(hosts, folder, *arguments):
    """Start torchrun on both hosts, as one types it there."""
    return [
        hosts.start(
            number,
            *(sys.executable, "-m", "torch.distributed.run", "--nnodes=2", "--nproc-per-node=1"),
            *("--rdzv-backend=c10d", f"--rdzv-endpoint={hosts.names[0]}:29500"),
            *("--no-python", *VISIONCORE, *arguments),
            folder=folder,
        )
        for number in range(2)
    ]


def test_two_hosts_end_together_and_resume_to_what_one_process_trains(here, hosts):
    assert main(words("run.dir=alone")) == 0
    shared = ("launch=torchrun", "checkpoint.every_n_steps=1")

    def errors():
        return "\n".join(f"--- {path.name}\n{path.read_text()}" for path in sorted(here.glob("err-*")))

    def run_folder():
        found = list(here.glob("runs/*/*"))
        return found[0] if len(found) == 1 else None

    started = torchrun(hosts, here, *words(*shared, "callbacks.toy_wait.at=3"))
    until("there is a run folder", run_folder, shown=errors)
    waiting = [run_folder() / f"waiting-{rank}" for rank in range(2)]
    until("both hosts wait in a step", lambda: all(path.exists() for path in waiting), shown=errors)
    until("their numbers are written", lambda: all(path.read_text() for path in waiting), shown=errors)
    ranks = {int(path.name[-1]): int(path.read_text()) for path in waiting}
    os.kill(ranks[1], signal.SIGKILL)
    (run_folder() / "go-on").touch()
    killed = time.monotonic()
    until("both have ended", lambda: all(one.poll() is not None for one in started), seconds=30, shown=errors)
    print(f"both hosts ended {time.monotonic() - killed:.1f} s after the process of one was killed")
    assert all(one.returncode for one in started)
    assert "Signal 9 (SIGKILL)" in errors()  # the first error, by torchrun
    assert "run failed: another process has ended, and says why itself" in errors()  # what it meant for the other
    assert read_checkpoint(run_folder() / "checkpoints" / "last.ckpt")["global_step"] == 3

    started = torchrun(hosts, here, *words(*shared, resume=True))
    until("both have ended", lambda: all(one.poll() is not None for one in started), shown=errors)
    assert [one.returncode for one in started] == [0, 0], errors()
    assert run_folder(), "a host has made a run folder of its own"
    assert "Traceback" not in (here / "err-0").read_text()
    assert distance(weights(run_folder()), weights("alone")) <= 1e-9
