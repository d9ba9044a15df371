"""Section `report` of `params.yaml`."""

from __future__ import annotations

from pydantic import Field

from c2vl.core.params import ParamsModel


class ReportParams(ParamsModel):
    """What the report shows.

    Attributes:
        seed: seed of the choice of samples and classes, and of t-SNE.
        gallery: number of samples in the gallery.
        failures: number of further samples, chosen among those that failed.
        moments: number of skeletons drawn for each sample, evenly spread in time.
        tsne_classes: number of classes in the t-SNE plots.
        tsne_points: largest number of points in one t-SNE plot.
    """

    seed: int = 0
    gallery: int = Field(12, ge=0)
    failures: int = Field(4, ge=0)
    moments: int = Field(6, ge=1)
    tsne_classes: int = Field(10, ge=2)
    tsne_points: int = Field(1000, ge=20)
