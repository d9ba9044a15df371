"""Whether DVC finds the git repository it wants."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from c2vl.commands.checks.finding import Finding

CONFIGS = (Path(".dvc/config"), Path(".dvc/config.local"))


def git() -> Iterator[Finding]:
    """A repository, or DVC's setting that there is none."""
    here = Path.cwd()
    configs = "".join(path.read_text(encoding="utf-8") for path in CONFIGS if path.is_file())
    if any((folder / ".git").exists() for folder in (here, *here.parents)):
        yield Finding("ok", "git", "this folder is in a repository")
    elif "no_scm = true" in configs.lower():
        yield Finding("ok", "git", "no repository, and DVC needs none (core.no_scm)")
    else:
        todo = "`git init`, or to go without git: `dvc config --local core.no_scm true`"
        found = "this folder is in no git repository, and `dvc repro` needs one"
        yield Finding("FAIL", "git", found, todo)
