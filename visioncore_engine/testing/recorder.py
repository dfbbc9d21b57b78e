"""Which functions were called, with what, in which order."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

__all__ = ["Call", "HookRecorder"]


@dataclass(frozen=True)
class Call:
    """One call: name of the function, its arguments (without `self` of a class), and what it returned."""

    name: str
    args: tuple[Any, ...]
    kwargs: dict[str, Any] = field(default_factory=dict)
    returned: Any = None


class HookRecorder:
    """Writes down calls of functions: hooks of a plugin module, methods of a component, events of a callback.

    Examples
    --------
    >>> from visioncore_engine.testing import HookRecorder
    >>> class Scheduler:
    ...     def factor(self, step):
    ...         return 1.0
    >>> with HookRecorder().watching(Scheduler, "factor") as calls:
    ...     _ = Scheduler().factor(3)
    >>> calls.names, calls.of("factor")[0].args
    (['factor'], (3,))
    """

    def __init__(self) -> None:
        self.calls: list[Call] = []
        self._undo: list[Callable[[], None]] = []

    @property
    def names(self) -> list[str]:
        """Names of the functions, in the order in which the calls returned."""
        return [call.name for call in self.calls]

    def of(self, name: str) -> list[Call]:
        """Calls of one function."""
        return [call for call in self.calls if call.name == name]

    def watch(self, target: Any, *names: str) -> None:
        """Write down calls from now on.

        Parameters
        ----------
        target
            A class, an object or a module.
        *names
            Functions of it; by default all public ones that it defines itself.

        Raises
        ------
        AttributeError
            Where it has no such function.
        """
        for name in names or [name for name, value in vars(target).items() if name[0] != "_" and callable(value)]:
            self._watch(target, name)

    def stop(self) -> None:
        """Put every function back; what was written down stays."""
        while self._undo:
            self._undo.pop()()

    @contextmanager
    def watching(self, target: Any, *names: str) -> Iterator[HookRecorder]:
        """Watch for a while."""
        self.watch(target, *names)
        try:
            yield self
        finally:
            self.stop()

    def _watch(self, target: Any, name: str) -> None:
        function, own = getattr(target, name), vars(target).get(name)
        bound = isinstance(target, type)  # a method of a class is called with an object first

        @functools.wraps(function)
        def recorded(*args: Any, **kwargs: Any) -> Any:
            returned = function(*args, **kwargs)
            self.calls.append(Call(name, args[1:] if bound else args, kwargs, returned))
            return returned

        setattr(target, name, recorded)
        if own is None:
            self._undo.append(lambda: delattr(target, name))
        else:
            self._undo.append(lambda: setattr(target, name, own))
