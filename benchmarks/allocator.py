"""What glibc does with memory that is freed, made the same in every round.

By itself it moves its thresholds with what was freed before, and gives back memory only where nothing lies above it: a
method that makes its tensors anew may find its pages still there, or fault them in one by one, and takes twice as long
then. Which of the two happens is luck. `give_back` is where every process starts: what is larger than 128 kB is
mapped and unmapped each time. `keep` never gives anything back.
"""

from __future__ import annotations

import ctypes

__all__ = ["give_back", "keep"]

# Numbers of glibc's malloc.h.
_TRIM_THRESHOLD, _MMAP_THRESHOLD = -1, -3
_START = 128 * 1024
_ALL = 2**30


def give_back() -> None:
    """Fix the thresholds that a process starts with."""
    _set(_START)


def keep() -> None:
    """Keep all memory that was ever asked for."""
    _set(_ALL)


def _set(size: int) -> None:
    library = ctypes.CDLL(None)
    if not hasattr(library, "mallopt"):  # another libc: it does as it likes
        return
    library.mallopt(_MMAP_THRESHOLD, size)
    library.mallopt(_TRIM_THRESHOLD, size)
