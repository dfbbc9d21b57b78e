"""What a run trains on: devices, and how many processes this host has room for."""

from __future__ import annotations

import ctypes
import time
from collections.abc import Callable

import torch

from visioncore_engine.config import Resolved
from visioncore_engine.errors import ConfigError, Problem
from visioncore_engine.launch import Place

__all__ = ["check_devices", "count_gpus", "device_name", "keep_freed_memory", "may_fuse", "step_clock"]

# Of glibc's malloc.h.
_TRIM_THRESHOLD, _MMAP_THRESHOLD = -1, -3
_LARGEST = 2**30  # bytes


def count_gpus(resolved: Resolved) -> int:
    """GPUs of this host that the run may use."""
    return torch.cuda.device_count() if resolved.run.trainer.accelerator != "cpu" else 0


def check_devices(resolved: Resolved, place: Place) -> None:
    """Refuse more processes on this host than it has GPUs, where it has any that the run may use.

    Raises
    ------
    ConfigError
        With how many there are.
    """
    num_gpus = count_gpus(resolved)
    if num_gpus and place.local_world_size > num_gpus:
        raise ConfigError(
            Problem(
                what=f"{num_gpus} devices are present",
                where=resolved.where("trainer.devices"),
                key="trainer.devices",
                given=str(place.local_world_size),
                todo=f"ask for {num_gpus} at most, or write auto",
            )
        )


def device_name(resolved: Resolved) -> str:
    """Name of the GPU that the run trains on, else ``cpu``.

    Raises
    ------
    ConfigError
        Where the run file asks for a GPU and there is none.
    """
    trainer = resolved.run.trainer
    available = torch.cuda.is_available()
    if trainer.accelerator == "gpu" and not available:
        raise ConfigError(
            Problem(
                what="no GPU is available here",
                where=resolved.where("trainer.accelerator"),
                key="trainer.accelerator",
                todo="write auto or cpu",
            )
        )
    return torch.cuda.get_device_name() if available and trainer.accelerator != "cpu" else "cpu"


def keep_freed_memory() -> None:
    """Have glibc keep the memory that is freed: what a training step frees, the next one needs again.

    By itself it gives large blocks back to the system and faults them in anew, page by page: a seventh of the time of a
    step of convolutions on a CPU. Other C libraries do as they like.
    """
    library = ctypes.CDLL(None)
    if hasattr(library, "mallopt"):
        for threshold in (_TRIM_THRESHOLD, _MMAP_THRESHOLD):
            library.mallopt(threshold, _LARGEST)


def may_fuse(resolved: Resolved, device: str) -> bool:
    """Whether optimizers may use fused kernels."""
    return resolved.run.trainer.precision != "bf16-true" or device != "cpu"


def step_clock(resolved: Resolved) -> Callable[[], float]:
    """Clock that tells what was computed from what was only started: on a GPU it waits for the GPU."""
    if not count_gpus(resolved):
        return time.perf_counter

    def settled() -> float:
        torch.cuda.synchronize()
        return time.perf_counter()

    return settled
