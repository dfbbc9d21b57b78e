"""A hang is noticed, named and ended; work that goes on, or a process that was stopped, is no hang."""

from __future__ import annotations

import threading

import pytest
import toy_plugin
import unruly_plugin
from engine_road import EngineRoad
from unruly_parts import rank

from visioncore_engine import watchdog as module
from visioncore_engine.watchdog import SETUP_ALLOWANCE, Watchdog

LIMIT = 40.0


class Clock:
    now = 0.0

    def __call__(self):
        return self.now


class Watched:
    """A watchdog with a clock of its own, whose end is written down."""

    def __init__(self, folder, *, rank=0, world_size=1, limit=LIMIT):
        self.clock, self.ended = Clock(), []
        self.dog = Watchdog(
            limit,
            folder,
            rank=rank,
            world_size=world_size,
            locate=lambda frame: f"plugin 'p', {frame.f_code.co_name}",
            clock=self.clock,
            end=self.ended.append,
        )

    def live(self, seconds, beat=None):
        """Let time pass, a second at a poll."""
        for _ in range(int(seconds)):
            self.clock.now += 1.0
            if beat is not None:
                self.dog.beat(*beat)
            self.dog.poll()
            if self.ended:
                return


@pytest.fixture
def alone(monkeypatch):
    """No waiting for the stacks of others: they are simulated in this process."""
    monkeypatch.setattr(module, "_OTHERS_SECONDS", 0.0)


def test_a_step_without_an_end_is_named_and_ends_with_75(tmp_path, capfd):
    watched = Watched(tmp_path / "stacks", rank=1, world_size=1)
    watched.dog.beat("training", 12)
    watched.live(LIMIT)
    assert watched.ended == []
    watched.live(1)
    assert watched.ended == [75]
    told = capfd.readouterr().err
    assert "hang: rank 1: no sign of life for 41 s in training of step 12 (plugin 'p', " in told
    assert "Current thread" in told
    written = (tmp_path / "stacks" / "rank-1.txt").read_text()
    assert written.startswith("hang: rank 1: ")
    assert "test_watchdog.py" in written


def test_no_false_alarm_in_a_validation_ten_times_the_limit(tmp_path):
    watched = Watched(tmp_path)
    watched.dog.beat("validation", 5)
    for _ in range(20):
        watched.live(LIMIT / 2)
        watched.dog.beat()
    assert watched.ended == []
    watched.live(LIMIT + 1)
    assert watched.ended == [75]


def test_set_up_has_an_allowance_of_its_own(tmp_path):
    watched = Watched(tmp_path)
    watched.live(SETUP_ALLOWANCE * LIMIT)
    assert watched.ended == []
    watched.live(1)
    assert watched.ended == [75]


def test_a_process_that_was_stopped_and_woken_does_not_hang(tmp_path):
    watched = Watched(tmp_path)
    watched.dog.beat("training", 1)
    watched.live(5)
    watched.clock.now += 100 * LIMIT
    watched.dog.poll()
    watched.live(5)
    assert watched.ended == []
    watched.live(LIMIT)
    assert watched.ended == [75]


@pytest.mark.usefixtures("alone")
def test_all_processes_leave_their_stacks_when_one_hangs(tmp_path, capfd):
    (tmp_path / "rank-0.txt").write_text("of an earlier run, which is none of ours")
    first, second = (Watched(tmp_path, rank=number, world_size=2) for number in (0, 1))
    for watched in (first, second):
        watched.dog.beat("training", 3)
    second.live(LIMIT)
    first.live(5)
    assert first.ended == []
    second.live(1)
    first.dog.poll()
    assert first.ended == second.ended == [75]
    assert "hang: rank 0: another process hangs in training of step 3" in capfd.readouterr().err
    assert (tmp_path / "rank-0.txt").read_text().startswith("hang: rank 0: ")


@pytest.mark.usefixtures("alone")
def test_a_folder_that_cannot_be_written_still_ends_the_process(tmp_path, capfd):
    (tmp_path / "file").write_text("")
    watched = Watched(tmp_path / "file" / "stacks")
    watched.dog.beat("training", 1)
    watched.live(LIMIT + 1)
    assert watched.ended == [75]
    assert "cannot write" in capfd.readouterr().err


def test_stacks_are_whole_when_others_see_them(tmp_path, monkeypatch):
    seen = []

    def dump(file, **_):
        seen.append(sorted(path.name for path in tmp_path.glob("*.txt")))

    monkeypatch.setattr(module.faulthandler, "dump_traceback", dump)
    watched = Watched(tmp_path, rank=0)
    watched.dog.beat("training", 1)
    watched.live(LIMIT + 1)
    assert seen == [[], []], "the others, and the launcher, end this process once its file is there"
    assert [path.name for path in tmp_path.iterdir()] == ["rank-0.txt"]


def test_the_thread_ends_with_its_context(tmp_path):
    watched = Watched(tmp_path)
    with watched.dog.running():
        assert any(thread.name == "visioncore-watchdog" for thread in threading.enumerate())
    assert not any(thread.name == "visioncore-watchdog" for thread in threading.enumerate())


def test_the_place_is_that_of_the_watched_thread(tmp_path, capfd):
    watched, release, standing = Watched(tmp_path), threading.Event(), threading.Event()

    def work():
        watched.dog._watched = threading.get_ident()
        standing.set()
        release.wait()

    thread = threading.Thread(target=work)
    thread.start()
    standing.wait()
    watched.dog._locate = lambda frame: " < ".join(name_of(frame))
    watched.dog.beat("training", 1)
    watched.live(LIMIT + 1)
    release.set()
    thread.join()
    assert " work < " in capfd.readouterr().err


def name_of(frame):
    while frame is not None:
        yield frame.f_code.co_name
        frame = frame.f_back


RUN = """
data: {name: toy, num_groups: 2}
sampler: {name: toy_random, batch_size: 8, batches_per_epoch: 4}
model: toy_linear
loss: toy_squared
optimizer: {name: toy_sgd, lr: 0.01}
callbacks: [unruly]
loggers: []
policies: {watchdog: 3}
trainer: {max_epochs: 2, accelerator: cpu}
"""


@pytest.mark.parametrize(
    ("hook", "processes", "where"),
    [
        ("on_train_batch_end", 1, "what follows of step 2"),
        ("on_train_batch_start", 2, "training of step 3"),
        ("on_validation_end", 2, "what follows a validation of step 4"),
    ],
)
def test_f23_a_callback_that_never_returns(tmp_path, handlers, hook, processes, where):
    road = EngineRoad(tmp_path, RUN, (toy_plugin.__file__, unruly_plugin.__file__))

    def wait_for_ever(trainer, module):
        if trainer.global_step >= 3 and rank() == processes - 1:
            threading.Event().wait()

    handlers[hook] = wait_for_ever
    ended = road.train("run", processes=processes)
    assert ended.code == 75, ended
    assert f"hang: rank {processes - 1}: " in ended.err
    assert f"in {where} (plugin 'unruly_plugin' (" in ended.err
    assert "wait_for_ever" in ended.err
    stacks = tmp_path / "run" / "stacks"
    assert sorted(path.name for path in stacks.iterdir()) == [f"rank-{number}.txt" for number in range(processes)], (
        ended
    )
    assert all("Thread 0x" in path.read_text() for path in stacks.iterdir())
    assert (tmp_path / "run/checkpoints").is_dir()


def test_a_training_that_fails_leaves_no_watchdog_behind(tmp_path, monkeypatch, handlers):
    from visioncore_engine import resolve, train
    from visioncore_engine.errors import RunError

    monkeypatch.chdir(tmp_path)
    (tmp_path / "run.yaml").write_text(RUN)

    def fail(trainer, module):
        raise ValueError

    handlers["on_train_batch_end"] = fail
    with pytest.raises(RunError):
        train(resolve(["run.yaml"], plugin_files=[toy_plugin.__file__, unruly_plugin.__file__]), quiet=True)
    assert not any(thread.name == "visioncore-watchdog" for thread in threading.enumerate())
