"""What an evaluator meets: a small trained model and a split of its data. B windows, L predictions, N columns."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from visioncore_engine.contracts import Batch, Dataset, Evaluator, EvaluatorFacts, Group, GroupSpec, Result, Table
from visioncore_engine.errors import UserError
from visioncore_engine.objective import predict
from visioncore_engine.testing.case import Case
from visioncore_engine.testing.scenes.flow import FAMILIES, draw_group, poison, take
from visioncore_engine.testing.worlds import seeded

__all__ = ["DrawnData", "DrawnSource", "EvaluatorScene", "SmallEvaluation", "SmallModel", "scene"]


class DrawnSource:
    """Windows that are drawn once and kept.

    Parameters
    ----------
    windows
        All of them.
    group
        What the group is.
    """

    def __init__(self, windows: Group, group: GroupSpec) -> None:
        self.group, self._windows = group, windows
        self.num_items = len(windows.items)
        self.frames_per_item = windows.mask.shape[1] if windows.mask.ndim > 1 else 1

    def weights(self) -> np.ndarray:
        """Count valid predictions, float64 (num_items,)."""
        mask = self._windows.mask.numpy()
        return np.asarray(mask.any(-1).sum(-1) if mask.ndim > 1 else mask, dtype=np.float64)

    def column_weights(self) -> Mapping[str, np.ndarray]:
        """Count valid values, float64 (N,)."""
        mask = self._windows.mask.numpy()
        total = mask.sum((0, 1)) if mask.ndim > 1 else mask.sum(keepdims=True)
        return dict.fromkeys(self.group.targets, total.astype(np.float64))

    def gather(self, items: np.ndarray) -> Group:
        """Read windows."""
        return replace(take(self._windows, items), items=torch.from_numpy(np.asarray(items, dtype=np.int64)))

    def score(self, name: str) -> np.ndarray:
        """Raise KeyError: there are no scores."""
        raise KeyError(name)


class DrawnData:
    """A dataset of windows drawn at random.

    Parameters
    ----------
    groups
        Its groups.
    hidden
        What stands under false masks; None leaves what was drawn.
    """

    def __init__(self, groups: tuple[GroupSpec, ...], hidden: float | None = None) -> None:
        self.groups, self._hidden = groups, hidden

    def sources(self, split: str, history: int) -> Sequence[DrawnSource]:
        """One source per group."""
        return [self._source(index, split, history) for index in range(len(self.groups))]

    def _source(self, index: int, split: str, history: int) -> DrawnSource:
        spec = self.groups[index]
        windows = draw_group(spec, index, 17 + index, history=history, seed=len(split), dtype=torch.float32)
        if self._hidden is not None:
            _, windows = poison({}, windows, self._hidden)
        return DrawnSource(windows, spec)

    def fingerprints(self) -> Mapping[str, str]:
        """Names of the groups: they decide what is drawn."""
        return {group.name: group.name for group in self.groups}

    def state(self) -> dict[str, Any]:
        """Nothing is fitted."""
        return {}

    def summary(self) -> Table:
        """Names of the groups."""
        return Table(("group",), [{"group": group.name} for group in self.groups])


class SmallModel(nn.Module):
    """A linear map of every frame, a head per group and task, with dropout in train mode: rates, or classes."""

    def __init__(self, groups: tuple[GroupSpec, ...]) -> None:
        super().__init__()
        self.history = 2 if groups[0].dt is not None else 0
        self.dropout = nn.Dropout(0.5)
        self.heads = nn.ModuleDict(
            {
                f"{group.name}:{task}": nn.Linear(int(np.prod(group.input_shape)), target.size)
                for group in groups
                for task, target in group.targets.items()
            }
        )

    def forward(self, batch: Batch) -> list[dict[str, Tensor]]:
        """Predict."""
        return [{task: self._predict(group, task) for task in group.targets} for group in batch.groups]

    def _predict(self, group: Group, task: str) -> Tensor:
        frames = (
            group.inputs[:, :, self.history :].transpose(1, 2).flatten(2) if self.history else group.inputs.flatten(1)
        )
        value: Tensor = self.heads[f"{group.name}:{task}"](self.dropout(frames))
        return nn.functional.softplus(value) if self.history else value


@dataclass
class SmallEvaluation:
    """What an evaluator sees, a `contracts.Evaluation`: each batch holds `batch_size` windows of one group."""

    dataset: Dataset
    model: nn.Module
    split: str = "validation"
    scores: Mapping[str, Result] = field(default_factory=dict)
    batch_size: int = 5

    def batches(self, groups: Sequence[str] | None = None) -> Iterator[tuple[Batch, list[dict[str, Tensor]]]]:
        """Every window of the split once, in order, with the model's outputs."""
        for source in self.dataset.sources(self.split, int(getattr(self.model, "history"))):  # noqa: B009 - as the engine asks a model
            if groups is None or source.group.name in groups:
                for start in range(0, source.num_items, self.batch_size):
                    items = np.arange(start, min(start + self.batch_size, source.num_items), dtype=np.int64)
                    batch = Batch([source.gather(items)])
                    with torch.inference_mode():
                        outputs = predict(self.model, batch)
                    yield batch, outputs


@dataclass
class EvaluatorScene:
    """A model, and data for it.

    Attributes
    ----------
    facts
        The groups.
    model
        In eval mode.
    data
        Opens the data; its argument is what stands under false masks, None for whatever does.
    split, other_split
        Which parts of the data are evaluated.
    maskable
        Whether `data` can put something under the masks.
    """

    facts: EvaluatorFacts
    model: nn.Module
    data: Callable[[float | None], Dataset]
    split: str = "validation"
    other_split: str = "test"
    maskable: bool = True

    def evaluation(self, *, hidden: float | None = None, batch_size: int = 5) -> SmallEvaluation:
        """What an evaluator is called with."""
        return SmallEvaluation(self.data(hidden), self.model, self.split, {}, batch_size)

    def evaluate(self, evaluator: Evaluator, *, hidden: float | None = None, batch_size: int = 5) -> Result:
        """Evaluate, without the time that it takes to draw: pictures are left out."""
        with _undrawn():
            found = evaluator.evaluate(self.evaluation(hidden=hidden, batch_size=batch_size))
        assert isinstance(found, Result), f"it returns {type(found).__name__}, not a visioncore_engine.contracts.Result"
        return replace(found, figures=dict.fromkeys(found.figures, b""))

    def probe(self, built: Any) -> dict[str, Any]:
        """What it found."""
        return {"result": self.evaluate(built)}


@contextmanager
def _undrawn() -> Iterator[None]:
    """Let matplotlib's figures be saved without being drawn, for a while."""
    module = sys.modules.get("matplotlib.figure")
    if module is None:
        yield
        return
    drawn = module.Figure.savefig
    module.Figure.savefig = lambda _figure, file, *_, **__: file.write(b"") if hasattr(file, "write") else None
    try:
        yield
    finally:
        module.Figure.savefig = drawn


def scene(case: Case) -> EvaluatorScene:
    """Find the kind of targets that the evaluator takes, by trying; it says so by a `UserError`."""
    refusals = []
    for name, make in FAMILIES.items():
        groups = make()
        with seeded():
            model = SmallModel(groups).eval()
        found = EvaluatorScene(EvaluatorFacts(groups), model, partial(DrawnData, groups))
        try:
            case.build(found).evaluate(found.evaluation())
        except UserError as error:
            refusals.append(f"{name}: {error}")
            continue
        return found
    raise AssertionError(
        f"{case} takes none of the kit's data; give the case a scene of its own\n" + "\n".join(refusals)
    )
