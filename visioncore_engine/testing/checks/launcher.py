"""Laws of launchers: a true place in every environment, one folder for all, and no torch."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from visioncore_engine.errors import EngineError, UserError
from visioncore_engine.launch import Place
from visioncore_engine.testing.case import Case
from visioncore_engine.testing.checking import check
from visioncore_engine.testing.fresh import importing
from visioncore_engine.testing.observed import difference
from visioncore_engine.testing.scenes.launcher import ENVIRONMENTS, LauncherScene, built_starts, outcome, two_hosts

__all__ = [
    "end_of_a_run_is_survived",
    "first_process_chooses_the_folder",
    "launching_needs_no_torch",
    "places_are_true",
    "processes_have_places_of_their_own",
    "started_jobs_leave_a_trace",
    "unbelievable_environments_are_refused",
]


@check("launcher", fresh_process=True)
def launching_needs_no_torch(case: Case) -> None:
    """Its builder is imported where there is no torch: jobs are submitted from machines that have none."""
    failed, address = importing(case), case.entry.component.build
    assert address not in failed, f"{address} cannot be imported without torch: {failed[address]}"


@check("launcher")
def places_are_true(case: Case) -> None:
    """In every environment it says its place, that it starts others, or what is wrong; the same each time."""
    scene = _scene(case)
    for name, environment in ENVIRONMENTS.items():
        launcher = scene.under(environment)
        try:
            place = launcher.place()
        except UserError as error:
            assert any(problem.todo for problem in error.problems), f"started {name}: no remedy in {error}"
            continue
        assert place is None or isinstance(place, Place), f"started {name}, its place is a {type(place).__name__}"
        if place is not None:
            assert 0 <= place.rank < place.world_size, f"started {name}: process {place.rank} of {place.world_size}"
            assert 0 <= place.local_rank < place.local_world_size <= place.world_size, f"started {name}: {place}"
            assert place.node_rank >= 0, f"started {name}: {place}"
        found = difference(outcome(launcher.place), outcome(scene.under(environment).place))
        assert found is None, f"asked twice, its place is another one: {found}"


@check("launcher")
def processes_have_places_of_their_own(case: Case) -> None:
    """Four processes on two hosts are those of rank 0 to 3, each with its number on its host."""
    scene = _scene(case)
    for name, environments in two_hosts().items():
        places = [outcome(scene.under(environment).place) for environment in environments]
        if not all(isinstance(place, dict) for place in places):
            continue  # it starts others, or refuses: this is not the system that it joins
        for what, wanted in (("rank", [0, 1, 2, 3]), ("local_rank", [0, 1, 0, 1]), ("node_rank", [0, 0, 1, 1])):
            found = [place[what] for place in places]
            assert found == wanted, f"started {name}, four processes have {what} {found}, not {wanted}"
        sizes = {(place["world_size"], place["local_world_size"]) for place in places}
        assert sizes == {(4, 2)}, f"started {name}, four processes on two hosts say that there are {sizes}"


@check("launcher")
def unbelievable_environments_are_refused(case: Case) -> None:
    """Variables that are missing or no numbers are the user's mistake or nobody's: never a traceback."""
    scene = _scene(case)
    for name, environment in ENVIRONMENTS.items():
        for variable in environment:
            lacking = {key: value for key, value in environment.items() if key != variable}
            for changed in (lacking, {**environment, variable: "many"}):
                try:
                    scene.under(changed).place()
                except EngineError:
                    continue
                except Exception as error:
                    raise AssertionError(
                        f"started {name} with {variable}={changed.get(variable)!r}, it fails with "
                        f"{type(error).__name__}: {error}; raise a ConfigError that names the variable"
                    ) from error


@check("launcher")
def first_process_chooses_the_folder(case: Case) -> None:
    """The first process asks for the folder and gets its own choice; nobody else chooses."""
    scene, asked = _scene(case), []

    def choose() -> Path:
        asked.append(1)
        return Path(scene.facts.run_dir)

    found = scene.under({}).agree(Place(), choose)
    assert isinstance(found, Path), f"the run folder is a {type(found).__name__}"
    assert found.resolve() == Path(scene.facts.run_dir).resolve(), f"the folder is {found}, not the one that was chosen"
    assert asked == [1], f"the folder was chosen {len(asked)} times"


@check("launcher")
def started_jobs_leave_a_trace(case: Case) -> None:
    """A job that it starts runs in as many processes as there are devices, or is told to whom it was handed."""
    scene = _scene(case)
    built = case.build(scene)
    if not built_starts(built):
        return
    told: Any = built.start(scene.job)
    ranks = sorted(path.name for path in Path(scene.facts.run_dir).glob("rank-*"))
    if told is None:
        assert ranks == ["rank-0", "rank-1"], f"of 2 processes there were {ranks}"
    else:
        assert isinstance(told, str), f"`start` returns a {type(told).__name__}"
        assert not ranks, "it starts the processes, and says that it handed them to somebody"


@check("launcher")
def end_of_a_run_is_survived(case: Case) -> None:
    """A run that ends on a signal, its own or another process's, raises nothing where nobody queues jobs."""
    launcher = _scene(case).under({})
    launcher.stopped(15)
    launcher.stopped(None)


def _scene(case: Case) -> LauncherScene:
    scene = case.scene_of()
    assert isinstance(scene, LauncherScene), "the scene of a launcher is a LauncherScene"
    return scene
