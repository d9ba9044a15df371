"""Write a manifest for a folder of your own clips, sorted into a folder for each class.

  c2vl init data/raw                 data/raw/jump/clip1.mp4, data/raw/eat/a/b.npy, …
  c2vl init data/raw --params mine   also write profiles/mine.yaml, for `c2vl profile mine`
  c2vl init data/raw --params mine --base demo    the same, with the demo's engines and trainings
  c2vl init data/raw --dry-run       only say what it understands

Reads the names of the files, and some skeleton files. Writes FOLDER/manifest.csv, which you may
edit: one row for each clip, with its class, files, subject and split (docs/datasets.md).
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from c2vl.commands.own_data.profile_file import SHIPPED
from c2vl.core.errors import UserError

if TYPE_CHECKING:
    from c2vl.datasets.listed.class_folders import ClassFolders

HELP = "write a manifest for a folder of class folders (your own clips)"
MOST_CLASSES = 30  # printed


def configure(parser: argparse.ArgumentParser) -> None:
    """Declare the command's arguments."""
    parser.add_argument("folder", type=Path, help="folder of class folders")
    parser.add_argument(
        "--test", type=float, default=0.3, help="share of the test split (default 0.3)"
    )
    parser.add_argument("--seed", type=int, default=0, help="seed that draws splits (default 0)")
    parser.add_argument("--skeleton", help="a shipped skeleton or a YAML file (default: guessed)")
    parser.add_argument("--params", metavar="NAME", help="write profiles/NAME.yaml too")
    parser.add_argument(
        "--base", choices=SHIPPED, default="small", help="profile that --params copies"
    )
    parser.add_argument("--dry-run", action="store_true", help="write nothing")
    parser.add_argument("--force", action="store_true", help="overwrite what is there")


def run(arguments: argparse.Namespace) -> None:
    """Write the manifest; print what was understood and what to do next.

    Raises:
        UserError: the folder is missing or holds no clips, there is no such skeleton, or a file
            would be overwritten.
    """
    from c2vl.commands.own_data.profile_file import profile_path, write_profile
    from c2vl.core.errors import writing
    from c2vl.core.layout_file import load_layout
    from c2vl.datasets.listed.class_folders import read_class_folders
    from c2vl.datasets.listed.draw_splits import split_clips
    from c2vl.datasets.listed.write_manifest import write_manifest

    if not 0 < arguments.test < 1:
        raise UserError(f"--test is a share between 0 and 1, not {arguments.test:g}.")
    if not arguments.folder.is_dir():
        what = "is no folder" if arguments.folder.exists() else "is missing"
        raise UserError(f"{arguments.folder} {what}; name the one that holds your class folders.")
    if arguments.skeleton:
        load_layout(arguments.skeleton, "--skeleton")
    path = arguments.folder / "manifest.csv"
    profile = profile_path(arguments.params) if arguments.params else None
    for file in filter(None, (path, profile)):
        if file.exists() and not arguments.force and not arguments.dry_run:
            raise UserError(f"{file} exists; look at it, then run the command with --force.")
    _other_manifests(arguments)
    found = read_class_folders(arguments.folder)
    column, splits, how = split_clips(found, arguments.test, arguments.seed)
    _describe(arguments.folder, found)
    sides = ", ".join(f"{splits.count(side):,} {side}" for side in ("train", "val", "test"))
    say(f"splits, column `{column}`: {sides.replace(', 0 val', '')}; {how}")
    skeleton = arguments.skeleton or _skeleton(arguments.folder, found)
    if arguments.dry_run:
        return
    with writing(path):
        write_manifest(path, found, column, splits)
    say(f"wrote {path}: {len(found.clips):,} rows")
    values = {
        "dataset": "manifest",
        "raw": arguments.folder.as_posix(),
        "benchmarks": [column],
        "skeleton": skeleton,
    }
    if profile is None:
        say("next: set this in params.yaml, then run `c2vl doctor` and `dvc repro index`:")
        say("  worlds: []")
        say("  data:")
        shown = {**values, "benchmarks": f"[{column}]", "skeleton": skeleton or "?"}
        for key, value in shown.items():
            say(f"    {key}: {value}")
        return
    with writing(profile):
        write_profile(profile, values, arguments.base)
    say(f"wrote {profile}")
    say(f"next: c2vl profile {arguments.params} && c2vl doctor && dvc repro index")


def _other_manifests(arguments: argparse.Namespace) -> None:
    """Manifests of other formats, which a manifest.csv puts out of use.

    Raises:
        UserError: there is one, and neither --force nor --dry-run.
    """
    from c2vl.datasets.listed.manifest import FILES

    for other in (arguments.folder / name for name in FILES[1:]):
        if not other.exists():
            continue
        if not arguments.force and not arguments.dry_run:
            raise UserError(
                f"{other} exists, and is not read any more beside a manifest.csv; remove it, or "
                "run the command with --force."
            )
        say(f"{other} exists; beside a manifest.csv it is not read")


def _describe(folder: Path, found: ClassFolders) -> None:
    clips = found.clips
    videos, skeletons = sum(bool(c.video) for c in clips), sum(bool(c.skeleton) for c in clips)
    files = [place for clip in clips for place in (clip.video, clip.skeleton)]
    size = sum(_bytes(folder / place) for place in files if place)
    say(
        f"{folder}: {len(found.classes):,} classes, {len(clips):,} clips "
        f"({videos:,} videos, {skeletons:,} skeletons, {size / 1e6:,.1f} MB)"
    )
    for name, count in list(found.classes.items())[:MOST_CLASSES]:
        say(f"  {name}: {count:,}{'  (one clip: it only trains)' if count == 1 else ''}")
    if len(found.classes) > MOST_CLASSES:
        say(f"  and {len(found.classes) - MOST_CLASSES:,} more")
    for reason, places in found.skipped.items():
        say(f"skipped {len(places):,}: {reason}, such as {places[0]}")


def say(text: str) -> None:
    """Print a line in which names of folders and files may be of any kind."""
    from c2vl.core.unicode_text import printable

    print(printable(text))


def _bytes(path: Path) -> int:
    """Size of a clip's file or folder; 0 where it cannot be read, as `index` says then."""
    try:
        return sum(map(_bytes, path.iterdir())) if path.is_dir() else path.stat().st_size
    except OSError:
        return 0


def _skeleton(folder: Path, found: ClassFolders) -> str | None:
    """The skeleton of the files, guessed from some of them; printed."""
    from c2vl.core.layout_file import VIDEO
    from c2vl.datasets.listed.guess_layout import guess_layout

    places = [clip.skeleton for clip in found.clips if clip.skeleton]
    if not places:
        say(f"skeleton: none; stage `pose` finds {VIDEO} in the videos")
        return VIDEO
    name, (first, *others) = guess_layout(folder, places)
    known = f"taken for {name}; check it" if name else "name it with --skeleton"
    say(f"skeleton: {first}: {known} (docs/skeletons.md)")
    for told in others:
        say(f"skeleton: {told}")
    return name
