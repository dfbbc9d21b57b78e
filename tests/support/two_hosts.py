"""Two hosts in one machine: namespaces with a network, a name and a list of hosts each, and a wire between them."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
from pathlib import Path

from clusters import unable

__all__ = ["TwoHosts"]

_NETNS = Path("/etc/netns")  # `ip netns exec` lays what stands here over /etc


class TwoHosts:
    """Hosts 0 and 1; their processes see the same files. Everything that it started has ended when it is left."""

    def __init__(self) -> None:
        self.names = tuple(f"host{number}-{os.getpid()}" for number in range(2))
        self.addresses = tuple(f"10.213.{os.getpid() % 256}.{number + 1}" for number in range(2))
        self._started: list[subprocess.Popen[bytes]] = []

    def __enter__(self):
        try:
            self._build()
        except (OSError, subprocess.CalledProcessError) as error:
            self.__exit__()
            said = error.stderr.strip() if isinstance(error, subprocess.CalledProcessError) else error
            unable(f"no namespaces of the network can be made here: {said}")
        return self

    def _build(self):
        hosts = "127.0.0.1 localhost\n"
        hosts += "".join(f"{address} {name}\n" for address, name in zip(self.addresses, self.names, strict=True))
        for name in self.names:
            (_NETNS / name).mkdir(parents=True)
            (_NETNS / name / "hosts").write_text(hosts)
            _ip("netns", "add", name)
        wires = [f"wire{number}-{os.getpid() % 100000}" for number in range(2)]
        _ip("link", "add", wires[0], "netns", self.names[0], "type", "veth", "peer", wires[1], "netns", self.names[1])
        for name, address, wire in zip(self.names, self.addresses, wires, strict=True):
            _ip("-n", name, "address", "add", f"{address}/24", "dev", wire)
            for link in ("lo", wire):
                _ip("-n", name, "link", "set", link, "up")

    def start(self, number, *command, folder):
        """Start a command on a host, in a session of its own; what it says goes to ``out-N`` and ``err-N``."""
        rename = 'hostname "$0" && exec "$@"'
        name = self.names[number]
        inside = ["ip", "netns", "exec", name, "unshare", "--uts", "sh", "-c", rename, name, *command]
        with (folder / f"out-{number}").open("w") as out, (folder / f"err-{number}").open("w") as err:
            started = subprocess.Popen(inside, start_new_session=True, stdout=out, stderr=err)
        self._started.append(started)
        return started

    def __exit__(self, *error):
        for started in self._started:
            if started.poll() is None:
                os.killpg(started.pid, signal.SIGKILL)
            started.wait(10)
        for name in self.names:
            inside = subprocess.run(["ip", "netns", "pids", name], capture_output=True, text=True, check=False)
            for pid in inside.stdout.split():
                os.kill(int(pid), signal.SIGKILL)
            subprocess.run(["ip", "netns", "delete", name], capture_output=True, check=False)
            shutil.rmtree(_NETNS / name, ignore_errors=True)


def _ip(*words):
    subprocess.run(["ip", *words], capture_output=True, text=True, check=True)
