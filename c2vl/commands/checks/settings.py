"""All of params.yaml, as stage `check` checks it before a run."""

from __future__ import annotations

from collections.abc import Iterator

from c2vl.commands.checks.finding import Finding


def settings() -> Iterator[Finding]:
    """A line for each value that would stop a run."""
    from c2vl.core.params import PARAMS_FILE, read_params
    from c2vl.settings import faults

    params = read_params()
    found = faults(params)
    for fault in found:
        yield Finding("FAIL", "settings", fault, f"change it in {PARAMS_FILE}")
    if not found:
        profile, count = params["profile"], sum(isinstance(one, dict) for one in params.values())
        fine = f"{PARAMS_FILE}: profile {profile}, {count} sections fit together"
        yield Finding("ok", "settings", fine)
