"""BatchNorm whose statistics are the global batch's, for processes on CPUs.

`torch.nn.SyncBatchNorm` does this on GPUs and refuses CPUs. With this module two CPU processes
compute what one computes, so the tests can check the code for many GPUs.
"""

from __future__ import annotations

from typing import Any

import torch
import torch.distributed
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm


class GlobalBatchNorm(_BatchNorm):
    """BatchNorm of (N, C) or (N, C, …), with BatchNorm's parameters and buffers.

    N may differ from process to process.
    """

    def _check_input_dim(self, input: Tensor) -> None:
        if input.dim() < 2:
            raise ValueError(f"expected (N, C, …), not {input.dim()} dimensions")

    def forward(self, input: Tensor) -> Tensor:
        """Normalise by mean and biased variance of all processes; by the running ones in `eval`."""
        if not self.training:
            return super().forward(input)
        dims = [0, *range(2, input.dim())]
        shape = [1, -1, *[1] * (input.dim() - 2)]
        own = torch.cat([input.sum(dims), input.new_tensor([input.numel() / input.shape[1]])])
        both: Tensor = _Sum.apply(own)
        count = both[-1].detach()
        mean = both[:-1] / count
        centred = input - mean.view(shape)
        variance: Tensor = _Sum.apply(centred.square().sum(dims)) / count
        if self.track_running_stats:
            self._remember(mean.detach(), variance.detach() * count / (count - 1))
        output: Tensor = centred * (variance.view(shape) + self.eps).rsqrt()
        return output * self.weight.view(shape) + self.bias.view(shape) if self.affine else output

    @torch.no_grad()
    def _remember(self, mean: Tensor, variance: Tensor) -> None:
        assert self.running_mean is not None
        assert self.running_var is not None
        assert self.num_batches_tracked is not None
        self.num_batches_tracked.add_(1)
        share = self.momentum if self.momentum is not None else 1 / float(self.num_batches_tracked)
        self.running_mean.lerp_(mean, share)
        self.running_var.lerp_(variance, share)


class _Sum(torch.autograd.Function):
    """Sum over the processes, of gradients too: every process uses every part."""

    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        return _summed(x)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Tensor:
        return _summed(gradient)


def _summed(x: Tensor) -> Tensor:
    total = x.clone(memory_format=torch.contiguous_format)
    torch.distributed.all_reduce(total)
    return total


def with_global_batchnorm(module: nn.Module) -> nn.Module:
    """Replace every BatchNorm of `module` by a `GlobalBatchNorm` with its parameters, buffers."""
    if isinstance(module, nn.BatchNorm1d | nn.BatchNorm2d | nn.BatchNorm3d):
        made = GlobalBatchNorm(
            module.num_features,
            module.eps,
            module.momentum,
            module.affine,
            module.track_running_stats,
        )
        made._parameters, made._buffers = module._parameters, module._buffers
        return made.train(module.training)
    for name, child in module.named_children():
        setattr(module, name, with_global_batchnorm(child))
    return module
