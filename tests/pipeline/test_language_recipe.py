"""NTU skeletons alone and the authors' answers: the two commands of docs/datasets.md."""

from __future__ import annotations

import json
import re
import shlex
import zipfile
from pathlib import Path

import pytest
import yaml
from studio_skeletons import write_studio_files
from whole_project import ROOT, copy_of_the_working_tree

from c2vl.prompts.published_file import read_published

ARCHIVE = "ntu120_language.zip"
K = 16  # answers of a clip in the authors' files
TINY = {  # what makes the recipe short; a user leaves this out
    "embed.encoder.model": str(ROOT / "checkpoints/tiny/encoder"),
    "embed.encoder.revision": "null",
    "pretrain.epochs": "1",
    "pretrain.milestones": "[]",
    "pretrain.warmup_epochs": "0",
    "pretrain.batch": "8",
    "pretrain.probe_every": "0",
    "pretrain.tracker": "none",
    "pretrain.encoder.width": "4",
    "pretrain.encoder.blocks": "3",
}


def answers(names: list[str]) -> dict[str, list[str]]:
    """Sixteen sentences a clip, as `pkuv2_language.json` has them."""
    return {
        name: [f"He is standing. He is holding nothing. He moves, {k}." for k in range(K)]
        for name in names
    }


def commands() -> list[list[str]]:
    """The commands that the page gives, split as a shell would."""
    page = (ROOT / "docs/datasets.md").read_text(encoding="utf-8")
    part = page.split("### NTU skeletons alone", 1)[1].split("\n### ", 1)[0].split("\n## ", 1)[0]
    block = "\n".join(re.findall(r"(?m)^    (.+)$", part)).replace("\\\n", " ")
    return [shlex.split(line) for line in block.splitlines() if line.startswith(("c2vl", "dvc"))]


def test_an_archive_of_the_authors_layout_is_read(tmp_path: Path) -> None:
    """One JSON of the archive's name inside, NTU's clip names, 16 sentences: as PKU-MMD's."""
    told = answers([f"S018C00{camera}P041R001A061" for camera in (1, 2, 3)])
    with zipfile.ZipFile(tmp_path / ARCHIVE, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("ntu120_language.json", json.dumps(told, indent=4))
    read = read_published(tmp_path / ARCHIVE)
    assert read.sentences == told and read.most == K


@pytest.mark.slow
def test_ntu_skeletons_alone_learn_from_language_in_two_commands(
    tmp_path: Path, python: Path
) -> None:
    first, second = commands()
    assert first == ["c2vl", "profile", "small"] and second[:3] == ["dvc", "exp", "run"]
    project = copy_of_the_working_tree(tmp_path / "project")
    project.starts_quickly(python)
    names = list(write_studio_files(project.folder / "data/raw", 5, 40, 8))
    (project.folder / "data/raw/classes.txt").unlink()  # NTU's classes have published names
    with zipfile.ZipFile(project.folder / "published" / ARCHIVE, "w") as archive:
        archive.writestr("ntu120_language.json", json.dumps(answers(names)))
    project.works(*first, "--force")
    short = [part for key, value in TINY.items() for part in ("-S", f"{key}={value}")]
    project.works(*second[:3], *short, *second[3:])
    params = yaml.safe_load((project.folder / "params.yaml").read_text(encoding="utf-8"))
    assert params["data"]["dataset"] == "ntu120" and params["profile"] == "small"
    assert params["caption"]["published"] == f"published/{ARCHIVE}"
    text = (project.folder / "params.yaml").read_text(encoding="utf-8")
    assert "# studio | ntu60 | … | manifest" in text  # comments stay
    folder = project.folder / "results/pretrain/xsub-joint"
    config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    assert list(config["prompts"]) == ["language"] and config["clips"] > 0
    assert (folder / "encoder.safetensors").exists()
