"""pytest finds this module by itself: fixtures for tests of plugins, and the count of checks.

It is loaded in every session of pytest, so it imports neither torch nor numpy nor pydantic.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from visioncore_engine.testing.guard import Tally

if TYPE_CHECKING:
    from visioncore_engine.registry import Registry
    from visioncore_engine.testing.distribution import FakeDistribution
    from visioncore_engine.testing.manager import IsolatedPlugins
    from visioncore_engine.testing.recorder import HookRecorder
    from visioncore_engine.testing.tiny import TinyRun

__all__ = ["fake_distribution", "hook_recorder", "isolated_plugins", "run_ranks", "tiny_run"]

_PROPERTY = "visioncore_check"
_TALLY = pytest.StashKey[Tally]()


@pytest.fixture
def isolated_plugins(monkeypatch: pytest.MonkeyPatch) -> Iterator[IsolatedPlugins]:
    """Plugins that the test registers and no others: `visioncore_engine.discover` finds nothing else either."""
    import importlib_metadata

    from visioncore_engine.testing.manager import IsolatedPlugins

    plugins = IsolatedPlugins()
    monkeypatch.setattr(importlib_metadata, "entry_points", plugins.entry_points)
    yield plugins
    plugins.close()


@pytest.fixture
def fake_distribution(
    tmp_path_factory: pytest.TempPathFactory, isolated_plugins: IsolatedPlugins
) -> Callable[..., FakeDistribution]:
    """Install a package for this test: ``fake_distribution("my-lab", modules={"my_lab": source})``."""
    from visioncore_engine.testing.distribution import FakeDistribution

    def install(name: str = "my-lab", version: str = "1.0", **more: Any) -> FakeDistribution:
        made = FakeDistribution(tmp_path_factory.mktemp("site"), name, version, **more)
        isolated_plugins.install(made)
        return made

    return install


@pytest.fixture
def hook_recorder() -> Iterator[HookRecorder]:
    """Write down calls: ``hook_recorder.watch(MyCallback)``; everything is put back after the test."""
    from visioncore_engine.testing.recorder import HookRecorder

    recorder = HookRecorder()
    yield recorder
    recorder.stop()


@pytest.fixture
def tiny_run(tmp_path: Path) -> Callable[..., TinyRun]:
    """A run of 12 steps on a CPU, of which any part can be replaced: ``tiny_run(callbacks=["scoreboard"])``."""
    from visioncore_engine.testing.tiny import TinyRun

    def make(registry: Registry | None = None, **changes: Any) -> TinyRun:
        return TinyRun(tmp_path, changes, registry=registry)

    return make


@pytest.fixture
def run_ranks() -> Callable[..., list[Any]]:
    """Call a function in several processes of one group: ``run_ranks(function, 2)``."""
    from visioncore_engine.testing.ranks import run_ranks

    return run_ranks


def pytest_configure(config: pytest.Config) -> None:
    """Begin to count."""
    config.stash[_TALLY] = Tally()


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark the tests that are checks of a component; reports carry it, from other processes too."""
    for item in items:
        named: Mapping[str, Any] = getattr(getattr(item, "callspec", None), "params", {})
        case, check = named.get("case"), named.get("check")
        if type(case).__name__ == "Case" and type(check).__name__ == "Check":
            item.user_properties.append((_PROPERTY, f"{case}\n{check}"))


class _Counter:
    """Counts reports in the process that sees them all."""

    def __init__(self, tally: Tally) -> None:
        self._tally = tally

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        for name, value in report.user_properties:
            if name == _PROPERTY and (report.when == "call" or report.outcome != "passed"):
                outcome = "expected" if hasattr(report, "wasxfail") else report.outcome
                component, _, check = str(value).partition("\n")
                self._tally.note(component, check, outcome)


def pytest_sessionstart(session: pytest.Session) -> None:
    """Listen to reports."""
    session.config.pluginmanager.register(_Counter(session.config.stash[_TALLY]), "visioncore_counter")


@pytest.hookimpl(trylast=True)
def pytest_sessionfinish(session: pytest.Session) -> None:
    """Fail a session in which a check was skipped."""
    if session.config.stash[_TALLY].skipped and session.exitstatus in (pytest.ExitCode.OK, 0):
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


def pytest_terminal_summary(terminalreporter: Any, config: pytest.Config) -> None:
    """Say what was checked."""
    for line in config.stash[_TALLY].lines():
        terminalreporter.write_line(line)
