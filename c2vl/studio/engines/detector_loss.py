"""A loss for Grounding DINO's proposals; without it a small model does not learn.

With `two_stage`, the first head scores every cell of the feature maps, and its best boxes become
the decoder's queries. The library's own loss gives that head no gradient, so from scratch the
queries stay random. Here each person has one cell that should score (the best so far, so that
nothing must be suppressed later) and many cells that should predict the box. As in YOLOv10, a
second score head may fire on all of these cells and trains the features. It is dropped after
training.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch

CENTRE = 0.45  # a cell within this share of a box's half-size is positive
PERSON = 1  # position of `person` in the prompt's tokens [CLS] person . [SEP]


def cell_centres(shapes: list[tuple[int, int]]) -> torch.Tensor:
    """Centres (S, 2), x and y in 0…1, of the cells of all feature maps (height, width) in turn."""
    import torch

    centres = []
    for height, width in shapes:
        rows, columns = (torch.arange(height) + 0.5) / height, (torch.arange(width) + 0.5) / width
        y, x = torch.meshgrid(rows, columns, indexing="ij")
        centres.append(torch.stack([x, y], -1).reshape(-1, 2))
    return torch.cat(centres)


def assign(
    centres: torch.Tensor, boxes: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Assign cells of the feature maps to people.

    Args:
        centres: (S, 2).
        boxes: (P, 4) cxcywh in 0…1, P ≥ 1.

    Returns:
        The positive cells, the person of each, and its distance from the centre (0) to the edge
        (1), (K,) each.
    """
    import torch

    offset = (centres[:, None] - boxes[None, :, :2]).abs() / (boxes[None, :, 2:] / 2)  # (S, P, 2)
    distance = offset.amax(-1)
    nearest, person = distance.min(1)
    positive = nearest < CENTRE
    # Each person gets its nearest cell, even if it is smaller than a cell or in front of others.
    own = distance.argmin(0)
    positive[own] = True
    person[own] = torch.arange(len(boxes))
    nearest = distance.gather(1, person[:, None])[:, 0]
    cells = positive.nonzero()[:, 0]
    return cells, person[cells], nearest[cells]


def focal(
    logits: torch.Tensor, targets: torch.Tensor, alpha: float = 0.25, gamma: float = 2.0
) -> torch.Tensor:
    """Summed focal loss of sigmoid logits against 0/1 targets (Lin et al. 2017, equation 5)."""
    import torch

    chance = logits.sigmoid()
    right = chance * targets + (1 - chance) * (1 - targets)
    weight = alpha * targets + (1 - alpha) * (1 - targets)
    entropy = torch.nn.functional.binary_cross_entropy_with_logits(
        logits, targets, reduction="none"
    )
    return (weight * (1 - right) ** gamma * entropy).sum()


def corners(boxes: torch.Tensor) -> torch.Tensor:
    """Convert boxes (K, 4) from cxcywh to xyxy."""
    import torch

    return torch.cat([boxes[:, :2] - boxes[:, 2:] / 2, boxes[:, :2] + boxes[:, 2:] / 2], 1)


def paired_giou(first: torch.Tensor, second: torch.Tensor) -> torch.Tensor:
    """Generalised IoU (K,) of boxes (K, 4) cxcywh, row by row (Rezatofighi et al. 2019)."""
    import torch

    a, b = corners(first), corners(second)
    overlap = (
        (torch.minimum(a[:, 2:], b[:, 2:]) - torch.maximum(a[:, :2], b[:, :2])).clamp(min=0).prod(1)
    )
    hull = (torch.maximum(a[:, 2:], b[:, 2:]) - torch.minimum(a[:, :2], b[:, :2])).prod(1)
    union = first[:, 2:].prod(1) + second[:, 2:].prod(1) - overlap
    return overlap / union.clamp(min=1e-9) - (hull - union) / hull.clamp(min=1e-9)


def best_cells(
    cells: torch.Tensor, person: torch.Tensor, quality: torch.Tensor, people: int
) -> list[int]:
    """The positive cell of highest `quality` for each person."""
    chosen = []
    for index in range(people):
        mine = (person == index).nonzero()[:, 0]
        if len(mine):
            chosen.append(int(cells[mine[quality[mine].argmax()]]))
    return chosen


def dense_proposal_loss(
    class_logits: torch.Tensor,
    box_logits: torch.Tensor,
    many_logits: torch.Tensor,
    centres: torch.Tensor,
    boxes: list[torch.Tensor],
) -> torch.Tensor:
    """Loss of the proposals: score, box (L1 and GIoU) and one-to-many score, weights 2, 5, 2, 2.

    Args:
        class_logits: (B, S, L) scores of the cells against the prompt's L tokens.
        box_logits: (B, S, 4) logits of cxcywh; infinite for cells that the library marks invalid.
        many_logits: (B, S) logits of the extra head.
        centres: (S, 2) centres of the cells.
        boxes: (P, 4) cxcywh in 0…1 of each image; P may be 0.
    """
    import torch

    one, many = torch.zeros_like(class_logits), torch.zeros_like(many_logits)
    predicted, wanted = [], []
    for index, truth in enumerate(boxes):
        if not len(truth):
            continue
        cells, person, central = assign(centres, truth)
        guess = box_logits[index, cells].sigmoid()
        with torch.no_grad():
            fit = paired_giou(guess, truth[person]).clamp(min=0)
            quality = class_logits[index, cells, PERSON].sigmoid().sqrt() * fit + 1e-3 * (
                1 - central
            )
            one[index, best_cells(cells, person, quality, len(truth)), PERSON] = 1.0
        many[index, cells] = 1.0
        valid = torch.isfinite(box_logits[index, cells]).all(1)
        predicted.append(guess[valid])
        wanted.append(truth[person][valid])
    score = focal(class_logits, one) / one.sum().clamp(min=1)
    every = focal(many_logits, many) / many.sum().clamp(min=1)
    if not predicted:
        return 2 * score + 2 * every
    p, t = torch.cat(predicted), torch.cat(wanted)
    count = max(1, len(t))
    return (
        2 * score
        + 2 * every
        + 5 * (p - t).abs().sum() / count
        + 2 * (1 - paired_giou(p, t)).sum() / count
    )
