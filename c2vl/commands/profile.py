"""Show which profile is in force and where params.yaml departs from it, or switch to another.

c2vl profile            which profile, which values were changed by hand
c2vl profile paper      write profiles/paper.yaml over params.yaml (`git diff params.yaml` shows what changed)
c2vl profile --names    the profiles there are
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from c2vl.core.errors import UserError

HELP = "show or switch the profile in params.yaml (demo, small, paper)"
FOLDER = Path("profiles")
ABSENT = "(absent)"


def configure(parser: argparse.ArgumentParser) -> None:
    """Declare the command's arguments."""
    parser.add_argument("name", nargs="?", help="profile to switch to")
    parser.add_argument("--names", action="store_true", help="list the profiles")
    parser.add_argument("--require", metavar="NAME", help="fail unless this profile is in force")
    parser.add_argument(
        "--force", action="store_true", help="switch even if that loses values changed by hand"
    )


def run(arguments: argparse.Namespace) -> None:
    """Do what the arguments say.

    Raises:
        UserError: no such profile, another profile than the required one, or a switch would lose changes.
    """
    from c2vl.core.params import PARAMS_FILE, read_params

    if arguments.names:
        print("\n".join(names()))
    elif arguments.name:
        switch(arguments.name, PARAMS_FILE, arguments.force)
    else:
        current = str(read_params(PARAMS_FILE).get("profile", ""))
        if arguments.require:
            if current != arguments.require:
                raise UserError(
                    f"{PARAMS_FILE} holds the profile `{current}`; `c2vl profile {arguments.require}` switches it."
                )
            return
        print(
            f"profile {current} in {PARAMS_FILE}"
            + (":" if (found := changes(current, PARAMS_FILE)) else ", as shipped")
        )
        for key, shipped, now in found:
            print(f"  {key}: {shipped} -> {now}")
        _check()


def names() -> list[str]:
    """Names of the shipped profiles."""
    return sorted(path.stem for path in FOLDER.glob("*.yaml"))


def switch(name: str, params: Path, force: bool = False) -> None:
    """Write profile `name` over `params`.

    Raises:
        UserError: there is no such profile, or `params` was changed by hand and `force` is not set.
    """
    from c2vl.core.files import write_bytes
    from c2vl.core.sharing import KINDS, PIPELINE, share

    shipped = _path(name)
    if not force and (lost := _changed_by_hand(params)):
        raise UserError(
            f"{params} was changed by hand in {', '.join(f'`{key}`' for key in lost[:3])}{' …' if len(lost) > 3 else ''}; "
            f"commit or copy it, then `c2vl profile {name} --force`."
        )
    write_bytes(params, shipped.read_bytes())
    if PIPELINE.is_file() and share(KINDS if shipped_world(shipped) else ()):
        print(
            "dvc.yaml changed with it: people's pictures and skeletons are pushed in the demo alone; see `c2vl share`."
        )
    print(
        f"params.yaml is now the profile `{name}`; `git diff {params}` shows what changed, `dvc status` what would run."
    )


def _check() -> None:
    """Print what would stop a run, and exit with 1 if there is anything."""
    from c2vl.core.params import read_params
    from c2vl.settings import faults

    found = faults(read_params())
    for fault in found:
        print(f"FAIL: {fault}")
    if found:
        raise SystemExit(1)


def shipped_world(profile: Path) -> bool:
    """Whether a profile works on the embedded world, whose people nobody need protect."""
    from c2vl.core.params import read_params

    return (read_params(profile).get("data") or {}).get("dataset") == "studio"


def _changed_by_hand(params: Path) -> list[str]:
    from c2vl.core.params import read_params

    try:
        current = str(read_params(params).get("profile", ""))
    except UserError:  # nothing that can be read can be lost
        return []
    return [key for key, _, _ in changes(current, params)] if current in names() else []


def changes(name: str, params: Path) -> list[tuple[str, Any, Any]]:
    """Where `params` departs from profile `name`: (dotted key, shipped value, value now)."""
    from c2vl.core.params import read_params

    shipped, now = dict(_flat(read_params(_path(name)))), dict(_flat(read_params(params)))
    keys = [*shipped, *(key for key in now if key not in shipped)]
    both = ((key, shipped.get(key, ABSENT), now.get(key, ABSENT)) for key in keys)
    return [(key, was, value) for key, was, value in both if was != value]


def _path(name: str) -> Path:
    path = FOLDER / f"{name}.yaml"
    if name not in names():
        raise UserError(
            f"There is no profile `{name}` in {FOLDER}/; there are {', '.join(names()) or 'none'}."
        )
    return path


def _flat(values: dict[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    for key, value in values.items():
        if isinstance(value, dict):
            yield from _flat(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", value
