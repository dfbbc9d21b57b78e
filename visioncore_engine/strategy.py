"""Lightning's DDP processes without DDP's wrapper: gradients are reduced by `reduction`, once per plan step."""

from __future__ import annotations

from typing import Any

import torch
import torch.distributed as dist
from pytorch_lightning.strategies import DDPStrategy
from torch.nn import Module

__all__ = ["GlobalBatchStrategy"]


class GlobalBatchStrategy(DDPStrategy):
    """Launch, ranks and barriers are Lightning's; the module is not wrapped.

    ``DistributedDataParallel`` divides by the number of processes and gives a head that no process used a zero
    gradient (or raises): both change what is learned. Here every process starts from the values of process 0, and the
    module adds up weighed sums itself.
    """

    def _get_process_group_backend(self) -> str:
        # Flags, weights and scores live on the CPU, whatever the gradients live on.
        return "gloo" if self.root_device.type == "cpu" else "cpu:gloo,cuda:nccl"

    def configure_ddp(self) -> None:
        """Start every process from the values of process 0."""
        assert isinstance(self.model, Module)
        with torch.no_grad():
            for value in (*self.model.parameters(), *self.model.buffers()):
                dist.broadcast(value.data, src=0)

    def _register_ddp_hooks(self) -> None:
        """Nothing is wrapped, so there is nothing to hook."""

    def determine_ddp_device_ids(self) -> Any:
        """Barriers of CPU tensors need no device."""
        return None
