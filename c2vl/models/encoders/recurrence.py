"""Two GRUs that read the same frames, computed together on a CPU.

torch's GRU for CPUs is made of small operations that autograd records one by one, and adds up the
weights' gradient frame by frame. Here both GRUs are one batched product a frame, what does not
depend on the frame before is computed for all frames at once, and so is the weights' gradient.
Formula and order of the gates (reset, update, new) are those of `torch.nn.GRU`.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable
from torch.nn.functional import linear


def together(first: nn.GRU, second: nn.GRU, x: Tensor) -> tuple[Tensor, Tensor]:
    """Outputs of two GRUs of one layer and equal size over x (B, T, D), each (B, T, H)."""
    names = ("weight_ih_l0", "bias_ih_l0", "weight_hh_l0", "bias_hh_l0")
    of_input, input_bias, of_hidden, hidden_bias = (
        torch.stack([getattr(gru, name) for gru in (first, second)]) for name in names
    )
    inputs = linear(x, of_input.flatten(0, 1), input_bias.flatten()).unflatten(
        2, (2, -1)
    )  # (B, T, 2, 3H)
    states: Tensor = _Recurrence.apply(
        inputs.permute(1, 2, 0, 3).contiguous(), of_hidden, hidden_bias[:, None]
    )
    one, two = states.unbind(1)
    return one.transpose(0, 1), two.transpose(0, 1)


class _Recurrence(torch.autograd.Function):
    """States h of G GRUs from their inputs' share of the gates, starting at zero.

    r, z = σ(x_rz + W_rz h + b_rz), n = tanh(x_n + r (W_n h + b_n)), h' = (1 - z) n + z h

    `inputs` (T, G, B, 3H) is W x + b of the inputs, `weight` (G, 3H, H), `bias` (G, 1, 3H); the
    states are (T, G, B, H).
    """

    @staticmethod
    def forward(ctx: Any, inputs: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
        frames, grus, batch, wide = inputs.shape
        width = wide // 3
        to_gates = weight.mT.contiguous()
        states = inputs.new_zeros(
            frames + 1, grus, batch, width
        )  # the first is the zero before all
        gates, new, share = (
            inputs.new_empty(frames, grus, batch, size) for size in (2 * width, width, width)
        )
        for t in range(frames):
            before = torch.baddbmm(bias, states[t], to_gates)
            torch.add(
                inputs[t, ..., : 2 * width], before[..., : 2 * width], out=gates[t]
            ).sigmoid_()
            share[t] = before[..., 2 * width :]
            torch.addcmul(
                inputs[t, ..., 2 * width :], gates[t, ..., :width], share[t], out=new[t]
            ).tanh_()
            torch.lerp(new[t], states[t], gates[t, ..., width:], out=states[t + 1])
        ctx.save_for_backward(weight, gates, new, share, states)
        return states[1:]

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        weight, gates, new, share, states = ctx.saved_tensors
        frames, _, _, width = new.shape
        reset, update = gates.split(width, dim=3)
        to_new = (1 - update) * (
            1 - new.square()
        )  # of the new state with respect to what is in its tanh, and so on
        to_update = (states[:-1] - new) * update * (1 - update)
        to_reset = share * reset * (1 - reset)
        of_hidden = new.new_empty(*new.shape[:3], 3 * width)  # gradient with respect to W h + b
        of_new = torch.empty_like(new)
        carried = torch.zeros_like(new[0])
        for t in reversed(range(frames)):
            carried = carried + gradient[t]
            torch.mul(carried, to_new[t], out=of_new[t])
            torch.mul(of_new[t], to_reset[t], out=of_hidden[t, ..., :width])
            torch.mul(carried, to_update[t], out=of_hidden[t, ..., width : 2 * width])
            torch.mul(of_new[t], reset[t], out=of_hidden[t, ..., 2 * width :])
            carried = torch.baddbmm(carried * update[t], of_hidden[t], weight)
        rows = of_hidden.transpose(0, 1).flatten(1, 2)  # (G, T*B, 3H)
        of_weight = rows.mT @ states[:-1].transpose(0, 1).flatten(1, 2)
        of_inputs = torch.cat([of_hidden[..., : 2 * width], of_new], dim=3)
        return of_inputs, of_weight, rows.sum(1, keepdim=True)
