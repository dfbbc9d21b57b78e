"""Methods timed in turns, A B C A B C, in one process: what disturbs a round disturbs all of them.

A ratio is taken inside each round, and then the median over rounds. CPU time of the process counts, unless a caller
asks for wall time because there is something to wait for: on a machine that others use, wall time is theirs too.
"""

from __future__ import annotations

import gc
import statistics
import time
from collections.abc import Callable, Mapping
from typing import Literal

__all__ = ["Clock", "Rounds", "interleave"]

Clock = Literal["cpu", "wall"]


class Rounds:
    """Seconds per unit of work of each method in each round."""

    def __init__(self, names: list[str]) -> None:
        self.seconds: dict[str, dict[Clock, list[float]]] = {name: {"cpu": [], "wall": []} for name in names}

    def add(self, name: str, cpu: float, wall: float) -> None:
        """Add what a method took in the current round."""
        self.seconds[name]["cpu"].append(cpu)
        self.seconds[name]["wall"].append(wall)

    def ratio(self, over: str, under: str, clock: Clock = "cpu") -> float:
        """Median over rounds of the seconds of `over` divided by those of `under`."""
        pairs = zip(self.seconds[over][clock], self.seconds[under][clock], strict=True)
        return statistics.median(a / b for a, b in pairs)

    def median(self, name: str, clock: Clock = "cpu") -> float:
        """Median seconds per unit."""
        return statistics.median(self.seconds[name][clock])


def interleave(methods: Mapping[str, tuple[Callable[[], object], int]], rounds: int) -> Rounds:
    """Time methods in turns, after one turn that does not count.

    Parameters
    ----------
    methods
        By name: the work, and how many units one call of it does.
    rounds
        Turns that count.
    """
    found = Rounds(list(methods))
    gc.collect()
    for turn in range(rounds + 1):
        for name, (work, units) in methods.items():
            wall, cpu = time.perf_counter(), time.process_time()
            work()
            cpu, wall = time.process_time() - cpu, time.perf_counter() - wall
            if turn:
                found.add(name, cpu / units, wall / units)
    return found
