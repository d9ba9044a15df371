"""Section `report` of `params.yaml`."""

from __future__ import annotations

from pydantic import Field

from c2vl.core.params import ParamsModel


class ReportParams(ParamsModel):
    """What the page shows.

    Attributes:
        seed: of the choice of samples and classes, and of t-SNE.
        gallery: samples in the gallery.
        failures: further samples that did not go well.
        moments: skeletons drawn of a sample, evenly spread in time.
        tsne_classes: classes in the t-SNE plots.
        tsne_points: most points in one t-SNE plot.
    """

    seed: int = 0
    gallery: int = Field(12, ge=0)
    failures: int = Field(4, ge=0)
    moments: int = Field(6, ge=1)
    tsne_classes: int = Field(10, ge=2)
    tsne_points: int = Field(1000, ge=20)
