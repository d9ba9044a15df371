"""Big tensors whose rows a training step picks: on the device if they fit, else on the host."""

from __future__ import annotations

import logging

import torch
from torch import Tensor

log = logging.getLogger(__name__)
SHARE = 0.5  # of the device's free memory that resident data may take; the rest is for activations


def fits(tensor_bytes: int, device: torch.device) -> bool:
    """Whether data of that size may live on the device; always on a CPU, which has one memory."""
    if device.type != "cuda":
        return True
    free, _ = torch.cuda.mem_get_info(device)
    return tensor_bytes <= SHARE * free


class Resident:
    """A tensor (N, …) that gives rows on `device`, wherever it lives itself.

    What does not fit stays in host memory; each batch of its rows is then gathered into pinned
    memory and copied without waiting. The rows are the same either way.
    """

    def __init__(self, tensor: Tensor, device: torch.device | str, what: str = "") -> None:
        """Place the tensor.

        Args:
            tensor: the data (N, …).
            device: where rows are wanted.
            what: name of the data in the message that they stay on the host.
        """
        self.device = torch.device(device)
        size = tensor.numel() * tensor.element_size()
        stays = tensor.device.type == "cpu" and not fits(size, self.device)
        self.tensor = tensor if stays else tensor.to(self.device)
        if not stays:
            # With its index: rows of `cuda:0` would else seem to be elsewhere than on `cuda`.
            self.device = self.tensor.device
        if stays:
            log.warning(
                "%s: %.1f GiB do not fit on %s beside the network; they stay in host memory and go "
                "there batch by batch through pinned memory.",
                what or "data",
                size / 2**30,
                self.device,
            )

    def __getitem__(self, index: Tensor) -> Tensor:
        """`tensor[index]` on the device, for an int64 index of any shape."""
        home = self.tensor.device
        if home == self.device:
            rows = index.flatten().to(home, non_blocking=True)
            chosen = self.tensor.index_select(0, rows)  # copies whole rows, `[]` single values
            return chosen.view(*index.shape, *self.tensor.shape[1:])
        flat = index.to(home).flatten()
        pinned = torch.empty(
            len(flat),
            *self.tensor.shape[1:],
            dtype=self.tensor.dtype,
            pin_memory=torch.cuda.is_available(),
        )
        torch.index_select(self.tensor, 0, flat, out=pinned)
        return pinned.to(self.device, non_blocking=True).view(*index.shape, *self.tensor.shape[1:])
