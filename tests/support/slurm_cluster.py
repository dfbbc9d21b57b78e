"""A real SLURM of one host: munged, slurmctld and slurmd on the loopback interface, in a folder of their own."""

from __future__ import annotations

import getpass
import os
import re
import shutil
import signal
import socket
import subprocess
import tempfile
from pathlib import Path

from clusters import PATH
from waiting import until

__all__ = ["PROGRAMS", "SlurmCluster"]

PROGRAMS = ("munged", "slurmctld", "slurmd", "sbatch", "srun", "scancel", "scontrol", "squeue", "sinfo")


CONFIGURATION = """
ClusterName=test
SlurmctldHost={host}(127.0.0.1)
SlurmctldPort={ports[0]}
SlurmdPort={ports[1]}
AuthType=auth/munge
AuthInfo=socket={folder}/munge.socket
CredType=cred/munge
SlurmUser={user}
SlurmdUser={user}
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd.pid
SlurmdParameters=config_overrides
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SwitchType=switch/none
MpiDefault=none
SelectType=select/cons_tres
SelectTypeParameters=CR_Core
JobAcctGatherType=jobacct_gather/none
AccountingStorageType=accounting_storage/none
SchedulerParameters=sched_interval=1,bf_interval=1
ReturnToService=2
KillWait=30
NodeName={host} NodeAddr=127.0.0.1 CPUs=2 RealMemory=500 State=UNKNOWN
PartitionName=test Nodes={host} Default=YES MaxTime=INFINITE State=UP
"""


class SlurmCluster:
    """Daemons, and what one asks them. Everything that it started has ended when it is left."""

    def __init__(self) -> None:
        # Paths of sockets are short, those of pytest's folders are not.
        self.folder = Path(tempfile.mkdtemp(prefix="slurm-"))
        self.environment = {**os.environ, "PATH": PATH, "SLURM_CONF": str(self.folder / "slurm.conf")}
        self._daemons: list[subprocess.Popen[bytes]] = []

    def __enter__(self):
        for name in ("state", "spool"):
            (self.folder / name).mkdir()
        key = self.folder / "munge.key"
        key.write_bytes(os.urandom(128))
        key.chmod(0o400)
        text = CONFIGURATION.format(
            folder=self.folder, host=socket.gethostname().partition(".")[0], user=getpass.getuser(), ports=_ports(2)
        )
        (self.folder / "slurm.conf").write_text(text)
        try:
            self._start_daemons()
        except BaseException:
            self.__exit__()
            raise
        return self

    def _start_daemons(self):
        files = {name: self.folder / f"munge.{name}" for name in ("key", "socket", "pid", "log", "seed")}
        self._start(
            "munged",
            *("--foreground", "--force", f"--key-file={files['key']}", f"--socket={files['socket']}"),
            *(f"--pid-file={files['pid']}", f"--log-file={files['log']}", f"--seed-file={files['seed']}"),
        )
        until("munged listens", files["socket"].exists, seconds=20, shown=self.logs)
        self._start("slurmctld", "-D")
        self._start("slurmd", "-D")
        idle = ("sinfo", "--noheader", "--format=%t")
        until("the host is idle", lambda: self.ask(*idle) == "idle", seconds=40, shown=self.logs)

    def _start(self, program, *arguments):
        with (self.folder / f"{program}.log").open("wb") as log:
            command = [str(shutil.which(program, path=PATH)), *arguments]
            self._daemons.append(subprocess.Popen(command, env=self.environment, stdout=log, stderr=log))

    def __exit__(self, *error):
        if len(self._daemons) == 3:
            self.ask("scancel", "--full", "--signal=KILL", f"--user={getpass.getuser()}")
        for daemon in reversed(self._daemons):
            daemon.terminate()
        for daemon in reversed(self._daemons):
            try:
                daemon.wait(10)
            except subprocess.TimeoutExpired:
                daemon.kill()
                daemon.wait(10)
        self.end_leftovers()
        shutil.rmtree(self.folder, ignore_errors=True)

    def end_leftovers(self):
        """End what jobs left running: it was started with our configuration."""
        mark = f"SLURM_CONF={self.folder}".encode()
        for entry in Path("/proc").iterdir():
            try:
                if entry.name.isdigit() and int(entry.name) != os.getpid() and mark in (entry / "environ").read_bytes():
                    os.kill(int(entry.name), signal.SIGKILL)
            except (OSError, ProcessLookupError):  # it ended by itself, or is not ours
                continue

    def ask(self, *command):
        """What a command of SLURM says; empty where it fails."""
        done = subprocess.run(command, env=self.environment, capture_output=True, text=True, check=False, timeout=60)
        return done.stdout.strip() if done.returncode == 0 else ""

    def job(self, number):
        """What `scontrol` knows of a job."""
        return dict(re.findall(r"(\w+)=(\S*)", self.ask("scontrol", "--oneliner", "show", "job", str(number))))

    def logs(self):
        """What the daemons said."""
        return "\n".join(f"--- {path.name}\n{path.read_text()[-3000:]}" for path in self.folder.glob("*.log"))


def _ports(number):
    """Ports that are free now."""
    sockets = [socket.socket() for _ in range(number)]
    try:
        for one in sockets:
            one.bind(("127.0.0.1", 0))
        return [one.getsockname()[1] for one in sockets]
    finally:
        for one in sockets:
            one.close()
