"""What a module may not do while it is imported: change torch for everybody. Imports no torch itself."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from visioncore_engine.errors import PluginError, Problem

__all__ = ["untouched"]


@contextmanager
def untouched(who: str, where: str = "") -> Iterator[None]:
    """Watch over an import.

    The network is not watched: an installed plugin is trusted code. What is found here it does by mistake, and then the
    same run gives other results where the module had been imported before.

    Parameters
    ----------
    who
        What is imported, in words.
    where
        Its place in the run file.

    Raises
    ------
    PluginError
        Naming what was changed.
    """
    before = _state()
    yield
    after = _state()
    changed = [
        what if isinstance(then, bytes) else f"{what} from {then} to {after[what]}"
        for what, then in before.items()
        if then != after[what]
    ]
    if changed:
        raise PluginError(
            Problem(
                where=where,
                what=f"{who} changes {' and '.join(changed)} when it is imported",
                todo="do that in its builder, or not at all",
            )
        )


def _state() -> Mapping[str, object]:
    torch = sys.modules.get("torch")
    if torch is None:
        return {}
    return {
        "torch's default dtype": torch.get_default_dtype(),
        "torch's number of threads": torch.get_num_threads(),
        "torch's random state": bytes(torch.get_rng_state().numpy()),
        "whether CUDA is initialised": torch.cuda.is_initialized(),
    }
