"""The processes that train together, one per device, and the place of this process.

`accelerate launch` (or torchrun) starts the processes; without a launcher there is one. All
processes draw the same global batch, from equally seeded generators, and compute on their share of
it. `gather` then gives each of them the outputs of the global batch, and each computes the same
loss from them.
"""

from __future__ import annotations

import contextlib
from contextlib import AbstractContextManager
from typing import Any

import torch
import torch.distributed
from accelerate import Accelerator
from torch import Tensor, nn

from c2vl.core import machine
from c2vl.core.errors import UserError
from c2vl.training.batchnorm import with_global_batchnorm
from c2vl.training.environment import threads
from c2vl.training.training_params import Precision


class Devices:
    """This process and the processes that it trains with.

    Attributes:
        device: this process'.
        rank, world: its number, and how many there are.
        main: whether it is the one that writes.
    """

    def __init__(self, device: torch.device | str) -> None:
        device = torch.device(device)
        if device.type == "cuda" and device.index is not None:
            torch.cuda.set_device(device)
        # Precision changes results, so it is a parameter; a launcher's config does not count.
        self.accelerator = Accelerator(cpu=device.type == "cpu", mixed_precision="no")
        self.device = device if self.accelerator.num_processes == 1 else self.accelerator.device
        self.rank, self.world = self.accelerator.process_index, self.accelerator.num_processes
        self.main = self.accelerator.is_main_process

    def share(self, batch: int) -> slice:
        """This process' rows of a global batch.

        Raises:
            UserError: the batch cannot be divided evenly.
        """
        if batch % self.world:
            raise UserError(
                f"A batch of {batch} clips cannot be divided among {self.world} processes; "
                "change `pretrain.batch` in params.yaml or the number of processes."
            )
        own = batch // self.world
        return slice(self.rank * own, (self.rank + 1) * own)

    def wrap(self, network: nn.Module) -> nn.Module:
        """The network to call in training: it averages gradients over the processes.

        `network` itself stays the one to save. A group of one gets it back.
        """
        if self.world == 1:
            return network
        prepared: nn.Module = self.accelerator.prepare_model(network)
        return prepared

    def with_global_statistics(self, network: nn.Module) -> nn.Module:
        """The network with BatchNorm over the global batch; call it before making an optimiser."""
        if self.world == 1:
            return network
        if self.device.type == "cpu":
            return with_global_batchnorm(network)
        converted: nn.Module = nn.SyncBatchNorm.convert_sync_batchnorm(network)
        return converted

    def gather(self, x: Tensor) -> Tensor:
        """Rows (b, …) of every process as (world * b, …), in the batch's order, with gradient."""
        if self.world == 1:
            return x
        gathered: Tensor = _Gather.apply(x, self.rank, self.world)
        return gathered

    def average(self, gradient: Tensor) -> None:
        """Average the gradient of a parameter that is not in the wrapped network, in place."""
        if self.world > 1:
            torch.distributed.all_reduce(gradient)
            gradient /= self.world

    def agree(self, number: int) -> bool:
        """True if all processes have the same number."""
        if self.world == 1:
            return True
        numbers = torch.tensor([number, -number], device=self.device)
        torch.distributed.all_reduce(numbers, torch.distributed.ReduceOp.MAX)
        return bool(numbers.sum() == 0)

    def without_sync(self, wrapped: nn.Module) -> AbstractContextManager[Any]:
        """In this block, gradients are added up in this process only."""
        return contextlib.nullcontext() if self.world == 1 else self.accelerator.no_sync(wrapped)

    def autocast(self, precision: Precision) -> AbstractContextManager[Any]:
        """Context in which the network's forward pass runs."""
        return (
            torch.autocast(self.device.type, torch.bfloat16)
            if precision == "bf16"
            else contextlib.nullcontext()
        )

    def wait(self) -> None:
        """Wait until every process is here."""
        self.accelerator.wait_for_everyone()


class _Gather(torch.autograd.Function):
    """All-gather whose backward takes this process' rows of the gradient, times the processes.

    Every process computes the whole loss, so the gradient of its own rows is complete without any
    communication. The factor undoes the mean that DistributedDataParallel takes over the processes'
    gradients of the weights: their sum is the gradient of the global batch.
    """

    @staticmethod
    def forward(ctx: Any, x: Tensor, rank: int, world: int) -> Tensor:
        ctx.own, ctx.world = slice(rank * len(x), (rank + 1) * len(x)), world
        parts = [torch.empty_like(x, memory_format=torch.contiguous_format) for _ in range(world)]
        torch.distributed.all_gather(parts, x.contiguous())
        return torch.cat(parts)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None, None]:
        return gradient[ctx.own] * ctx.world, None, None


def prepare() -> torch.device:
    """The device of this process, after setting the number of threads (`environment.threads`)."""
    torch.set_num_threads(threads())
    return Devices(machine.device()).device
