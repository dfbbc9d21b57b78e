"""Lightning's DDP processes without DDP's wrapper: gradients are reduced by `reduction`, once per plan step."""

from __future__ import annotations

from typing import Any

import torch
import torch.distributed as dist
from lightning_fabric.plugins.environments.cluster_environment import ClusterEnvironment
from pytorch_lightning.strategies import DDPStrategy
from torch.nn import Module

from visioncore_engine.launch import Place

__all__ = ["GlobalBatchStrategy", "PlacedProcesses"]


class PlacedProcesses(ClusterEnvironment):
    """Tells Lightning the place that a launcher found, so that it looks for none (SLURM, MPI, …) by itself.

    Parameters
    ----------
    place
        Place of this process.
    """

    def __init__(self, place: Place) -> None:
        self._place = place

    @property
    def creates_processes_externally(self) -> bool:
        """Lightning is to start no process."""
        return True

    @property
    def main_address(self) -> str:
        """Address of the first process."""
        return self._place.address

    @property
    def main_port(self) -> int:
        """Port of the first process."""
        return self._place.port

    @staticmethod
    def detect() -> bool:
        """Lightning never chooses this by itself."""
        return False

    def world_size(self) -> int:
        """Processes of the run."""
        return self._place.world_size

    def set_world_size(self, size: int) -> None:
        """Do nothing: Lightning multiplies hosts by devices, which need not be alike on every host."""

    def global_rank(self) -> int:
        """Rank among all."""
        return self._place.rank

    def set_global_rank(self, rank: int) -> None:
        """Do nothing, as `set_world_size`."""

    def local_rank(self) -> int:
        """Rank on this host."""
        return self._place.local_rank

    def node_rank(self) -> int:
        """Rank of the host."""
        return self._place.node_rank


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
