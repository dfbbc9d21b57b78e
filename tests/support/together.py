"""Several processes that something else has started, forked so that torch is imported once."""

from __future__ import annotations

import json
import os
import time
from pathlib import Path

from forked import fork, forked

from visioncore_engine.cli import main

__all__ = ["together"]


def together(folder, processes, *, before=None):
    """Run the command in several processes; their exit codes, what they said on standard error, and the seconds.

    Parameters
    ----------
    folder
        Where what they say is collected.
    processes
        Environment and words of the command of each.
    before
        Called in each of them with its number.
    """
    files = [Path(folder) / f"err-{number}" for number in range(len(processes))]

    def work(number):
        environment, words = processes[number]
        if before:
            before(number)
        os.environ.update({name: str(value) for name, value in environment.items()})
        os.dup2(os.open(files[number], os.O_WRONLY | os.O_CREAT | os.O_TRUNC), 2)
        return main(words)

    def lead():
        children = [fork(lambda number=number: work(number)) for number in range(len(processes))]
        codes = [os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) for child in children]
        Path(folder, "codes.json").write_text(json.dumps(codes))

    started = time.monotonic()
    ended = forked(lead, folder, limit=60)
    assert ended.code == 0, "\n".join([str(ended), *(file.read_text() for file in files if file.exists())])
    codes = json.loads(Path(folder, "codes.json").read_text())
    return codes, [file.read_text() for file in files], time.monotonic() - started
