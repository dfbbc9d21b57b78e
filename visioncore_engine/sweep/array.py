"""A sweep as an array of SLURM jobs: one script, a job for each run that is not finished."""

from __future__ import annotations

import re
import shlex
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path

from visioncore_engine.errors import ConfigError, PluginError, Problem, StorageError
from visioncore_engine.folder import STORAGE_ERRORS, write_text
from visioncore_engine.sweep.children import prepare
from visioncore_engine.sweep.options import ArrayOptions
from visioncore_engine.sweep.plan import Point

__all__ = ["array_script", "refuse_running", "submit"]

_SECONDS = 60.0  # that a command of SLURM may take

_BODY = """
folders=(
{folders}
)
commands=(
{commands}
)
folder=${{folders[$SLURM_ARRAY_TASK_ID]}}
job=${{SLURM_ARRAY_JOB_ID}}_$SLURM_ARRAY_TASK_ID

# Started again (by SLURM, or by hand), the run goes on where it was.
resume=()
if [ -e "$folder/record.json" ]; then resume=(--resume); fi
eval "command=(${{commands[$SLURM_ARRAY_TASK_ID]}})"

# SLURM signals this shell: it hands the signal on, and waits for the run, which saves and stops.
"${{command[@]}}" "${{resume[@]}}" >>"$folder/job-$job.txt" 2>&1 &
run=$!
wanted=
trap 'wanted=again; kill -USR1 $run' USR1
trap 'wanted=end; kill -TERM $run' TERM
wait $run; code=$?
while kill -0 $run 2>/dev/null; do wait $run; code=$?; done
if [ $code = 143 ] && [ "$wanted" = again ]; then exec scontrol requeue "$job"; fi
exit $code
"""


def array_script(options: ArrayOptions, name: str, points: Sequence[Point], commands: Sequence[Sequence[str]]) -> str:
    """Return the bash script that `sbatch` takes.

    Parameters
    ----------
    options, name
        What each job asks for, and what the array is called.
    points, commands
        The runs, and what trains each.
    """
    limit = f"%{options.at_once}" if options.at_once else ""
    directives = [
        f"--job-name={name}",
        f"--array=0-{len(points) - 1}{limit}",
        f'--chdir="{Path.cwd()}"',
        "--output=/dev/null",  # each run has a log of its own
        "--requeue",
        *([f"--signal=B:USR1@{options.signal_before}"] if options.signal_before else []),
        *options.options,
    ]
    body = _BODY.format(
        folders="\n".join(shlex.quote(str(point.folder.path.resolve())) for point in points),
        commands="\n".join(shlex.quote(shlex.join(command)) for command in commands),
    )
    return "\n".join(["#!/usr/bin/env bash", *(f"#SBATCH {one}" for one in directives), *options.setup]) + "\n" + body


def submit(options: ArrayOptions, folder: Path, name: str, points: Sequence[Point]) -> str:
    """Write the script for runs that are not finished, and submit it where the sweep says so; tell what was done.

    Raises
    ------
    PluginError
        Where it is to be submitted and cannot be.
    """
    # The command is that of a first start: the script itself adds --resume.
    commands = [[word for word in prepare(point) if word != "--resume"] for point in points]
    path = folder / "array.sh"
    try:
        write_text(path, array_script(options, name, points, commands))
        path.chmod(0o755)
    except OSError as error:
        if error.errno in STORAGE_ERRORS:
            raise StorageError(f"storage failed: {path}: {error.strerror}") from error
        raise
    if not options.submit:
        return f"the array is written, submit it with: {shlex.join(['sbatch', str(path)])}"
    if shutil.which("sbatch") is None:
        what, todo = "there is no sbatch on this machine", f"submit it where there is one: sbatch {path}"
        raise PluginError(Problem(what=what, key="array.submit", todo=todo))
    done = subprocess.run(  # noqa: S603 - SLURM's own command
        ["sbatch", str(path)],  # noqa: S607 - found on PATH, as a shell would
        capture_output=True,
        text=True,
        check=False,
        timeout=_SECONDS,
    )
    if done.returncode:
        raise PluginError(Problem(what=f"sbatch refuses the array: {done.stderr.strip()}", where=str(path)))
    number = re.search(r"\d+", done.stdout)
    if number:
        write_text(folder / "array-job.txt", number[0] + "\n")
    return f"{done.stdout.strip()}: {path}"


def refuse_running(folder: Path) -> None:
    """Refuse to submit what is still in the queue: two jobs would write into one folder.

    Raises
    ------
    ConfigError
        Naming the array that waits or runs.
    """
    path = folder / "array-job.txt"
    if not path.is_file() or shutil.which("squeue") is None:
        return
    number = path.read_text(encoding="utf-8").strip()
    done = subprocess.run(  # noqa: S603 - SLURM's own command
        ["squeue", "--noheader", "--jobs", number],  # noqa: S607 - found on PATH, as a shell would
        capture_output=True,
        text=True,
        check=False,
        timeout=_SECONDS,
    )
    if done.returncode == 0 and done.stdout.strip():
        what = f"array {number} of this sweep is still in the queue"
        raise ConfigError(Problem(where=str(path), what=what, todo=f"wait for it, or end it: scancel {number}"))
