"""What launchers meet: the environments of a process that nobody, torchrun or SLURM started, and a job to start."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from visioncore_engine.errors import EngineError
from visioncore_engine.launch import Job, Launcher, LauncherFacts, Place
from visioncore_engine.testing.case import Case
from visioncore_engine.testing.folder import fresh_folder

__all__ = ["ENVIRONMENTS", "LauncherScene", "built_starts", "outcome", "scene", "two_hosts"]

ENVIRONMENTS: Mapping[str, Mapping[str, str]] = {
    "by hand": {},
    "by torchrun": {
        "RANK": "1",
        "WORLD_SIZE": "2",
        "LOCAL_RANK": "1",
        "LOCAL_WORLD_SIZE": "2",
        "GROUP_RANK": "0",
        "MASTER_ADDR": "127.0.0.1",
        "MASTER_PORT": "23456",
        "TORCHELASTIC_RUN_ID": "none",
        "TORCHELASTIC_MAX_RESTARTS": "3",
        "TORCHELASTIC_RESTART_COUNT": "1",
    },
    "by srun": {
        "SLURM_JOB_ID": "4711",
        "SLURM_STEP_ID": "0",
        "SLURM_PROCID": "1",
        "SLURM_STEP_NUM_TASKS": "2",
        "SLURM_LOCALID": "1",
        "SLURM_NODEID": "0",
        "SLURM_STEP_TASKS_PER_NODE": "2",
        "SLURM_STEP_NUM_NODES": "1",
        "SLURM_RESTART_COUNT": "1",
    },
    "in a script of SLURM": {"SLURM_JOB_ID": "4711", "SLURM_NTASKS": "1", "SLURM_RESTART_COUNT": "0"},
}
# What a started process does here: say that it was started, and with which words.
_PROGRAM = "import os, sys; open(os.path.join(sys.argv[1], 'rank-' + os.environ.get('RANK', '0')), 'w').write('here')"


@dataclass
class LauncherScene:
    """Facts of a launcher, and a job.

    Attributes
    ----------
    build
        Builds the launcher under test with other facts.
    """

    build: Callable[[LauncherFacts], Launcher]
    facts: LauncherFacts = field(
        default_factory=lambda: LauncherFacts(
            environment={}, devices=2, count_gpus=lambda: 0, run_name="tiny", run_dir=str(fresh_folder())
        )
    )

    def under(self, environment: Mapping[str, str]) -> Launcher:
        """Build the launcher in a process with this environment."""
        return self.build(replace(self.facts, environment=environment))

    @property
    def job(self) -> Job:
        """A job whose processes only say that they were started."""
        folder = Path(self.facts.run_dir)
        return Job(folder, (sys.executable, "-c", _PROGRAM, str(folder)), resume=False)

    def probe(self, built: Launcher) -> Mapping[str, Any]:
        """Its places, the attributes that it keeps of its options, and what a job that it starts leaves."""
        places = {name: outcome(self.under(environment).place) for name, environment in ENVIRONMENTS.items()}
        started = outcome(lambda: built.start(self.job)) if built_starts(built) else None
        folder = Path(self.facts.run_dir)
        files = {path.name: path.read_text().replace(str(folder), "RUN") for path in sorted(folder.iterdir())}
        return {"places": places, "started": str(started).replace(str(folder), "RUN"), "files": files}


def built_starts(built: Launcher) -> bool:
    """Whether the launcher starts processes here: it has no place of its own."""
    return outcome(built.place) is None


def two_hosts() -> Mapping[str, list[Mapping[str, str]]]:
    """Environments of four processes on two hosts, by who started them."""
    torchrun, slurm = ENVIRONMENTS["by torchrun"], ENVIRONMENTS["by srun"]
    ranks = range(4)
    return {
        "by torchrun": [
            {
                **torchrun,
                "RANK": str(rank),
                "WORLD_SIZE": "4",
                "LOCAL_RANK": str(rank % 2),
                "GROUP_RANK": str(rank // 2),
            }
            for rank in ranks
        ],
        "by srun": [
            {
                **slurm,
                "SLURM_PROCID": str(rank),
                "SLURM_STEP_NUM_TASKS": "4",
                "SLURM_LOCALID": str(rank % 2),
                "SLURM_NODEID": str(rank // 2),
                "SLURM_STEP_TASKS_PER_NODE": "2(x2)",
                "SLURM_STEP_NUM_NODES": "2",
                "SLURM_STEP_NODELIST": "node[1-2]",
                "SLURM_STEP_LAUNCHER_PORT": "23456",
            }
            for rank in ranks
        ],
    }


def outcome(call: Callable[[], Any]) -> Any:
    """What a call returned, or the first line of what it raised on purpose."""
    try:
        found = call()
    except EngineError as error:
        return f"{type(error).__name__}: {error}".partition("\n")[0]
    return vars(found) if isinstance(found, Place) else found


def scene(case: Case) -> LauncherScene:
    """Make the scene."""
    return LauncherScene(lambda facts: case.choose().build(facts))
