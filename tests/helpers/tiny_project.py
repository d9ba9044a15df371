"""A DVC project with one stage, the stand-in of `standin_stage.py`, on the world of `world.json`.

Run as a script, this file is the stage's command, with the usual options. After its second batch
the stage waits for the file that `STANDIN_GATE` names. It notes each batch it begins in the file
that `STANDIN_NOTES` names.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from standin_stage import Stage, world
from whole_project import RUN, Project

from c2vl.core.errors import one_sentence
from c2vl.store.run import add_options, run_as_asked
from c2vl.store.stage import Failure, Row, Unit

HERE = Path(__file__).resolve()
OUT = Path("data/caption")
CONFIG = "[core]\n    no_scm = true\n    analytics = false\n    check_update = false\n"
PIPELINE = f"""\
stages:
  caption:
    cmd: python {HERE}
    deps: [world.json]
    outs: [{OUT}]
"""


class GatedStage(Stage):
    """The stand-in stage; it can wait for a file and notes its batches."""

    def compute(self, units: Sequence[Unit], ready: Sequence[Any]) -> list[Row | Failure]:
        if "STANDIN_NOTES" in os.environ:
            with open(os.environ["STANDIN_NOTES"], "ab", buffering=0) as notes:
                notes.write(f"{os.getpid()} {len(units)}\n".encode())
        gate = os.environ.get("STANDIN_GATE")
        while gate and self.batches >= 2 and not Path(gate).exists():
            time.sleep(0.02)
        return super().compute(units, ready)


class TinyProject(Project):
    """A folder with the pipeline above, without git.

    Args:
        folder: root of the project; created if it does not exist.
    """

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.environment["PYTHONPATH"] = os.pathsep.join([str(HERE.parent), str(HERE.parents[2])])
        if not folder.exists():
            (folder / ".dvc").mkdir(parents=True)
            (folder / ".dvc" / "config").write_text(CONFIG, encoding="utf-8")
            (folder / "dvc.yaml").write_text(PIPELINE, encoding="utf-8")
            self.set_world()

    def set_world(self, setups: int = 2, subjects: int = 12, **changes: str) -> None:
        """Write `world.json`; `changes` maps samples to the text of their first prompt."""
        text = json.dumps({"setups": setups, "subjects": subjects, "changes": changes})
        (self.folder / "world.json").write_text(text, encoding="utf-8")

    def add_remote(self, **settings: str) -> None:
        """Declare the default remote."""
        core = CONFIG.replace("[core]\n", "[core]\n    remote = lab\n")
        lines = [
            "['remote \"lab\"']",
            *(f"    {name} = {text}" for name, text in settings.items()),
            "",
        ]
        (self.folder / ".dvc" / "config").write_text(core + "\n".join(lines), encoding="utf-8")

    def copy_without_store(self, folder: Path) -> TinyProject:
        """A clone on another machine after `dvc pull`: output and cache, no sample store."""
        shutil.copytree(self.folder, folder, ignore=shutil.ignore_patterns(".c2vl", "tmp"))
        return self._same_environment(folder)

    def clone(self, folder: Path) -> TinyProject:
        """A clone on another machine: what git has; no output, no cache, no sample store."""
        for name in (".dvc/config", "dvc.yaml", "dvc.lock", "world.json"):
            if not (self.folder / name).exists():
                continue  # dvc.lock, if nothing ran yet
            target = folder / name
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes((self.folder / name).read_bytes())
        return self._same_environment(folder)

    def _same_environment(self, folder: Path) -> TinyProject:
        clone = TinyProject(folder)
        clone.environment = dict(self.environment)
        return clone

    def begin(self, *command: str, **environment: str) -> subprocess.Popen[str]:
        """Start a command in a process group of its own."""
        return subprocess.Popen(
            command,
            cwd=self.folder,
            env=self.environment | environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )

    def record(self) -> dict[str, Any]:
        """The log record of the stage's last complete run."""
        return json.loads((self.folder / ".c2vl/runs/caption.json").read_text(encoding="utf-8"))

    def shards(self) -> dict[str, bytes]:
        """Name and bytes of each file of the output."""
        return {path.name: path.read_bytes() for path in sorted((self.folder / OUT).iterdir())}

    def segments(self) -> int:
        """Number of files in the sample store."""
        return len(list((self.folder / ".c2vl/store").rglob("*.arrow")))

    def ran(self, output: str) -> bool:
        """True if DVC's output says that it ran the stage."""
        return bool(RUN.search(output))


def described(path: Path) -> dict[str, list[bytes | None]]:
    """Prompts of each sample of the world in `world.json`."""
    settings = json.loads(path.read_text(encoding="utf-8"))
    first = world(2, settings["subjects"])
    all_setups = world(settings["setups"], settings["subjects"])
    # A further setup does not change the others.
    contents = {name: first.get(name, prompts) for name, prompts in all_setups.items()}
    for name, text in settings["changes"].items():
        contents[name][0] = text.encode()
    return contents


@one_sentence
def main() -> None:
    parser = argparse.ArgumentParser()
    add_options(parser)
    question = os.environ.get("STANDIN_QUESTION", "what?")
    company = "STANDIN_ALONE" not in os.environ  # True: answers depend on the batch
    stage = GatedStage(described(Path("world.json")), size=4, question=question, company=company)
    run_as_asked(stage, OUT, parser.parse_args())


if __name__ == "__main__":
    main()
