"""What each component of a run costs per optimizer step, for ``visioncore train --profile-plugins``.

Every component that is built is given a subclass of its own class whose methods, those of its kind's contract, are
timed. Time inside another component (a stage inside a model) counts for that one alone. Without a profile nothing is
wrapped, and no line of a step knows of it. Backward passes run inside torch and count for the engine.
"""

from __future__ import annotations

import functools
import inspect
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from visioncore_engine.component import KINDS, resolve_address
from visioncore_engine.options import Choice, watching

__all__ = ["Cost", "Profile"]

# What a method returns that is a component's work too: a dataset reads its windows through its sources.
_PARTS = {"sources": "visioncore_engine.contracts:Source"}


@dataclass
class Cost:
    """What one component has cost since `Profile.begin`.

    Attributes
    ----------
    kind, name, id, plugin, origin
        The component, how the run calls the block, and who provides it.
    calls, seconds
        Calls of its methods, and the time in them, without the time in other components that they call.
    beside_seconds
        The part of `seconds` that was spent in another thread than that of the steps.
    """

    kind: str
    name: str
    id: str
    plugin: str
    origin: str
    calls: int = 0
    seconds: float = 0.0
    beside_seconds: float = 0.0


class Profile:
    """Measures the components that are built while it is `watching`.

    Parameters
    ----------
    clock
        Seconds that only grow; on a GPU one that waits for what was started.
    """

    def __init__(self, clock: Callable[[], float] = time.perf_counter) -> None:
        self.clock = clock
        self.unmeasured: list[str] = []
        self._measured: set[type] = set()
        self._costs: dict[tuple[str, str, str], Cost] = {}
        self._inner = threading.local()
        self._lock = threading.Lock()
        self._thread = threading.get_ident()
        self._began = self._ended = 0.0

    @contextmanager
    def watching(self) -> Iterator[None]:
        """Measure whatever is built meanwhile."""
        with watching(self.watch):
            yield

    @contextmanager
    def measuring(self) -> Iterator[None]:
        """Count what happens meanwhile, and nothing of before."""
        for cost in self._costs.values():
            cost.calls, cost.seconds, cost.beside_seconds = 0, 0.0, 0.0
        self._thread, self._began = threading.get_ident(), self.clock()
        try:
            yield
        finally:
            self._ended = self.clock()

    def watch(self, choice: Choice, built: Any) -> None:
        """Measure a component from now on."""
        key = (choice.kind, choice.id, choice.plugin)
        cost = self._costs.setdefault(key, Cost(choice.kind, choice.name, choice.id, choice.plugin, choice.origin))
        if not self._time(built, KINDS[choice.kind].returns, cost):
            self.unmeasured.append(choice.title)

    def _time(self, built: Any, contract: str, cost: Cost) -> bool:
        """Give an object a class whose methods are timed; whether that can be done."""
        own = type(built)
        if own in self._measured:  # given out before
            return True
        methods = {name: self._timed(getattr(own, name), cost) for name in _methods(own, resolve_address(contract))}
        try:
            measured = type(own.__name__, (own,), {**methods, "__slots__": ()})
            measured.__module__, measured.__qualname__, measured.__doc__ = own.__module__, own.__qualname__, own.__doc__
            object.__setattr__(built, "__class__", measured)
        except TypeError:  # a function, or a class of C
            return False
        self._measured.add(measured)
        return True

    def _timed(self, function: Callable[..., Any], cost: Cost) -> Callable[..., Any]:
        part = _PARTS.get(function.__name__)

        @functools.wraps(function)
        def timed(*arguments: Any, **named: Any) -> Any:
            inner = self._inner.__dict__.setdefault("seconds", [])
            inner.append(0.0)
            began = self.clock()
            try:
                result = function(*arguments, **named)
            finally:
                elapsed = self.clock() - began
                seconds = elapsed - inner.pop()
                if inner:
                    inner[-1] += elapsed
                with self._lock:
                    cost.calls += 1
                    cost.seconds += seconds
                    cost.beside_seconds += seconds if threading.get_ident() != self._thread else 0.0
            for source in result if part else ():
                self._time(source, part or "", cost)
            return result

        return timed

    def summary(self, num_steps: int) -> dict[str, Any]:
        """What was counted, as plain values.

        Parameters
        ----------
        num_steps
            Optimizer steps that were taken; validations between them count too.

        Returns
        -------
        ``steps``; ``seconds`` in all; ``engine_ms``, what is left of a step for the engine, Lightning and backward
        passes; per plugin and per component (dearest first) the milliseconds of a step, of which ``beside_ms``
        in another thread; ``unmeasured``.
        """
        steps = max(1, num_steps)
        costs = sorted(self._costs.values(), key=lambda cost: (-cost.seconds, cost.kind, cost.id))
        components = [
            {
                "kind": cost.kind,
                "name": cost.name,
                "id": cost.id,
                "plugin": cost.plugin,
                "origin": cost.origin,
                "calls": cost.calls / steps,
                "ms": 1000 * cost.seconds / steps,
                "beside_ms": 1000 * cost.beside_seconds / steps,
            }
            for cost in costs
        ]
        plugins: dict[str, float] = {}
        for cost in costs:
            plugins[cost.plugin] = plugins.get(cost.plugin, 0.0) + 1000 * cost.seconds / steps
        inside = sum(cost.seconds - cost.beside_seconds for cost in costs)
        return {
            "steps": num_steps,
            "seconds": self._ended - self._began,
            "engine_ms": 1000 * (self._ended - self._began - inside) / steps,
            "plugins": plugins,
            "components": components,
            "unmeasured": list(self.unmeasured),
        }


def _methods(own: type, contract: Any) -> list[str]:
    """Methods of a class that its contract calls for: of a protocol all, of a base class those that it overrides."""
    if not getattr(contract, "_is_protocol", False):
        public = [name for name in dir(contract) if not name.startswith("_")]
        wanted = [name for name in public if getattr(own, name, None) is not getattr(contract, name)]
    else:
        wanted = [name for name in vars(contract) if not name.startswith("_")]
        if "__call__" in vars(contract):  # a module is called through torch, which calls `forward`
            wanted.append("forward" if hasattr(own, "forward") else "__call__")
    return [name for name in wanted if inspect.isfunction(inspect.getattr_static(own, name, None))]
