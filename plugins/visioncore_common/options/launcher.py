"""What a user may write for launchers."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field, StringConstraints

from visioncore_engine.options import Options

__all__ = ["LocalOptions", "SlurmOptions", "TorchrunOptions"]

_Word = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9_.,:@+=-]*$")]
_Duration = Annotated[str, StringConstraints(pattern=r"^(\d+-\d{1,2}(:\d{2}){0,2}|\d+:\d{2}(:\d{2})?)$")]
_Line = Annotated[str, StringConstraints(pattern=r"^[^\r\n]+$")]
_Flag = Annotated[str, StringConstraints(pattern=r"^-[^\r\n]+$")]


class LocalOptions(Options):
    """One process for each device of this host, started and ended together."""

    grace: float = Field(
        10.0, gt=0, description="seconds that the other processes get when one has failed, before SIGTERM and SIGKILL"
    )


class TorchrunOptions(Options):
    """Processes that torchrun has started, on one host or several."""

    timeout: float = Field(
        300.0, gt=0, description="seconds that the other processes wait for the first to choose the run folder"
    )


class SlurmOptions(Options):
    """A job for SLURM: outside a job, its script is written; in the job, its processes train."""

    partition: _Word = Field("", description="where the job may run; by default the cluster's own choice")
    account: _Word = Field("", description="who pays; by default the user's own account")
    time: Annotated[int, Field(ge=1)] | _Duration | None = Field(
        None,
        description="time limit: minutes, or text: '12:00:00', '2-12' (days-hours); by default the partition's own",
    )
    nodes: int = Field(1, ge=1, description="hosts")
    gpus_per_node: int = Field(
        0, ge=0, description="GPUs on each host, with a process for each; 0 asks for none, and `trainer.devices` counts"
    )
    cpus_per_task: int | None = Field(None, ge=1, description="CPU cores of each process")
    memory: str = Field("", pattern=r"^(\d+[KMGT]?)?$", description="memory on each host, e.g. 64G")
    signal_before: int = Field(
        120, ge=0, le=65535, description="seconds before the time limit at which the run saves and stops; 0 never does"
    )
    requeue: bool = Field(True, description="queue the job again once it has saved on a signal, and resume then")
    setup: tuple[_Line, ...] = Field((), description="shell commands before training, e.g. 'module load cuda'")
    extra: tuple[_Flag, ...] = Field((), description="further options of sbatch, e.g. '--constraint=a100'")
    submit: bool = Field(False, description="submit the script too, rather than only write it")
