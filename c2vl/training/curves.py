"""The curves of a training: one row of `curves.csv` per epoch."""

from __future__ import annotations

import csv
import io
from dataclasses import asdict, dataclass, fields
from typing import Any


@dataclass(frozen=True)
class Epoch:
    """One epoch; None if a value has no meaning. Shares are in 0…1, `entropy` in nats."""

    epoch: int
    learning_rate: float
    loss: float
    alpha: float | None = None
    temperature: float | None = None
    target_temperature: float | None = None
    diagonal: float | None = None
    entropy: float | None = None
    accuracy: float | None = None
    probe: float | None = None


SHOWN = ("loss", "temperature", "diagonal", "entropy", "accuracy", "probe")  # they show a collapse


def as_text(epochs: list[Epoch]) -> list[str]:
    """Return loss and diagnostics of the last epoch, and the last probe, for a progress bar."""
    if not epochs:
        return []
    probes = [epoch.probe for epoch in epochs if epoch.probe is not None]
    values = asdict(epochs[-1]) | {"probe": probes[-1] if probes else None}
    return [f"{name} {values[name]:.3g}" for name in SHOWN if values[name] is not None]


def to_csv(epochs: list[Epoch]) -> str:
    """The rows as CSV, with seven significant digits: all that float32 has."""
    out = io.StringIO()
    writer = csv.DictWriter(out, [field.name for field in fields(Epoch)], lineterminator="\n")
    writer.writeheader()
    for epoch in epochs:
        writer.writerow(
            {k: f"{v:.7g}" if isinstance(v, float) else v for k, v in asdict(epoch).items()}
        )
    return out.getvalue()


def from_csv(text: str) -> list[Epoch]:
    """The rows of `to_csv`, with the digits that it wrote."""
    rows: list[Epoch] = []
    for row in csv.DictReader(io.StringIO(text)):
        epoch = int(row.pop("epoch"))
        values: dict[str, Any] = {name: float(v) if v else None for name, v in row.items()}
        rows.append(Epoch(epoch, **values))
    return rows
