"""Check the raw data by file names, and what of them `dvc push` would upload."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
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
    """Count the samples of the raw folder by file names, or look into the preprocessed file."""
    from c2vl.datasets import pku
    from c2vl.datasets.data_params import DataParams
    from c2vl.datasets.listed.listed_index import DATASETS
    from c2vl.datasets.preprocessed import is_preprocessed

    params = load_section("data", DataParams)
    if params.dataset == "studio" and not params.raw.exists():
        yield Finding(
            "ok", "data", f"{params.raw} does not exist yet; the stage `simulate` makes it"
        )
    elif is_preprocessed(params.raw):
        yield _preprocessed(params)
    else:
        yield from _sharing(params)
        if params.dataset in DATASETS:
            yield from _listed(params)
            return
        yield from _pku(params) if params.dataset in pku.DATASETS else _ntu(params)


def filmed(params: DataParams) -> bool:
    """Whether the raw files include videos, by their names; True if there are no raw files yet."""
    from c2vl.datasets import pku, pku_scan, scan
    from c2vl.datasets.benchmarks import belongs
    from c2vl.datasets.listed.listed_index import DATASETS, list_samples
    from c2vl.datasets.preprocessed import is_preprocessed

    if not params.raw.exists():
        return True
    if is_preprocessed(params.raw):
        return False
    if params.dataset in DATASETS:
        return any(sample.videos for sample in list_samples(params).samples)
    if params.dataset in pku.DATASETS:
        return any(one.videos for one in pku_scan.scan(params.dataset, params.raw).videos.values())
    found = scan.scan(params.raw).samples
    return any(files.videos and belongs(params.dataset, name) for name, files in found.items())


def videos_alone(params: DataParams) -> bool:
    """Whether some sample has a video and no skeleton file."""
    from c2vl.datasets.listed.listed_index import DATASETS, list_samples, video_alone

    if params.dataset not in DATASETS or not params.raw.exists():
        return False
    name = params.layout().name
    return any(video_alone(sample, name) for sample in list_samples(params).samples)


def _preprocessed(params: DataParams) -> Finding:
    from c2vl.datasets.preprocessed import open_preprocessed, preprocessed_file

    file = preprocessed_file(params.raw) or params.raw
    # pyskl's file would have to be read whole.
    if file.is_file() and file.suffix.lower() != ".npz":
        size = mib(file.stat().st_size)
        found = f"{file}: {size}, skeletons in pyskl's format (contents not checked)"
        return Finding("ok", "data", found)
    has = open_preprocessed(params.raw).benchmarks
    found = f"{params.raw}: skeletons in CTR-GCN's format, splits of {', '.join(has)}"
    lacks = [name for name in params.benchmarks if name not in has]
    if lacks:
        todo = f"remove {', '.join(lacks)} from `data.benchmarks`"
        return Finding("FAIL", "data", found, todo)
    return Finding("ok", "data", found)


def _ntu(params: DataParams) -> Iterator[Finding]:
    from c2vl.datasets.benchmarks import belongs
    from c2vl.datasets.scan import scan

    found = scan(params.raw)
    samples = [files for name, files in found.samples.items() if belongs(params.dataset, name)]
    skeletons = sum(bool(files.skeletons) for files in samples)
    videos = sum(bool(files.videos) for files in samples)
    counts = f"{skeletons:,} skeletons and {videos:,} videos of {len(samples):,} samples"
    rest = len(found.samples) - len(samples)
    others = f", {rest:,} of other data sets" if rest else ""
    yield _verdict(
        f"{params.raw}: {counts} as {params.dataset}{others}{_unknown(found.strangers)}",
        skeletons,
        videos,
        f"unpack the skeletons into {params.raw}",
    )
    if first := next((files.skeletons[0] for files in samples if files.skeletons), None):
        yield from _in_metres(params.raw, first)


def _in_metres(raw: Path, file: str) -> Iterator[Finding]:
    """Report a skeleton whose torso is not a person's in metres; an unreadable one is no matter."""
    from c2vl.datasets import raw_files as places
    from c2vl.datasets.raw_files import PlaceError
    from c2vl.datasets.skeleton_file import SkeletonError, parse_skeleton
    from c2vl.datasets.skeletons.metres import OFF, human, torso

    try:
        length = torso(parse_skeleton(places.read(raw, file)).joints)
    except (PlaceError, SkeletonError, OSError):
        return
    if not human(length) and length == length:
        todo = "if other files are like it, convert them to metres"
        yield Finding("note", "data", f"{file} is {OFF}: it is {length:.3g} long", todo)


def _pku(params: DataParams) -> Iterator[Finding]:
    from c2vl.datasets.pku_scan import scan

    found = scan(params.dataset, params.raw)
    files = found.videos.values()
    usable = sum(bool(one.skeletons and one.labels) for one in files)
    videos = sum(bool(one.videos) for one in files)
    counts = f"{usable:,} long skeletons with labels and {videos:,} videos of {len(files):,}"
    yield _verdict(
        f"{params.raw}: {counts} as {params.dataset}{_unknown(found.strangers)}",
        usable,
        videos,
        f"unpack the skeletons and the labels into {params.raw}",
    )
    for benchmark in params.benchmarks if params.dataset == "pku1" else []:
        if benchmark not in found.splits:
            file = {"xsub": "cross-subject.txt", "xview": "cross-view.txt"}[benchmark]
            todo = f"copy {file} of PKU-MMD I into {params.raw}"
            yield Finding("FAIL", "data", f"no split file for {benchmark}", todo)


def _listed(params: DataParams) -> Iterator[Finding]:
    """Northwestern-UCLA, UTD-MHAD and manifests: what their lists name, without opening files."""
    from collections import Counter

    from c2vl.datasets.listed.listed_index import list_samples, video_alone

    listing, layout = list_samples(params), params.layout()
    usable = [sample for sample in listing.samples if not sample.kind]
    skeletons = sum(bool(sample.skeletons) for sample in usable)
    videos = sum(bool(sample.videos) for sample in usable)
    counts = f"{skeletons:,} skeletons and {videos:,} videos of {len(usable):,} samples"
    shape = f"{len(listing.classes):,} classes, skeleton {layout.name}"
    found = f"{params.raw}: {counts} as {params.dataset}, {shape}{_unknown(listing.strangers)}"
    alone = sum(video_alone(sample, layout.name) for sample in usable)
    yield _verdict(found, skeletons or alone, videos, f"put the skeletons into {params.raw}")
    if alone:
        what = f"{alone:,} samples have a video and no skeleton file; stage `pose` finds theirs"
        yield Finding("ok", "data", what)
    bad = Counter(sample.kind for sample in listing.samples if sample.kind)
    if bad:
        first = next(sample for sample in listing.samples if sample.kind)
        found = ", ".join(f"{count:,} {kind}" for kind, count in bad.items())
        yield Finding("note", "data", f"rows that cannot be used: {found}; {first.problem}")


def _unknown(names: Sequence[str]) -> str:
    if not names:
        return ""
    return f", {len(names):,} files with unknown names, such as {names[0]}"


def _verdict(counts: str, skeletons: int, videos: int, todo: str) -> Finding:
    if not skeletons:
        return Finding("FAIL", "data", counts, todo)
    if not videos and not _published():
        return Finding("note", "data", counts, NO_VIDEOS)
    return Finding("ok", "data", counts)


def _published() -> bool:
    from c2vl.core.params import read_params

    return bool((read_params().get("caption") or {}).get("published"))


def _sharing(params: DataParams) -> Iterator[Finding]:
    """Report what `dvc push` would upload: also what was chosen, because it is easily forgotten."""
    from c2vl.core.sharing import PIPELINE, push_warning

    if PIPELINE.is_file() and (warning := push_warning(params.dataset)):
        yield Finding("note", "sharing", warning)
