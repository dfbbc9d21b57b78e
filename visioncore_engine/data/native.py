"""A few loops in C, compiled where there is a compiler: the same bits as without, several times faster.

The library is a plain one, built by the system's C compiler at first use and kept in the user's cache, under a name
that says what it was made of: source, compiler, flags and processor. Where it cannot be had, torch and NumPy do the
work, and why is said once.
"""

from __future__ import annotations

import ctypes
import hashlib
import os
import platform
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Literal

import numpy as np

from visioncore_engine.errors import ConfigError, Problem

__all__ = ["VALUES_OF", "Mode", "Unavailable", "build", "call", "describe", "library", "use"]

Mode = Literal["auto", "compiled", "torch"]

SOURCE = Path(__file__).with_name("native.c")

# No fused multiply-add: it rounds once where torch rounds twice.
_FLAGS = ("-O3", "-std=c11", "-ffp-contract=off", "-shared", "-fPIC")
_NATIVE = "-march=native"
_PATIENCE = 60.0  # seconds that a compiler may take

VALUES_OF = ("uint8", "int8", "int16", "uint16", "int32", "float32")
"""Dtypes that the library makes values of."""

_mode: Mode = "torch"


class Unavailable(Exception):  # noqa: N818 - named for what it says; never leaves this module but as a sentence
    """Why there is no library."""


def use(mode: Mode) -> str:
    """Choose how this process gathers from now on.

    Parameters
    ----------
    mode
        ``torch``: nothing is compiled; ``auto``: compiled where that can be had; ``compiled``: or an error.

    Returns
    -------
    Why nothing is compiled although it was asked for, to be said; else empty.

    Raises
    ------
    ConfigError
        For ``compiled`` where it cannot be had.
    """
    global _mode  # noqa: PLW0603 - like torch's number of threads: a property of the process
    _mode = "torch"
    if mode == "torch":
        return ""
    _, reason = _loaded()
    if reason and mode == "compiled":
        what = f"the compiled gather cannot be had: {reason}"
        raise ConfigError(Problem(key="loader.gather", what=what, todo="write auto or torch: the numbers are the same"))
    _mode = mode
    return reason


def library() -> ctypes.CDLL | None:
    """The compiled functions; None where torch and NumPy are to do the work."""
    return None if _mode == "torch" else _loaded()[0]


def describe() -> str:
    """How this process gathers, in a word: ``compiled`` or ``torch``."""
    return "torch" if library() is None else "compiled"


@cache
def _loaded() -> tuple[ctypes.CDLL | None, str]:
    try:
        return _checked(_declared(ctypes.CDLL(str(build(_cache_folder()))))), ""
    except (Unavailable, OSError, subprocess.SubprocessError) as error:
        return None, str(error).strip().partition("\n")[0]


def build(folder: Path) -> Path:
    """Library in a folder, compiled where it is not there yet; processes that come at once do no harm.

    Raises
    ------
    Unavailable
        Where there is no compiler, or it fails.
    OSError
        Where the folder cannot be written.
    """
    compiler = next((found for name in (os.environ.get("CC", ""), "cc", "gcc", "clang") if (found := _found(name))), "")
    if not compiler:
        raise Unavailable("no C compiler was found (cc, gcc, clang or $CC)")
    target = folder / f"native-{_digest(compiler)}.so"
    if not target.exists():
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        with tempfile.TemporaryDirectory(prefix=".native-", dir=folder) as work:
            made = Path(work) / target.name
            # What the compiler does not know of this processor, it can do without.
            error = _compile(compiler, (*_FLAGS, _NATIVE), made) and _compile(compiler, _FLAGS, made)
            if error:
                raise Unavailable(f"{compiler} failed: {error}")
            made.replace(target)
    _refuse_foreign(target)
    return target


def _found(name: str) -> str:
    return (shutil.which(name) or "") if name else ""


def _compile(compiler: str, flags: Sequence[str], target: Path) -> str:
    """Compile; returns what went wrong, empty where nothing did."""
    command = [compiler, *flags, "-o", str(target), str(SOURCE)]
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=_PATIENCE)  # noqa: S603 - the user's own compiler
    except (OSError, subprocess.TimeoutExpired) as error:
        return str(error)
    return "" if done.returncode == 0 else (done.stderr.strip().splitlines() or [f"exit code {done.returncode}"])[-1]


def _digest(compiler: str) -> str:
    """What the library is made of, and for."""
    version = subprocess.run([compiler, "--version"], capture_output=True, check=False, timeout=_PATIENCE).stdout  # noqa: S603 - the user's own compiler
    parts = (SOURCE.read_bytes(), compiler.encode(), version, " ".join((*_FLAGS, _NATIVE)).encode(), _processor())
    return hashlib.sha256(b"\0".join(hashlib.sha256(part).digest() for part in parts)).hexdigest()[:20]


def _processor() -> bytes:
    """What this processor can do: a home folder may be shared by hosts of different kinds."""
    info = Path("/proc/cpuinfo")
    lines = info.read_bytes().splitlines() if info.is_file() else []
    told = {line for line in lines if line.startswith((b"flags", b"Features", b"model name"))}
    return b"\n".join([platform.machine().encode(), platform.processor().encode(), *sorted(told)])


def _cache_folder() -> Path:
    if sys.platform == "win32":
        raise Unavailable("not on Windows")
    root = os.environ.get("XDG_CACHE_HOME") or ""
    return (Path(root) if root.startswith("/") else Path.home() / ".cache") / "visioncore_engine"


def _refuse_foreign(path: Path) -> None:
    """Refuse to load what somebody else could have written."""
    for place in (path.parent, path):
        status = place.stat()
        if status.st_uid != os.getuid() or status.st_mode & 0o022:
            raise Unavailable(f"{place} belongs to, or can be written by, somebody else")


def _declared(found: ctypes.CDLL) -> ctypes.CDLL:
    """Say what the functions take."""
    array, number, real = ctypes.c_void_p, ctypes.c_int64, ctypes.c_double
    frames = (array, number, number, number, array, number, number)
    found.copy_windows.argtypes = (*frames, array)
    for name in VALUES_OF:
        getattr(found, f"values_{name}").argtypes = (*frames, array, array, array, array)
    found.draw_blend.argtypes = (array, number, array, array, number, number, array, real, real, array, array)
    found.permute.argtypes = (array, number, number, number, number, array, number)
    for name in ("copy_windows", "draw_blend", "permute", *(f"values_{name}" for name in VALUES_OF)):
        getattr(found, name).restype = None
    return found


def _checked(found: ctypes.CDLL) -> ctypes.CDLL:
    """Refuse a library that gives other bits than NumPy: a compiler that fuses, or a file that is not what it says."""
    stored = np.arange(256, dtype=np.uint8)
    scale, offset = np.array([1.0 / 3.0], np.float32), np.array([-0.7], np.float32)
    first, out = np.zeros(1, np.int64), np.empty(256, np.float32)
    arrays = (stored, 256, 1, 1, first, 1, 256, None, scale, offset, out)
    call(found.values_uint8, *arrays)
    expected = stored.astype(np.float32) * scale + offset
    if not np.array_equal(out.view(np.int32), expected.view(np.int32)):
        raise Unavailable("the compiled library does not round as NumPy does")
    return found


def call(function: ctypes._NamedFuncPointer, *arguments: np.ndarray | float | None) -> None:
    """Call a function of the library; arrays must be contiguous, and live until it returns."""
    function(*[value.ctypes.data if isinstance(value, np.ndarray) else value for value in arguments])
