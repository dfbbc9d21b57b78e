"""Writing beside training: a copy of what is saved is taken at once, and a thread writes it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

import torch
from torch import Tensor

__all__ = ["Scribe", "Snapshot"]


class Snapshot:
    """Copies trees of tensors and plain values into memory of its own, which is used again.

    Fresh memory costs six times what copying into used memory costs (page faults), so tensors are copied into those of
    the copy before. A copy is good until the next.
    """

    def __init__(self) -> None:
        self._tensors: dict[tuple[Any, ...], Tensor] = {}

    def take(self, tree: Mapping[str, Any]) -> dict[str, Any]:
        """Copy a tree; what is changed later in the original does not show in the copy."""
        copy: dict[str, Any] = self._copy(tree, ())
        return copy

    def _copy(self, value: Any, place: tuple[Any, ...]) -> Any:
        if isinstance(value, Tensor):
            return self._copy_tensor(value, place)
        if isinstance(value, Mapping):
            return {key: self._copy(item, (*place, key)) for key, item in value.items()}
        if type(value) in (list, tuple):
            return type(value)(self._copy(item, (*place, number)) for number, item in enumerate(value))
        return value

    @torch.no_grad()
    def _copy_tensor(self, value: Tensor, place: tuple[Any, ...]) -> Tensor:
        kept = self._tensors.get(place)
        if kept is None or kept.shape != value.shape or kept.dtype != value.dtype:
            kept = torch.empty(value.shape, dtype=value.dtype, pin_memory=value.is_cuda)
            self._tensors[place] = kept
        return kept.copy_(value)


class Scribe:
    """One thread that does what it is given, in order, until something fails."""

    def __init__(self) -> None:
        self._pool: ThreadPoolExecutor | None = None
        self._failure: BaseException | None = None
        self._last: Future[None] | None = None

    def submit(self, job: Callable[[], None]) -> None:
        """Do `job` after those before it; nothing is done after one that failed."""
        if self._pool is None:
            self._pool = ThreadPoolExecutor(max_workers=1, thread_name_prefix="visioncore-scribe")
        self._last = self._pool.submit(self._do, job)

    def _do(self, job: Callable[[], None]) -> None:
        if self._failure is None:
            try:
                job()
            except BaseException as failure:  # noqa: BLE001 - raised again where training can be ended: `check`
                self._failure = failure

    def check(self) -> None:
        """Raise what failed, if something did."""
        if self._failure is not None:
            raise self._failure

    def close(self) -> None:
        """Wait as `wait` does, and end the thread."""
        if self._pool is not None:
            self._pool.shutdown()
            self._pool = None
        self.check()

    def wait(self) -> None:
        """Wait until everything is done, and raise what failed."""
        if self._last is not None:
            self._last.result()
        self.check()
