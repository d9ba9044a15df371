"""Show the profile in params.yaml and its changes, or switch to another profile.

  c2vl profile            print the profile's name and each value that was changed by hand
  c2vl profile paper      copy profiles/paper.yaml to params.yaml
  c2vl profile --names    list the profiles

A switch also sets in dvc.yaml what `dvc push` uploads (see `c2vl share`). `git diff` shows what
changed.
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
    parser.add_argument(
        "name", nargs="?", help="profile to switch to, such as demo, small or paper"
    )
    parser.add_argument("--names", action="store_true", help="list the profiles")
    parser.add_argument(
        "--require", metavar="NAME", help="fail unless params.yaml holds this profile"
    )
    parser.add_argument(
        "--force", action="store_true", help="switch and lose values that were changed by hand"
    )


def run(arguments: argparse.Namespace) -> None:
    """Show, list, require or switch the profile.

    Raises:
        UserError: there is no such profile, params.yaml holds another than the required one, or a
            switch would lose changes.
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
                    f"{PARAMS_FILE} holds the profile `{current}`; "
                    f"run `c2vl profile {arguments.require}` to switch."
                )
            return
        found = changes(current, PARAMS_FILE)
        print(f"profile {current} in {PARAMS_FILE}{':' if found else ', as shipped'}")
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
            f"{params} was changed by hand in {', '.join(f'`{key}`' for key in lost[:3])}"
            f"{' ...' if len(lost) > 3 else ''}; commit or copy it, then run "
            f"`c2vl profile {name} --force`."
        )
    write_bytes(params, shipped.read_bytes())
    if PIPELINE.is_file() and share(KINDS if shipped_world(shipped) else ()):
        print(
            "dvc.yaml changed too: `dvc push` uploads pictures and skeletons of people in the demo "
            "only; see `c2vl share`."
        )
    print(
        f"params.yaml is now the profile `{name}`; `git diff {params}` shows what changed, "
        "`dvc status` shows what would run."
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
    """Whether a profile uses the synthetic world, which has no real people to protect."""
    from c2vl.core.params import read_params

    return (read_params(profile).get("data") or {}).get("dataset") == "studio"


def _changed_by_hand(params: Path) -> list[str]:
    from c2vl.core.params import read_params

    try:
        current = str(read_params(params).get("profile", ""))
    except UserError:  # a file that cannot be read holds no values to lose
        return []
    return [key for key, _, _ in changes(current, params)] if current in names() else []


def changes(name: str, params: Path) -> list[tuple[str, Any, Any]]:
    """Where `params` differs from profile `name`: (dotted key, shipped value, value now)."""
    from c2vl.core.params import read_params

    shipped, now = dict(_flat(read_params(_path(name)))), dict(_flat(read_params(params)))
    keys = [*shipped, *(key for key in now if key not in shipped)]
    both = ((key, shipped.get(key, ABSENT), now.get(key, ABSENT)) for key in keys)
    return [(key, was, value) for key, was, value in both if was != value]


def _path(name: str) -> Path:
    path = FOLDER / f"{name}.yaml"
    if name not in names():
        raise UserError(
            f"There is no profile `{name}` in {FOLDER}/; "
            f"choose from {', '.join(names()) or 'none'}."
        )
    return path


def _flat(values: dict[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    for key, value in values.items():
        if isinstance(value, dict):
            yield from _flat(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", value
