"""The script of a job."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from pathlib import Path

from visioncore_common.options.launcher import SlurmOptions
from visioncore_engine.launch import RUN_DIR_VARIABLE, Job, LauncherFacts

__all__ = ["job_script"]

_BODY = """
# Started again (by SLURM, or by hand), the run goes on where it was.
resume=()
if [ -e {record} ]; then resume=(--resume); fi

# SLURM signals this shell too: it waits for the processes, which save and stop by themselves. Its exit code is theirs.
trap : TERM USR1

export {variable}={folder}
{srun} {command} "${{resume[@]}}"
"""


def job_script(options: SlurmOptions, facts: LauncherFacts, job: Job) -> str:
    """Return the bash script that `sbatch` takes.

    Parameters
    ----------
    options
        What the job asks for.
    facts
        Name and devices of the run.
    job
        Folder and command of the run.
    """
    lines = ["#!/usr/bin/env bash", *(f"#SBATCH {line}" for line in _directives(options, facts, job)), *options.setup]
    cores = options.cpus_per_task
    body = _BODY.format(
        record=shlex.quote(str(job.run_dir / "record.json")),
        variable=RUN_DIR_VARIABLE,
        folder=shlex.quote(str(job.run_dir)),
        # Since SLURM 22.05, srun does not take the cores of a task over from sbatch.
        srun="srun --kill-on-bad-exit=1" + (f" --cpus-per-task={cores}" if cores else ""),
        command=shlex.join(job.command),
    )
    return "\n".join(lines) + "\n" + body


def _directives(options: SlurmOptions, facts: LauncherFacts, job: Job) -> Iterator[str]:
    yield f"--job-name={facts.run_name}"
    yield f"--chdir={_quoted(str(Path.cwd()))}"
    yield f"--output={_quoted(str(job.run_dir).replace('%', '%%') + '/job-%j.txt')}"
    yield "--open-mode=append"
    yield "--requeue" if options.requeue else "--no-requeue"
    if options.signal_before:
        yield f"--signal=USR1@{options.signal_before}"
    yield f"--nodes={options.nodes}"
    yield f"--ntasks-per-node={options.gpus_per_node or (1 if facts.devices == 'auto' else facts.devices)}"
    optional = {
        "gpus-per-node": options.gpus_per_node,
        "cpus-per-task": options.cpus_per_task,
        "mem": options.memory,
        "time": options.time,
        "partition": options.partition,
        "account": options.account,
    }
    for name, value in optional.items():
        if value:
            yield f"--{name}={value}"
    yield from options.extra


def _quoted(text: str) -> str:
    """Quote a word of a directive, in which sbatch understands quotes but no backslash before a blank."""
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return text if re.fullmatch(r"[\w./%+=:@-]*", text) else f'"{escaped}"'
