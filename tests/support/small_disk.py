"""A small file system of its own, for as long as a process lives."""

from __future__ import annotations

import ctypes
import os

import pytest
from forked import forked

__all__ = ["on_a_small_disk"]

_NEW_MOUNTS, _NEW_USER = 0x00020000, 0x10000000  # CLONE_NEWNS and CLONE_NEWUSER of clone(2)
_PRIVATE = (1 << 18) | (1 << 14)  # MS_PRIVATE and MS_REC of mount(2)


def on_a_small_disk(home, work, kilobytes=600):
    """Do `work` where the folder ``small`` of `home` is a file system of its own; the mount goes with the process.

    `work` is called in a child with the C library, and reports by raising.
    """
    (home / "small").mkdir()

    def inside():
        libc = ctypes.CDLL(None, use_errno=True)
        if libc.unshare(_NEW_MOUNTS if os.geteuid() == 0 else _NEW_USER | _NEW_MOUNTS):
            return 77
        libc.mount(b"none", b"/", None, _PRIVATE, None)
        if libc.mount(b"tmpfs", bytes(home / "small"), b"tmpfs", 0, f"size={kilobytes}k".encode()):
            return 77
        work(libc)
        return 0

    ended = forked(inside, home.parent)
    if ended.code == 77:
        pytest.skip("this system lets nobody mount a small disk here")
    assert ended.code == 0, ended
