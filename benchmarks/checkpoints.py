"""How long training stands still for a checkpoint: the engine's and Lightning's against a copy of the same bytes.

200 MB in 40 tensors, written to the folder for temporary files over the file before; wall time until the call returns.
memcpy copies the tensors into buffers that exist already: no snapshot can be shorter.

    python benchmarks/checkpoints.py [--json] [--no-write]
"""

from __future__ import annotations

import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

import torch
from figure import Figure, command
from lightning_fabric.plugins.io import TorchCheckpointIO
from side_by_side import interleave
from torch import Tensor

from visioncore_engine.checkpointing import CheckpointFiles

__all__ = ["Sizes", "measure", "payload_of"]


@dataclass(frozen=True)
class Sizes:
    """What is saved."""

    tensors: int = 40
    values: int = 1_310_720  # float32 in each, 5 MB
    rounds: int = 7


def payload_of(sizes: Sizes) -> dict[str, dict[str, Tensor]]:
    """A checkpoint of weights and nothing else."""
    torch.manual_seed(0)
    weights = {f"layer{number}": torch.randn(sizes.values) for number in range(sizes.tensors)}
    return {"state_dict": weights, "visioncore": {}}


def measure(sizes: Sizes = Sizes()) -> list[Figure]:
    """Measure the row."""
    torch.set_num_threads(1)
    payload = payload_of(sizes)
    tensors = list(payload["state_dict"].values())
    buffers = [torch.zeros_like(tensor) for tensor in tensors]
    files, stock = CheckpointFiles(), TorchCheckpointIO()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        times = interleave(
            {
                "memcpy": (lambda: [to.copy_(of) for to, of in zip(buffers, tensors, strict=True)], 1),
                "engine": (lambda: files.save_checkpoint(payload, folder / "last.ckpt"), 1),
                "the writer": (files.scribe.wait, 1),  # beside training; it must not disturb what comes next
                "Lightning": (lambda: stock.save_checkpoint(payload, folder / "stock.ckpt"), 1),
            },
            sizes.rounds,
        )
    detail = {f"{name} ms": round(1e3 * times.median(name, "wall"), 1) for name in times.seconds}
    return [
        Figure("checkpoint stall over memcpy", times.ratio("engine", "memcpy", "wall"), "less", 1.5, detail=detail),
        Figure(
            "check of the baseline: Lightning's save over memcpy (was 36)",
            times.ratio("Lightning", "memcpy", "wall"),
            "less",
        ),
    ]


if __name__ == "__main__":
    sys.exit(command("checkpoints", measure, __doc__))
