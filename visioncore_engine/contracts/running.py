"""Around a run: callbacks, loggers and evaluators."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

from torch import Tensor, nn

from visioncore_engine.contracts.data import Dataset, Sampler
from visioncore_engine.contracts.flow import Batch, GroupSpec, Result

__all__ = ["CallbackFacts", "Evaluation", "Evaluator", "EvaluatorFacts", "LoggerFacts", "Training"]


@dataclass(frozen=True)
class CallbackFacts:
    """What a callback is built with. Work that takes longer than `policies.watchdog` calls `heartbeat` now and then.

    `sampler` is that of the run; None where a callback is tried without one.

    `keep_checkpoint`, called in `on_save_checkpoint` of the first process, gives the checkpoint that is being saved a
    second name, in any folder of the same file system; the future is done once it is on disk under that name, and holds
    the error where it could not be named so. `command` makes of the words of a ``visioncore`` command what starts it in
    a process beside this one, with the run's plugins and low priority; on Linux it is killed when this process ends.

    `offer_weights`, called in `on_save_checkpoint`, has the checkpoint that is being saved offer other weights than
    those that are trained, by their names in ``pl_module``: whatever evaluates, loads or transfers it takes them, while
    a resume goes on with those that are trained. What has no place in the model, or is not finite, ends the run.
    """

    run_dir: Path
    monitor: str
    mode: str
    total_steps: int | None
    steps_per_epoch: int
    heartbeat: Callable[[], None] = lambda: None
    sampler: Sampler | None = None
    keep_checkpoint: Callable[[Path], Future[None]] = lambda _: Future()
    command: Callable[..., Sequence[str]] = lambda *words: words
    offer_weights: Callable[[Mapping[str, Tensor]], None] = lambda _: None


class Training(ABC):
    """What a callback may ask of the module that trains (``pl_module``).

    `on_before_optimizer_step` is called once per step, when gradients are whole and `recent_loss` is the step's own.
    All processes hold the same loss and the same gradients, and must ask for the same there: a step that only some of
    them leave out ends the run at the next.

    Whatever has all of these members is one, whether it derives from this class or not.
    """

    @classmethod
    def __subclasshook__(cls, other: type) -> Any:
        # Not a protocol: callbacks ask in every step, and an abstract class remembers the answer for each class, where
        # a protocol lists its members anew each time (13 µs in Python 3.11).
        if cls is not Training:
            return NotImplemented
        return all(hasattr(other, name) for name in cls.__abstractmethods__)

    @abstractmethod
    def recent_loss(self) -> float | None:
        """Loss of the last step over all processes; None before the first."""

    @abstractmethod
    def track(self, name: str, value: Tensor | float) -> None:
        """Log a scalar of this step: its mean over the steps until the next row of training values.

        It becomes ``train/<name>`` every `trainer.log_every_n_steps`. A tensor is kept as it is and read only then: no
        step waits for a device. Lightning's own ``log`` takes a thousand times as long. The first process's is logged.
        """

    @abstractmethod
    def log_pictures(self, pictures: Mapping[str, Path], step: int) -> None:
        """Show PNG files by name in those loggers that take pictures, as those of a step; in the training thread.

        The files stay where they are until the run has ended: loggers read them in threads of their own.
        """

    @abstractmethod
    def skip_step(self) -> None:
        """Leave the current step out: no weight, optimizer state or buffer changes."""

    @property
    @abstractmethod
    def total_steps(self) -> int:
        """Optimizer steps that the run has in all, as it is planned now."""

    @abstractmethod
    def plan_end(self, total_steps: int) -> None:
        """Have the run end at another step than now planned: one to come, and none beyond what the run file plans.

        Learning rates, and schedules whose clock is ``fraction``, go over the rest of their course at another pace and
        end with the run; they do not jump. The plan of a sampler stays what it is: it knows no end, and is read ahead.
        For hooks between steps (`on_validation_end`, say), with one number on all processes: another one ends the run
        at the next step. Checkpoints keep it.
        """

    @abstractmethod
    def roll_back(self) -> bool:
        """Leave the current step out, and go on from the weights and optimizer state of the last checkpoint.

        Returns False, and leaves nothing out, where none was saved yet.
        """


@dataclass(frozen=True)
class LoggerFacts:
    """What a logger is built with. `resume_id` is what the logger kept in the checkpoint, None on a fresh run.

    Only the first process builds loggers. `log_metrics`, `save` and `finalize` are called in a thread of the logger's
    own; what it cannot take in time is dropped and counted, and one that raises is switched off: training goes on. A
    `StorageError` of `visioncore_engine.errors` ends the run. One that shows pictures has ``log_pictures(pictures,
    step)``, called in the same way with PNG files by name. A logger may have these attributes:

    ``resume_id``
        Text that comes back here after a resume.
    ``patience``
        Seconds that the end of a run waits for rows on their way; 2 by default.
    ``writes_at_once``
        True for a local file that is the record of the run: called in the training thread, nothing is dropped.
    """

    run_dir: Path
    run_name: str
    config: Mapping[str, Any]
    resume_id: str | None = None


@dataclass(frozen=True)
class EvaluatorFacts:
    """What an evaluator is built with."""

    groups: tuple[GroupSpec, ...]


class Evaluation(Protocol):
    """What an evaluator may use: the trained model in eval mode and the data it is evaluated on."""

    dataset: Dataset
    model: nn.Module
    split: str
    scores: Mapping[str, Result]  # what each metric of the run found on this split, by its name

    def batches(self, groups: Sequence[str] | None = None) -> Iterator[tuple[Batch, list[dict[str, Tensor]]]]:
        """Every window of the split once, in order, with the model's outputs (cropped to the predicted frames)."""
        ...


@runtime_checkable
class Evaluator(Protocol):
    """Makes tables, figures and scalars from a trained model.

    It is built before training too, so that a missing file is told then. One that reads files beside the data says what
    was in them by an attribute `fingerprint`, a text: what it found is kept for that content only.
    """

    def evaluate(self, evaluation: Evaluation) -> Result:
        """Evaluate."""
        ...
