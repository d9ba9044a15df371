"""What would stop a run hours later, found before it: from the raw files' names and the index.

Each check is something that a run died of (tests/commands/test_doctor.py lists them).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Hashable, Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from c2vl.commands.checks.finding import Finding
from c2vl.core.params import load_section

if TYPE_CHECKING:
    import pyarrow as pa

    from c2vl.datasets.data_params import DataParams

INDEX = Path("data/index/index.parquet")
FEWEST = {"train": 2, "test": 1}  # clips; BatchNorm needs two


def run() -> Iterator[Finding]:
    """What would end a run before its report."""
    from c2vl.datasets.data_params import DataParams

    data = load_section("data", DataParams)
    found = [*_videos(data), *_splits(data), *_targets(), *_prompts(data), *_of_index(data)]
    yield from found or [Finding("ok", "run", "nothing is known that would stop it later")]


def _videos(data: DataParams) -> Iterator[Finding]:
    """Skeletons without a video are failed rows of `crop`."""
    from c2vl.prompts.crop_params import CropParams

    filmed = list(_skeletons(data).values())
    most = load_section("crop", CropParams).max_failed
    without = filmed.count(False)
    if any(filmed) and without > most * len(filmed):
        found = f"{without:,} of {len(filmed):,} skeletons have no video beside them"
        todo = f"add the videos, take these skeletons out, or raise `crop.max_failed` ({most:g})"
        yield Finding("FAIL", "crop", found, todo)


def _splits(data: DataParams) -> Iterator[Finding]:
    """A benchmark needs training and test clips; for NTU RGB+D, the file names show them."""
    from c2vl.datasets.benchmarks import splits
    from c2vl.datasets.listed.listed_index import DATASETS, list_samples, video_alone
    from c2vl.datasets.names import SampleName

    if data.dataset in DATASETS and data.raw.is_dir():
        name = data.layout().name
        listed = [
            one
            for one in list_samples(data).samples
            if (one.skeletons and not one.kind) or video_alone(one, name)
        ]
        for benchmark in data.benchmarks:
            members = (one.splits.get(benchmark, "") for one in listed)
            yield from _split(benchmark, members, str(data.raw))
        return
    names = [name for name in _skeletons(data) if isinstance(name, SampleName)]
    for benchmark in data.benchmarks if names else ():
        split = splits(data.dataset, data.train_subjects)[benchmark]
        yield from _split(benchmark, map(split, names), str(data.raw))


def _targets() -> Iterator[Finding]:
    """Transfer comes last, after all trainings."""
    from c2vl.datasets.transfer_targets import TransferTargets

    for target in load_section("transfer", TransferTargets).targets.values():
        if target.raw.exists():
            yield from _splits(target.data())


def _skeletons(data: DataParams) -> dict[Hashable, bool]:
    """Skeletons by the names of the raw files, PKU-MMD's long ones, and whether each has a video.

    Raises:
        UserError: the folder holds no file of the data set.
    """
    from c2vl.datasets import pku, pku_scan, scan
    from c2vl.datasets.benchmarks import belongs, missing_skeletons
    from c2vl.datasets.listed.listed_index import DATASETS, list_samples
    from c2vl.datasets.preprocessed import is_preprocessed

    if not data.raw.is_dir() or is_preprocessed(data.raw):
        return {}  # not there yet, or a preprocessed file
    if data.dataset in DATASETS:
        listed = (one for one in list_samples(data).samples if one.skeletons and not one.kind)
        return {one.sample: bool(one.videos) for one in listed}
    if data.dataset in pku.DATASETS:
        long = pku_scan.scan(data.dataset, data.raw).videos
        return {
            name: bool(one.videos) for name, one in long.items() if one.skeletons and one.labels
        }
    missing = missing_skeletons(data.dataset)
    return {
        name: bool(files.videos)
        for name, files in scan.scan(data.raw).samples.items()
        if files.skeletons and belongs(data.dataset, name) and name not in missing
    }


def _split(benchmark: str, members: Iterable[str], where: str) -> Iterator[Finding]:
    counts = Counter(members)
    for split, fewest in FEWEST.items():
        if counts[split] < fewest:
            found = f"{benchmark} has {counts[split]} {split} clips in {where}"
            todo = f"add some, or take {benchmark} out of `data.benchmarks`"
            yield Finding("FAIL", "splits", found, todo)


def _prompts(data: DataParams) -> Iterator[Finding]:
    """Without videos there is no vision prompt, and without published answers none at all."""
    from c2vl.commands.checks.data import filmed
    from c2vl.prompts.caption import CaptionParams
    from c2vl.training.finetuning.finetune_params import FinetuneParams, SemiParams, TransferParams
    from c2vl.training.training_params import PretrainParams

    if filmed(data):
        return
    knowledge = load_section("pretrain", PretrainParams).objective.knowledge
    if load_section("caption", CaptionParams).published is not None:
        if knowledge != "language":
            found = f"`pretrain.objective.knowledge` is {knowledge}, and {data.raw} holds no videos"
            yield Finding("FAIL", "pretrain", found, "set it to language")
        return
    starts = {
        "finetune": load_section("finetune", FinetuneParams).starts,
        "semi": load_section("semi", SemiParams).starts,
        "transfer": load_section("transfer", TransferParams).starts,
    }
    for name, chosen in starts.items():
        if "scratch" not in chosen:
            found = f"`{name}.starts` has no `scratch`, and without prompts there is no other start"
            yield Finding("FAIL", name, found, "add it")


def _of_index(data: DataParams) -> Iterator[Finding]:
    """What the clips of the index do not suffice for."""
    from c2vl.core import tables
    from c2vl.prompts.crop_params import CropParams
    from c2vl.training.training_params import PretrainParams

    if not INDEX.is_file():
        return
    index = tables.read(INDEX)
    if not index.num_rows or index["dataset"][0].as_py() != data.dataset:
        return  # another profile's
    batch = load_section("pretrain", PretrainParams).batch
    for benchmark in data.benchmarks:
        members = index[benchmark].to_pylist() if benchmark in index.column_names else []
        yield from _split(benchmark, members, str(INDEX))
        if 0 < (clips := members.count("train")) < batch:
            found = f"`pretrain.batch` {batch} is more than the {clips:,} training clips"
            yield Finding("note", "batch", f"{found} of {benchmark}; a step takes them all")
    yield from _frames(index, load_section("crop", CropParams).frames_per_clip)


def _frames(index: pa.Table, prompts: int) -> Iterator[Finding]:
    import pyarrow.compute as pc

    few = pc.sum(pc.less(index["video_frames"], prompts)).as_py() or 0
    if few:
        found = f"{few:,} videos have fewer frames than `crop.frames_per_clip`, {prompts}"
        yield Finding("note", "crop", f"{found}; some of their frames are taken more than once")
