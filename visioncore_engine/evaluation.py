"""Score a trained model on a split, run the evaluators, and write what they found."""

from __future__ import annotations

import csv
import io
import json
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from visioncore_engine.build import build_dataset, build_metrics, build_transforms, transformed
from visioncore_engine.cache import EvaluationCache
from visioncore_engine.checkpoint import read_checkpoint
from visioncore_engine.config import Resolved, resolve
from visioncore_engine.config.run import RunConfig
from visioncore_engine.contracts import Batch, Dataset, EvaluatorFacts, Result, Source, Transform
from visioncore_engine.data import native
from visioncore_engine.data.index import Dtype, on_its_way, open_sources
from visioncore_engine.data.loader import EvaluationLoader
from visioncore_engine.describe import compare_content, compare_groups
from visioncore_engine.errors import DataError, Problem
from visioncore_engine.failures import failures_named
from visioncore_engine.folder import RunFolder, write_text
from visioncore_engine.launch import Place
from visioncore_engine.objective import predict
from visioncore_engine.registry import Registry
from visioncore_engine.restore import TrainedModel, load
from visioncore_engine.scoring import Scoring

__all__ = ["SplitEvaluation", "evaluate", "evaluate_split", "open_split", "write_results"]


@dataclass
class SplitEvaluation:
    """A trained model and one split of its data, as evaluators see them (`contracts.Evaluation`)."""

    dataset: Dataset
    model: nn.Module
    split: str
    scores: Mapping[str, Result]
    sources: Sequence[Source]
    batch_size: int
    device: torch.device
    dtype: Dtype = "stored"
    transforms: Sequence[Transform] = ()
    seed: int = 0

    def batches(self, groups: Sequence[str] | None = None) -> Iterator[tuple[Batch, list[dict[str, Tensor]]]]:
        """Every window once, in order, with the model's outputs."""
        chosen = [source for source in self.sources if groups is None or source.group.name in groups]
        for batch in EvaluationLoader(chosen, self.batch_size, dtype=self.dtype):
            moved = transformed(self.transforms, batch.to(self.device), self.seed, 0, training=False)
            with torch.inference_mode():  # not around the yield: it would hold in the caller's code too
                outputs = predict(self.model, moved)
            yield moved, outputs


def evaluate(
    run_dir: str | Path,
    *,
    checkpoint: str = "best",
    splits: Sequence[str] = ("validation",),
    sets: Sequence[str] = (),
    registry: Registry | None = None,
    resolved: Resolved | None = None,
    fresh: bool = False,
) -> dict[str, dict[str, Result]]:
    """Evaluate a finished run and write its tables.

    Parameters
    ----------
    run_dir
        The run folder.
    checkpoint
        ``best``, ``last``, or a file.
    splits
        Names of splits; `validation` is what training ends with, `test` is meant to be scored once.
    sets
        ``key=value`` laid over what the run folder holds, such as where the data lie now.
    registry
        Plugins to use; the installed ones by default.
    resolved
        The run, where it is at hand already; by default what the run folder holds.
    fresh
        Run every evaluator anew, also where the run folder keeps what it found for the same checkpoint, data, options
        and code.

    Returns
    -------
    Per split: what each metric and evaluator found, by id.

    Raises
    ------
    CheckpointError
        Where the data have other groups or columns than the checkpoint; each that drifted is named.
    DataError
        Where a split has no windows, or the content of the data changed since the checkpoint was written, unless
        ``policies.data_changes`` is ``warn``.
    RunError
        Where a plugin fails; names it.
    """
    folder = RunFolder(Path(run_dir))
    resolved = resolved or resolve([folder.run_file], sets, registry=registry)
    path = folder.checkpoint(checkpoint)
    policy = resolved.run.policies.data_changes
    if reason := native.use(resolved.run.loader.gather):
        print(f"warning: windows are gathered by torch, nothing was compiled: {reason}", file=sys.stderr)  # noqa: T201 - must be seen
    with failures_named(resolved, Place(), training=False):
        model = load(path, registry=resolved.registry)
        own = read_checkpoint(path)["visioncore"]
        dataset = build_dataset(resolved.run, own["data_state"])
        compare_groups(dataset.groups, model.groups.values(), str(path))
        compare_content(dataset.fingerprints(), own["fingerprints"], str(path), policy=policy)
        cache = EvaluationCache(folder.path / "cache", resolved, path, dict(dataset.fingerprints()))
        results = {split: evaluate_split(resolved.run, dataset, model, split, cache, fresh=fresh) for split in splits}
    write_results(folder, results)
    return results


def open_split(run: RunConfig, dataset: Dataset, model: TrainedModel, split: str) -> SplitEvaluation:
    """Put a trained model beside one split of its data; nothing is scored yet.

    Raises
    ------
    DataError
        Where the split has no windows.
    """
    sources = open_sources(dataset, split, model.model, model.history)
    if not any(source.num_items for source in sources):
        raise DataError(Problem(what=f"the data have no windows in split {split!r}", key="--split", given=repr(split)))
    device = _device(run)
    options = run.loader
    return SplitEvaluation(
        dataset,
        model.model.to(device),
        split,
        {},
        sources,
        options.evaluation_batch_size,
        device,
        on_its_way(options.dtype, device),
        build_transforms(run, dataset.groups),
        run.seed,
    )


def evaluate_split(
    run: RunConfig,
    dataset: Dataset,
    model: TrainedModel,
    split: str,
    cache: EvaluationCache | None = None,
    *,
    fresh: bool = False,
) -> dict[str, Result]:
    """Score one split: first the metrics, then the evaluators, which may use the metrics' results.

    With a cache, an evaluator runs only where the cache holds nothing for the same content, or `fresh` says so.
    """
    evaluation = open_split(run, dataset, model, split)
    scoring = Scoring(dataset.groups, build_metrics(run, dataset.groups), None)
    for batch, outputs in evaluation.batches():
        scoring.update(outputs, batch)
    results, _ = scoring.compute()
    evaluation = replace(evaluation, scores=results)
    for choice in run.evaluate:
        evaluator = choice.build(EvaluatorFacts(dataset.groups))
        files = str(getattr(evaluator, "fingerprint", ""))
        found = None if cache is None or fresh else cache.read(choice, split, files)
        if found is None:
            found = evaluator.evaluate(evaluation)
            if cache is not None:
                cache.write(choice, split, found, files)
        results[choice.id] = found
    return results


def _device(run: RunConfig) -> torch.device:
    wanted = run.trainer.accelerator
    return torch.device("cuda" if wanted != "cpu" and torch.cuda.is_available() else "cpu")


def write_results(folder: RunFolder, results: Mapping[str, Mapping[str, Result]]) -> None:
    """Write ``scores.json`` and one CSV per table; rows of the splits evaluated now replace those of before.

    Every table has the split as its first column, so that one file holds all of a run.
    """
    path = folder.path / "scores.json"
    scores: dict[str, Any] = json.loads(path.read_text()) if path.exists() else {}
    for split, found in results.items():
        scores[split] = {name: value for result in found.values() for name, value in sorted(result.scalars.items())}
        for result in found.values():
            for name, table in result.tables.items():
                rows = [{"split": split, **row} for row in table.rows]
                _replace_rows(folder.path / f"{name}.csv", ("split", *table.columns), rows, split)
            for name, picture in result.figures.items():
                figure = folder.path / "figures" / split / f"{name}.png"
                figure.parent.mkdir(parents=True, exist_ok=True)
                figure.write_bytes(picture)
    write_text(path, json.dumps(scores, indent=2, sort_keys=True) + "\n")


def _replace_rows(path: Path, columns: Sequence[str], rows: Sequence[Mapping[str, Any]], split: str) -> None:
    kept: list[dict[str, Any]] = []
    if path.exists():
        with path.open(newline="", encoding="utf-8") as file:
            kept = [row for row in csv.DictReader(file) if row["split"] != split]
    text = io.StringIO()
    writer = csv.DictWriter(text, fieldnames=list(columns), extrasaction="ignore", lineterminator="\n")
    writer.writeheader()
    writer.writerows([*kept, *rows])
    write_text(path, text.getvalue())
