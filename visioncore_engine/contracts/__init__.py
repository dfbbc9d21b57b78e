"""What builders receive (facts) and what they must return (protocols). The first module that imports torch.

Words: a **group** is one recording, task or domain with its own head; a **window** (or item) is one sample of a
group, `length` predicted frames for sequences and one example elsewhere; **columns** are what a target predicts side
by side (units, classes are not columns). Shapes: B windows, C channels, T input frames, L predicted frames, H, W
pixels, N columns. Sequences are oldest first.
"""

from __future__ import annotations

from visioncore_engine.contracts.data import (
    Dataset,
    DatasetFacts,
    Preparation,
    PreparationFacts,
    Reader,
    ReaderFacts,
    Sampler,
    SamplerFacts,
    Source,
    Transform,
    TransformFacts,
)
from visioncore_engine.contracts.flow import (
    Batch,
    Encoding,
    Group,
    GroupSpec,
    Index,
    Position,
    Result,
    Table,
    TargetSpec,
)
from visioncore_engine.contracts.learning import (
    Loss,
    LossFacts,
    Metric,
    MetricFacts,
    OptimizerFacts,
    ParameterGroup,
    Regularizer,
    RegularizerFacts,
    Scheduler,
    SchedulerFacts,
)
from visioncore_engine.contracts.model import (
    Adapter,
    AdapterFacts,
    Model,
    ModelFacts,
    Modulator,
    ModulatorFacts,
    Readout,
    ReadoutFacts,
    Stage,
    StageFacts,
)
from visioncore_engine.contracts.running import (
    CallbackFacts,
    Evaluation,
    Evaluator,
    EvaluatorFacts,
    LoggerFacts,
    Training,
)
from visioncore_engine.schedule import Clock

__all__ = [
    "Adapter",
    "AdapterFacts",
    "Batch",
    "CallbackFacts",
    "Clock",
    "Dataset",
    "DatasetFacts",
    "Encoding",
    "Evaluation",
    "Evaluator",
    "EvaluatorFacts",
    "Group",
    "GroupSpec",
    "Index",
    "LoggerFacts",
    "Loss",
    "LossFacts",
    "Metric",
    "MetricFacts",
    "Model",
    "ModelFacts",
    "Modulator",
    "ModulatorFacts",
    "OptimizerFacts",
    "ParameterGroup",
    "Position",
    "Preparation",
    "PreparationFacts",
    "Reader",
    "ReaderFacts",
    "Readout",
    "ReadoutFacts",
    "Regularizer",
    "RegularizerFacts",
    "Result",
    "Sampler",
    "SamplerFacts",
    "Scheduler",
    "SchedulerFacts",
    "Source",
    "Stage",
    "StageFacts",
    "Table",
    "TargetSpec",
    "Training",
    "Transform",
    "TransformFacts",
]
