"""Northwestern-UCLA and UTD-MHAD: lists of samples from the names of files.

Sources: Wang et al., Cross-view Action Modeling, Learning and Recognition (CVPR 2014), skeletons as
CTR-GCN distributes them; Chen et al., UTD-MHAD (ICIP 2015).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from c2vl.core.errors import UserError
from c2vl.core.unicode_text import printable
from c2vl.datasets.benchmarks import BENCHMARKS, splits
from c2vl.datasets.classes import published_class_names
from c2vl.datasets.data_params import DataParams
from c2vl.datasets.listed.listing import ListedSample, Listing
from c2vl.datasets.names import SampleName
from c2vl.datasets.raw_files import MARK
from c2vl.datasets.remarks import not_here, passed_over
from c2vl.datasets.scan import all_places, base_name, is_packed, is_video

NUMBER = re.compile(r"([a-z])(\d{1,2})", re.ASCII)


@dataclass(frozen=True)
class NamedFiles:
    """How a data set names its files: letters with numbers between underscores.

    Attributes:
        suffix: of skeleton files, in lower case.
        endings: words that a name may end in.
        letters: what the numbers mean; `a` is the action.
        written: a sample's id, from its numbers.
        actions: numbers of the actions in the order of labels.
        example: of a skeleton file's name.
    """

    suffix: str
    endings: tuple[str, ...]
    letters: Mapping[str, str]
    written: str
    actions: tuple[int, ...]
    example: str


DATASETS = {
    "nwucla": NamedFiles(
        ".json",
        (),
        {"a": "action", "s": "subject", "e": "repetition", "v": "camera"},
        "a{a:02}_s{s:02}_e{e:02}_v{v:02}",
        (1, 2, 3, 4, 5, 6, 8, 9, 11, 12),
        "a01_s01_e00_v01.json",
    ),
    "utdmhad": NamedFiles(
        ".mat",
        ("skeleton", "color"),
        {"a": "action", "s": "subject", "t": "repetition"},
        "a{a}_s{s}_t{t}",
        tuple(range(1, 28)),
        "a1_s1_t1_skeleton.mat",
    ),
}


@dataclass
class _Files:
    numbers: dict[str, int]
    skeletons: list[str] = field(default_factory=list)
    videos: list[str] = field(default_factory=list)


def list_named_files(params: DataParams) -> Listing:
    """List the samples of `params.dataset` in `params.raw`, in folders and zip archives.

    Raises:
        UserError: the folder cannot be read, or holds no such file.
    """
    names = DATASETS[params.dataset]
    found, strangers, packed = _scan(names, params.raw)
    if not found:
        raise UserError(
            f"{params.raw} (`data.raw`) holds no file such as {names.example}, nor do the folders "
            "and zip archives in it; put the data set there, unpacked or as a zip archive."
        )
    split_of = splits(params.dataset)
    samples = []
    for sample, files in sorted(found.items()):
        numbers = {names.letters[letter]: number for letter, number in files.numbers.items()}
        label = names.actions.index(numbers.pop("action"))
        name = SampleName(0, numbers.get("camera", 0), numbers["subject"], 0, 0)
        samples.append(
            ListedSample(
                sample,
                label,
                files.skeletons,
                files.videos,
                {benchmark: split(name) for benchmark, split in split_of.items()},
                camera=numbers.get("camera"),
                subject=numbers["subject"],
                repetition=numbers["repetition"],
            )
        )
    return Listing(
        samples,
        published_class_names(params.dataset, params.raw, params.class_names),
        BENCHMARKS[params.dataset],
        strangers,
        [*not_here(params.dataset, found), *passed_over(strangers, packed)],
    )


def _scan(names: NamedFiles, raw: Path) -> tuple[dict[str, _Files], list[str], list[str]]:
    """Files by sample; files that look like a sample's but are none; archives."""
    found: dict[str, _Files] = {}
    strangers, packed = list[str](), list[str]()
    for place in sorted(all_places(raw), key=lambda place: MARK in place):
        base = base_name(place)
        filmed, skeleton = is_video(base), base.lower().endswith(names.suffix)
        if is_packed(place):
            packed.append(printable(place))
        if not filmed and not skeleton:
            continue
        numbers = _numbers(names, place)
        if numbers is None or not _encodes(place):
            if filmed or not _of_another_sensor(base):
                strangers.append(printable(place))
            continue
        files = found.setdefault(names.written.format(**numbers), _Files(numbers))
        (files.videos if filmed else files.skeletons).append(place)
    return found, strangers, packed


def _numbers(names: NamedFiles, place: str) -> dict[str, int] | None:
    """The numbers in a file's name, in any order; its folder may hold the action.

    Northwestern-UCLA's videos are `a01/v01_s01_e00.avi`, in some copies `v01_s01_e00_a01.avi`.
    """
    *folders, base = place.lower().replace(MARK, "/").replace("\\", "/").split("/")
    words = base.rpartition(".")[0].split("_")
    if words[-1] in names.endings:
        words.pop()
    elif names.endings and base.endswith(names.suffix):
        return None  # of another sensor
    numbers: dict[str, int] = {}
    for word in words:
        match = NUMBER.fullmatch(word)
        if match is None or match[1] in numbers or match[1] not in names.letters:
            return None
        numbers[match[1]] = int(match[2])
    if "a" not in numbers and folders and (match := NUMBER.fullmatch(folders[-1])):
        numbers |= {match[1]: int(match[2])} if match[1] == "a" else {}
    if numbers.keys() != names.letters.keys() or numbers["a"] not in names.actions:
        return None
    return numbers


def _of_another_sensor(base: str) -> bool:
    """Whether it is UTD-MHAD's depth or inertial file, which nothing here reads."""
    return base.lower().endswith(("_depth.mat", "_inertial.mat"))


def _encodes(place: str) -> bool:
    try:
        place.encode()
    except UnicodeEncodeError:  # a folder's name that is not UTF-8 cannot stand in a table
        return False
    return True
