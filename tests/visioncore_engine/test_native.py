"""The compiled library: built once, checked before it is used, done without where it cannot be had."""

from __future__ import annotations

import os
import stat
import subprocess
import sys

import pytest
from roads import road

from visioncore_engine.data import native
from visioncore_engine.errors import ConfigError


@pytest.fixture
def cache(tmp_path, monkeypatch):
    """A user's cache that is empty, and a process that has not looked yet."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    native._loaded.cache_clear()
    before = native._mode
    yield tmp_path / "cache" / "visioncore_engine"
    native._loaded.cache_clear()
    monkeypatch.undo()
    native.use(before)


def compiler(folder, *lines):
    """A compiler of our own, found first."""
    folder.mkdir(exist_ok=True)
    path = folder / "mycc"
    path.write_text("\n".join(["#!/bin/sh", *lines, ""]))
    path.chmod(0o755)
    return str(path)


def test_it_is_compiled_once_and_belongs_to_the_user(cache):
    with road("compiled"):
        assert native.describe() == "compiled"
        (library,) = cache.glob("*.so")
        made = library.stat().st_mtime_ns
        native._loaded.cache_clear()
        assert native.use("auto") == ""
        assert library.stat().st_mtime_ns == made
        assert [path.name for path in cache.iterdir()] == [library.name]  # no half-made file is left
        assert stat.S_IMODE(cache.stat().st_mode) & 0o077 == 0


def test_without_a_compiler_torch_does_the_work_and_the_reason_is_said(cache, monkeypatch):
    monkeypatch.setattr(native.shutil, "which", lambda name: None)
    assert "no C compiler was found" in native.use("auto")
    assert native.library() is None
    assert native.describe() == "torch"
    with pytest.raises(ConfigError, match=r"loader\.gather.*no C compiler was found"):
        native.use("compiled")
    assert native.use("torch") == ""


def test_a_compiler_that_fails_is_quoted(cache, tmp_path, monkeypatch):
    monkeypatch.setenv(
        "CC", compiler(tmp_path / "bin", 'test "$1" = --version && exit 0', "echo nobody home >&2", "exit 1")
    )
    assert "nobody home" in native.use("auto")
    assert list(cache.iterdir()) == []


def test_a_compiler_that_never_answers_is_given_up(cache, tmp_path, monkeypatch):
    monkeypatch.setattr(native, "_PATIENCE", 0.2)
    monkeypatch.setenv("CC", compiler(tmp_path / "bin", "exec sleep 30"))
    assert "timed out" in native.use("auto")


def test_a_compiler_that_does_not_know_the_processor_is_asked_again_without(cache, tmp_path, monkeypatch):
    if not native._found("cc"):
        pytest.skip("no compiler")
    refuse = 'case "$*" in *-march=native*) echo unknown >&2; exit 1;; esac'
    monkeypatch.setenv("CC", compiler(tmp_path / "bin", refuse, 'exec cc "$@"'))
    assert native.use("auto") == ""
    assert native.describe() == "compiled"


def test_a_library_that_rounds_otherwise_is_not_used(cache, tmp_path, monkeypatch):
    """One that multiplies and adds in one step: more exact, and not what torch gives."""
    if not native._found("cc"):
        pytest.skip("no compiler")
    source = tmp_path / "other.c"
    text = native.SOURCE.read_text()
    assert "float product = (float)in[i] * scale;" in text
    fused = text.replace(
        "out[i] = product + offset;", "(void)product; out[i] = __builtin_fmaf((float)in[i], scale, offset);"
    )
    source.write_text(fused)
    monkeypatch.setattr(native, "SOURCE", source)
    assert "does not round as NumPy does" in native.use("auto")
    assert native.library() is None


def test_what_others_may_write_is_not_loaded(cache):
    with road("compiled"):
        (library,) = cache.glob("*.so")
    library.chmod(0o777)
    native._loaded.cache_clear()
    assert "somebody else" in native.use("auto")
    library.chmod(0o755)
    cache.chmod(0o777)
    native._loaded.cache_clear()
    assert "somebody else" in native.use("auto")


def test_a_damaged_library_is_no_end(cache):
    if not native._found("cc"):
        pytest.skip("no compiler")
    native.build(cache).write_bytes(b"not a library")
    assert "native-" in native.use("auto")
    assert native.library() is None


def test_another_source_is_another_file(cache, tmp_path, monkeypatch):
    if not native._found("cc"):
        pytest.skip("no compiler")
    first = native.build(cache)
    other = tmp_path / "other.c"
    other.write_text(native.SOURCE.read_text() + "\n/* changed */\n")
    monkeypatch.setattr(native, "SOURCE", other)
    assert native.build(cache) != first
    assert len(list(cache.glob("*.so"))) == 2


def test_processes_that_come_at_once_do_no_harm(cache):
    if not native._found("cc"):
        pytest.skip("no compiler")
    code = "from visioncore_engine.data import native; print(native.use('compiled') or native.describe())"
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    started = [
        subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True, env=environment)
        for _ in range(2)
    ]
    assert [process.communicate(timeout=120)[0] for process in started] == ["compiled\n"] * 2
    assert len(list(cache.iterdir())) == 1


def test_a_home_that_cannot_be_written_is_a_reason(cache, tmp_path, monkeypatch):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    assert "file" in native.use("auto")
