"""What to do when memory runs out: the run ends, and says which size to try. Training never resizes itself."""

from __future__ import annotations

import re
import traceback

import torch

from visioncore_engine.config.run import RunConfig
from visioncore_engine.options import OptimizerOptions, SamplerOptions

__all__ = ["advice", "ran_out_of_memory"]

_TOLD = re.compile(r"out of memory|(?:can't|cannot) allocate memory|not enough memory|ALLOC_FAILED", re.IGNORECASE)

_SCORING = ("validation_step", "evaluate_split")


def ran_out_of_memory(error: BaseException) -> bool:
    """Whether an exception, or what caused it, says that memory ran out: on a GPU, in torch or in Python."""
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, MemoryError | torch.OutOfMemoryError):
            return True
        if isinstance(cause, RuntimeError | OSError) and _TOLD.search(str(cause)):
            return True
        cause = cause.__cause__
    return False


def advice(run: RunConfig, error: BaseException, world_size: int) -> str:
    """Say which size to try.

    Parameters
    ----------
    run
        The run.
    error
        What was raised; its traceback says whether a validation ran.
    world_size
        Processes that train together.
    """
    if any(frame.f_code.co_name in _SCORING for frame, _ in traceback.walk_tb(error.__traceback__)):
        size = run.loader.evaluation_batch_size
        return f"set loader.evaluation_batch_size: {max(1, size // 2)} (it is {size}); scores do not depend on it"
    options, sampler = run.optimizer.options, run.sampler.options
    assert isinstance(options, OptimizerOptions)
    assert isinstance(sampler, SamplerOptions)
    micro = -(-sampler.batch_size // (options.accumulate * world_size))
    if micro < 2:
        return "a micro-batch is as small as it can be: make the model or its inputs smaller, or use more devices"
    return (
        f"set optimizer.accumulate: {2 * options.accumulate} (it is {options.accumulate}), for micro-batches of "
        f"{-(-micro // 2)} instead of {micro}: what is learned is the same to rounding. "
        "`visioncore doctor --find-batch RUN.yaml` finds the largest that fits"
    )
