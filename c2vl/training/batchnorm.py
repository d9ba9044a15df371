"""BatchNorm whose statistics are the global batch's, for processes on CPUs.

`torch.nn.SyncBatchNorm` does this on GPUs and refuses CPUs; with this module a training over two CPU processes computes
what one process computes, which is how the tests know that the code for many GPUs is right.
"""

from __future__ import annotations

from typing import Any

import torch
import torch.distributed
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm


class GlobalBatchNorm(_BatchNorm):
    """BatchNorm of (N, C) or (N, C, …); N may differ from process to process. Parameters and buffers as of BatchNorm."""

    def _check_input_dim(self, input: Tensor) -> None:
        if input.dim() < 2:
            raise ValueError(f"expected (N, C, …), not {input.dim()} dimensions")

    def forward(self, input: Tensor) -> Tensor:
        """Normalise by the mean and the biased variance over all processes; in evaluation mode by the running ones."""
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
    """Sum over the processes. What each of them does with it depends on everybody's part, so gradients are summed too."""

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
    """Put a `GlobalBatchNorm` with the same parameters and buffers in place of every BatchNorm of `module`."""
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
