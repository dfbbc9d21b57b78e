"""Components that were written to be faulty, each named by its fault, and what no check finds, with the reason."""

from __future__ import annotations

import inspect

import faulty_data
import faulty_learning
import faulty_modules
import faulty_scores
from mutation import Fault

__all__ = ["FAULTS", "SURVIVORS"]

OLD = "an earlier training system of visual cortex"
VIDEO = "a video training system"
PEERS = "a peer"

# Kind, component whose options and case are used, faulty builder, and the system that had the fault.
_ROWS = (
    ("sampler", "shuffled", faulty_learning.OneEpochForEver, OLD),
    ("sampler", "sequential", faulty_learning.FirstBatchForEver, OLD),
    ("sampler", "shuffled", faulty_learning.ShardedTwice, OLD),
    ("sampler", "shuffled", faulty_learning.ListOfAllWindows, OLD),
    ("sampler", "shuffled", faulty_learning.Multinomial, OLD),
    ("sampler", "contrast_weighted", faulty_learning.NoRamp, OLD),
    ("sampler", "contrast_weighted", faulty_learning.ScoresOfFrames, OLD),
    ("sampler", "shuffled", faulty_learning.OwnCounter, VIDEO),
    ("sampler", "shuffled", faulty_learning.PythonsGenerator, VIDEO),
    ("scheduler", "warmup_cosine", faulty_learning.FirstEpochAtZero, OLD),
    ("scheduler", "cosine", faulty_learning.RisesAgain, OLD),
    ("scheduler", "cosine", faulty_learning.CountsItsCalls, OLD),
    ("scheduler", "plateau", faulty_learning.BestNotSaved, VIDEO),
    ("scheduler", "plateau", faulty_learning.NaNIsTheBest, ""),
    ("regularizer", "proximal_l1", faulty_learning.MovesEverything, OLD),
    ("regularizer", "proximal_l1", faulty_learning.OncePerGroup, OLD),
    ("regularizer", "l1", faulty_learning.NothingMatched, OLD),
    ("regularizer", "l2", faulty_learning.PenaltyWithoutGradient, ""),
    ("regularizer", "l2", faulty_learning.GrowsWithCalls, ""),
    ("optimizer", "adamw", faulty_learning.one_rate_for_all, OLD),
    ("optimizer", "adamw", faulty_learning.decays_everything, OLD),
    ("optimizer", "sgd", faulty_learning.never_steps, OLD),
    ("optimizer", "sgd", faulty_learning.touches_the_untouched, OLD),
    ("callback", "early_stopping", faulty_learning.BestIsTheCurrent, VIDEO),
    ("callback", "early_stopping", faulty_learning.NotCheckpointed, VIDEO),
    ("callback", "heartbeat", faulty_learning.TakesLightningsName, ""),
    ("callback", "heartbeat", faulty_learning.LeavesEvalMode, ""),
    ("callback", "heartbeat", faulty_learning.FreezesForGood, VIDEO),
    ("callback", "heartbeat", faulty_learning.TrainsOn, ""),
    ("logger", "csv", faulty_learning.HistoryLost, VIDEO),
    ("logger", "csv", faulty_learning.RowsDoubled, PEERS),
    ("logger", "jsonl", faulty_learning.FailsOnNaN, ""),
    ("logger", "csv", faulty_learning.KeepsRowsToItself, ""),
    ("logger", "csv", faulty_learning.WritesTheSecrets, ""),
    ("launcher", "torchrun", faulty_learning.EveryoneIsFirst, ""),
    ("launcher", "torchrun", faulty_learning.ReadsTheWrongRank, ""),
    ("launcher", "torchrun", faulty_learning.LeavesTheEnvironmentChanged, ""),
    ("adapter", "affine", faulty_modules.SigmaWithoutGradient, OLD),
    ("adapter", "affine", faulty_modules.EvenBlur, OLD),
    ("adapter", "affine", faulty_modules.ShapeOfTheFirstGroup, ""),
    ("stage", "learnable_temporal", faulty_modules.NewestFirst, OLD),
    ("stage", "learnable_temporal", faulty_modules.KernelsOfATemporary, OLD),
    ("stage", "conv_gru", faulty_modules.LazyGRU, OLD),
    ("stage", "conv3d", faulty_modules.PaddedInTime, ""),
    ("stage", "conv3d", faulty_modules.HistoryTooShort, OLD),
    ("stage", "conv3d", faulty_modules.HistoryTooLong, ""),
    ("stage", "resnet3d", faulty_modules.NormOverTime, OLD),
    ("stage", "resnet3d", faulty_modules.BatchNormUnsaid, VIDEO),
    ("stage", "conv3d", faulty_modules.DropoutInEvaluation, ""),
    ("stage", "conv3d", faulty_modules.ConstantOutsideTheState, ""),
    ("stage", "conv3d", faulty_modules.AlwaysInSinglePrecision, ""),
    ("modulator", "film", faulty_modules.ScaleIsNotOne, OLD),
    ("modulator", "film", faulty_modules.SkippedWithoutBehavior, OLD),
    ("modulator", "film", faulty_modules.OneFrameLeft, OLD),
    ("modulator", "film", faulty_modules.NextFramesBehavior, ""),
    ("modulator", "concat", faulty_modules.BehaviorDetached, ""),
    ("modulator", "concat", faulty_modules.BuiltWithoutSides, OLD),
    ("readout", "pooled", faulty_modules.NonlinearityInTheReadout, ""),
    ("readout", "pooled", faulty_modules.LastFrameOnly, OLD),
    ("readout", "gaussian", faulty_modules.ColumnsMixed, ""),
    ("readout", "factorized", faulty_modules.MasksOverTheBatch, ""),
    ("stage", "visioncore", faulty_modules.HistoryOfOneWindow, OLD),
    ("stage", "visioncore", faulty_modules.WindowsLeaned, ""),
    ("stage", "densenet3d", faulty_modules.DenseOverTime, OLD),
    ("readout", "gaussian", faulty_modules.OneForAll, ""),
    ("readout", "gaussian", faulty_modules.EqualSharesOnly, ""),
    ("readout", "gaussian", faulty_modules.WindowsDetached, ""),
    ("model", "encoder", faulty_modules.HeadsByPosition, OLD),
    ("model", "encoder", faulty_modules.GroupsMixed, OLD),
    ("model", "encoder", faulty_modules.MaskedFramesDropped, ""),
    ("model", "encoder", faulty_modules.ForgotBurnIn, ""),
    ("model", "cnn", faulty_modules.BatchSoftmax, VIDEO),
    ("loss", "poisson", faulty_scores.MeanOfThePresent, OLD),
    ("loss", "poisson", faulty_scores.SharedMaskCountedOnce, OLD),
    ("loss", "poisson", faulty_scores.MaskTimesNaN, ""),
    ("loss", "poisson", faulty_scores.FallsBackToOne, VIDEO),
    ("loss", "poisson", faulty_scores.GradientOfAnother, ""),
    ("loss", "poisson", faulty_scores.SinglePrecisionWeights, ""),
    ("loss", "cross_entropy", faulty_scores.AbsentClassWeighsMost, VIDEO),
    ("metric", "bits_per_spike", faulty_scores.MeanPerProcess, OLD),
    ("metric", "bits_per_spike", faulty_scores.ZeroWhereNothingCounts, OLD),
    ("metric", "bits_per_spike", faulty_scores.ClampedAtZero, OLD),
    ("metric", "single_trial_correlation", faulty_scores.MaskForgotten, OLD),
    ("metric", "single_trial_correlation", faulty_scores.KeepsEverything, OLD),
    ("metric", "accuracy", faulty_scores.AverageOfBatches, VIDEO),
    ("metric", "accuracy", faulty_scores.UndeclaredScore, ""),
    ("evaluator", "units", faulty_scores.IgnoresTheMask, OLD),
    ("evaluator", "units", faulty_scores.LeavesTrainMode, ""),
    ("evaluator", "units", faulty_scores.CachedOnce, OLD),
    ("evaluator", "units", faulty_scores.MeanOfBatches, VIDEO),
    ("evaluator", "units", faulty_scores.ChangesTheScores, OLD),
    ("transform", "shift", faulty_scores.RolledInPlace, VIDEO),
    ("transform", "shift", faulty_scores.OneDrawForAll, ""),
    ("transform", "shift", faulty_scores.DrawnByPlace, ""),
    ("transform", "shift", faulty_scores.EveryEpochAlike, ""),
    ("transform", "shift", faulty_scores.ValidationToo, VIDEO),
    ("transform", "shift", faulty_scores.RotatedToEightBits, VIDEO),
    ("transform", "shift", faulty_scores.MixedWithAnother, VIDEO),
    ("dataset", "synthetic_v1", faulty_data.ValidationIsTraining, VIDEO),
    ("dataset", "sessions", faulty_data.MeansOverValidationToo, OLD),
    ("dataset", "synthetic_v1", faulty_data.HistoryAcrossTheEdge, OLD),
    ("dataset", "synthetic_v1", faulty_data.TwoGroupsOfOneName, OLD),
    ("dataset", "synthetic_v1", faulty_data.WeightsOfFrames, OLD),
    ("dataset", "sessions", faulty_data.StateFittedAgain, OLD),
    ("dataset", "arrays", faulty_data.scale_of_everything, OLD),
    ("dataset", "arrays", faulty_data.fingerprint_of_the_name, ""),
    ("dataset", "arrays", faulty_data.sorted_windows, ""),
    ("dataset", "arrays", faulty_data.nan_inputs, ""),
    ("dataset", "arrays", faulty_data.drifting_windows, ""),
    ("dataset", "rendered_shapes", faulty_data.seeded_by_the_clock, OLD),
    ("reader", "npz", faulty_data.TrialsAveraged, OLD),
    ("reader", "hdf5", faulty_data.ZerosForWhatIsDamaged, VIDEO),
    ("reader", "folder", faulty_data.ChangesTheFolder, OLD),
    ("reader", "folder", faulty_data.WritesACache, ""),
    ("reader", "npz", faulty_data.UnitsNotReindexed, OLD),
    ("preparation", "velocity", faulty_data.AcrossTrials, OLD),
    ("preparation", "standardize", faulty_data.FittedOnEverything, OLD),
    ("preparation", "standardize", faulty_data.FittedWhenApplied, OLD),
    ("preparation", "pixel_norm", faulty_data.InPlace, ""),
    ("preparation", "standardize", faulty_data.StateOutsideTheState, OLD),
    ("preparation", "standardize", faulty_data.ArrayInTheState, ""),
    ("preparation", "pixel_norm", faulty_data.SeedsEverybody, OLD),
)


def _words(name: str) -> str:
    spaced = "".join(f" {letter.lower()}" if letter.isupper() else letter for letter in name.replace("_", " "))
    return spaced.replace("na n", "NaN").replace("g r u", "GRU").strip()


def _fault(kind, component, builder, origin) -> Fault:
    module = inspect.getmodule(builder)
    (name,) = [name for name, value in vars(module).items() if value is builder]
    return Fault(_words(name), kind, component, f"{module.__name__}:{name}", origin)


FAULTS: tuple[Fault, ...] = tuple(_fault(*row) for row in _ROWS)

_THE_SAME = "it does the same"
_OWN = "what comes out is its own affair, and lawful"

# Mutants of data, models and scores that no check finds stand here as well.
SURVIVORS = {
    "metric:bits_per_spike clamped at zero": "what a score's range is only its author knows; tests/visioncore_neural/"
    "test_metrics.py knows it of this one",
    "dataset:rendered_shapes: take the first only: for (number, name) in enumerate(SHAPES)": f"{_OWN}: what is drawn "
    "for a class nobody else can know; tests/visioncore_common/test_shapes.py does",
    "evaluator:ground_truth: sum in single precision: np.float64": f"{_THE_SAME} to seven digits of a pixel",
    "evaluator:ground_truth: sum in single precision: np.float64 (again)": f"{_THE_SAME} to seven digits of a pixel",
    "evaluator:units: sum in single precision: responses.double()": f"{_THE_SAME}: counts below 2^24 are exact",
    "evaluator:units: take the first only: for result in results.values()": "where the run has no such score, it is "
    "computed; tests/visioncore_neural/test_evaluators.py knows that the run's own is taken",
    "metric:cc_max: sum in single precision: np.float64": f"{_THE_SAME}: numbers of frames are small and whole",
    "metric:cc_norm: sum in single precision: np.float64": f"{_THE_SAME}: numbers of frames are small and whole",
    "metric:single_trial_correlation: sum in single precision: torch.float64": f"{_THE_SAME}: zeros take the dtype of "
    "what they replace",
    "preparation:standardize: lose a column: np.isfinite(values).sum(0)": f"{_OWN}: which mean it takes away only it "
    "knows; tests/visioncore_neural/test_preparations.py does",
    "preparation:standardize: sum in single precision: np.float64": f"{_THE_SAME} to seven digits",
    "preparation:downsample: sum in single precision: np.float64": f"{_THE_SAME}: counts below 2^24 are exact",
    "preparation:max_norm: sum in single precision: np.float64": f"{_THE_SAME} to seven digits",
    **{
        f"preparation:missing_pct: take the first only: for {loop} in {of}": f"{_OWN}: a mask of one unit; "
        "tests/visioncore_neural/test_unit_preparations.py knows of more"
        for loop, of in (
            ("(unit, missing)", "self._missing(recording).items()"),
            ("(column, (unit, missing))", "enumerate(self._missing(recording).items())"),
        )
    },
    "preparation:temporal_basis: take the first only: for (lag, rows) in zip(filters, edges.neighbours(recording, key, "
    "chunk, filters": f"{_OWN}: the present alone; tests/visioncore_neural/test_preparation_values.py knows the rest",
    "reader:sensorium: take the first only: for places in clips": "the files of the kit show one clip; "
    "tests/visioncore_neural/test_lab_readers.py shows two",
    "stage:conv_gru: take the first only: for weight in (*torch.split(self.gates.weight.data, hidden), self.candidat": (
        f"{_OWN}: how weights start; tests/visioncore_neural/test_stages.py knows it of this one"
    ),
}
