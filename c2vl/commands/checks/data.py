"""The raw data, by what their names promise, and whether something of theirs would leave this machine."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from c2vl.commands.checks.finding import Finding, mib
from c2vl.core.params import load_section

if TYPE_CHECKING:
    from c2vl.datasets.data_params import DataParams

NO_VIDEOS = (
    "without videos nothing is pretrained; only what needs no prompts runs. Set "
    "`caption.published` to a file of answers (docs/datasets.md)"
)


def data() -> Iterator[Finding]:
    """The raw folder: which samples its names promise, without reading them; or the preprocessed file."""
    from c2vl.datasets import pku
    from c2vl.datasets.data_params import DataParams
    from c2vl.datasets.preprocessed import is_preprocessed

    params = load_section("data", DataParams)
    if params.dataset == "studio" and not params.raw.exists():
        yield Finding("ok", "data", f"{params.raw} is not there yet; `simulate` makes it")
    elif is_preprocessed(params.raw):
        yield _preprocessed(params)
    else:
        yield from _sharing(params)
        yield from _pku(params) if params.dataset in pku.DATASETS else _ntu(params)


def filmed(params: DataParams) -> bool:
    """Whether there are videos among the raw files, by their names; of those that are not there yet, there may be."""
    from c2vl.datasets import pku, pku_scan, scan
    from c2vl.datasets.benchmarks import belongs
    from c2vl.datasets.preprocessed import is_preprocessed

    if not params.raw.exists():
        return True
    if is_preprocessed(params.raw):
        return False
    if params.dataset in pku.DATASETS:
        return any(one.videos for one in pku_scan.scan(params.dataset, params.raw).videos.values())
    found = scan.scan(params.raw).samples
    return any(files.videos and belongs(params.dataset, name) for name, files in found.items())


def _preprocessed(params: DataParams) -> Finding:
    from c2vl.datasets.preprocessed import open_preprocessed

    if (
        params.raw.is_file() and params.raw.suffix.lower() != ".npz"
    ):  # pyskl's would have to be read whole
        return Finding(
            "ok",
            "data",
            f"{params.raw}: {mib(params.raw.stat().st_size)}, skeletons of pyskl's format, not looked into",
        )
    has = open_preprocessed(params.raw).benchmarks
    told = f"{params.raw}: skeletons of CTR-GCN's format, splits of {', '.join(has)}"
    lacks = [name for name in params.benchmarks if name not in has]
    if lacks:
        return Finding("FAIL", "data", told, f"take {', '.join(lacks)} out of `data.benchmarks`")
    return Finding("ok", "data", told)


def _ntu(params: DataParams) -> Iterator[Finding]:
    from c2vl.datasets.benchmarks import belongs
    from c2vl.datasets.scan import scan

    found = scan(params.raw)
    samples = [files for name, files in found.samples.items() if belongs(params.dataset, name)]
    skeletons = sum(bool(files.skeletons) for files in samples)
    videos = sum(bool(files.videos) for files in samples)
    told = f"{skeletons:,} skeletons and {videos:,} videos of {len(samples):,} samples as {params.dataset}"
    others = (
        f", {len(found.samples) - len(samples):,} of other data sets"
        if len(found.samples) > len(samples)
        else ""
    )
    odd = f", {len(found.strangers):,} files with strange names" if found.strangers else ""
    yield _verdict(
        f"{params.raw}: {told}{others}{odd}", skeletons, videos, "unpack the skeletons there"
    )


def _pku(params: DataParams) -> Iterator[Finding]:
    from c2vl.datasets.pku_scan import scan

    found = scan(params.dataset, params.raw)
    files = found.videos.values()
    usable = sum(bool(one.skeletons and one.labels) for one in files)
    videos = sum(bool(one.videos) for one in files)
    told = f"{usable:,} long skeletons with labels and {videos:,} videos of {len(files):,} as {params.dataset}"
    odd = f", {len(found.strangers):,} files with strange names" if found.strangers else ""
    yield _verdict(
        f"{params.raw}: {told}{odd}", usable, videos, "unpack the skeletons and the labels there"
    )
    for benchmark in params.benchmarks if params.dataset == "pku1" else []:
        if benchmark not in found.splits:
            list_of = {"xsub": "cross-subject.txt", "xview": "cross-view.txt"}[benchmark]
            yield Finding(
                "FAIL", "data", f"no split file of {benchmark}", f"put part I's {list_of} there"
            )


def _verdict(told: str, skeletons: int, videos: int, todo: str) -> Finding:
    if not skeletons:
        return Finding("FAIL", "data", told, todo)
    if not videos and not _published():
        return Finding("note", "data", told, NO_VIDEOS)
    return Finding("ok", "data", told)


def _published() -> bool:
    from c2vl.core.params import read_params

    return bool((read_params().get("caption") or {}).get("published"))


def _sharing(params: DataParams) -> Iterator[Finding]:
    """Said also where it was chosen: the setting is a line that is easily forgotten."""
    from c2vl.core.sharing import PIPELINE, push_warning

    if PIPELINE.is_file() and (warning := push_warning(params.dataset)):
        yield Finding("note", "sharing", warning)
