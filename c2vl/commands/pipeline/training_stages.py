"""Why DVC would run the stages that train, and whether they would train or take from the store."""

from __future__ import annotations

from collections.abc import Iterator

from c2vl.commands.pipeline.code_changes import Change, code_change
from c2vl.commands.pipeline.dvc_status import changed_before, dep_of, is_code
from c2vl.commands.pipeline.training_cells import (
    BASELINES_READ,
    TRAINING_STAGES,
    Cell,
    cells,
    described,
    is_known,
)
from c2vl.core.errors import UserError

MOST_REASONS = 4
CLIPS = ("zero_shot.seed", "zero_shot.unseen")  # choose the clips of a zero-shot training
Status = dict[str, list[str]]


def explained(stage: str | None) -> Iterator[str]:
    """Lines on the cells of `stage`; of all stages (None) only on those that DVC will run.

    Raises:
        UserError: a section of params.yaml is wrong, or there is no such stage.
    """
    status = changed_before(None)
    if status is None:
        yield "trainings: DVC does not know what is out of date; run `dvc status` to see why"
        return
    if stage is None and not status:
        return
    chosen = cells(stage)
    if not chosen:
        raise UserError(f"No stage '{stage}' trains; those are {', '.join(TRAINING_STAGES)}.")
    stale = {name for name in status if name.startswith((*BASELINES_READ, "target_"))}
    stale = {name for name in stale if not all(_harmless(name, text) for text in status[name])}
    for cell in cells():  # those before the chosen ones too: whether their results stay
        if cell.name not in status and not stale.intersection(cell.after):
            if stage is not None and cell in chosen:
                yield f"{cell.name}: up to date, DVC will not run it"
            continue
        lines, stays = _explained(cell, status, stale)
        if not stays:
            stale.add(cell.name)
        if cell in chosen:
            yield from lines


def _explained(cell: Cell, status: Status, stale: set[str]) -> tuple[list[str], bool]:
    """Lines on a cell, and whether its results stay what they are."""
    reasons = [_reason(cell.name, text) for text in status.get(cell.name, [])]
    before = sorted(stale.intersection(cell.after))
    more = [f"{name} runs before" for name in before]
    lines = [f"{cell.name}: DVC will run it ({_listed([*map(str, reasons), *more])})"]
    may_change = bool(before) or any(map(_alters_data, status.get(cell.name, [])))
    if may_change:
        lines.append("  its inputs may change; if they do not:")
    try:
        known, lacking = _compared(cell)
    except UserError as error:
        return [*lines, f"  what it would train is not known: {error}"], False
    if known:
        what = "the encoder" if cell.stage == "pretrain" else f"{known} of its trainings"
        lines.append(f"  {what} will be taken from the store")
    lines += [f"  {name}: will train: {why}" for name, why in lacking[:MOST_REASONS]]
    if len(lacking) > MOST_REASONS:
        lines.append(f"  and {len(lacking) - MOST_REASONS} more will train")
    return lines, not lacking and not may_change


def _compared(cell: Cell) -> tuple[int, list[tuple[str, str]]]:
    """How many trainings are known under their present keys; name and reason of the others."""
    from c2vl.store.trained import TrainedStore
    from c2vl.training.key import differences

    store, known = TrainedStore(), 0
    lacking: list[tuple[str, str]] = []
    for record, now in described(cell):
        if record is None:
            lacking.append((now.name, "its output has no key of it"))
        elif is_known(record, now, store):
            known += 1
        else:
            then = store.about(record["key"])
            found = differences(then, now.about()) if then else []
            if cell.stage == "pretrain":
                found = [text.replace("`", "`pretrain.", 1) for text in found]
            lacking.append(
                (now.name, _listed(found) or "the store has no description of the last run")
            )
    return known, lacking


def _reason(stage: str, change: str) -> str | Change:
    return code_change(stage, dep_of(change)) if is_code(change) else change


def _harmless(stage: str, change: str) -> bool:
    """Whether a change is one of comments, docstrings or formatting."""
    return is_code(change) and code_change(stage, dep_of(change)).is_harmless


def _alters_data(change: str) -> bool:
    """Whether a change alters what the stage trains on: what it reads, or which clips of it."""
    return dep_of(change).startswith(("data/", "results/", *CLIPS))


def _listed(texts: list[str]) -> str:
    more = f"; {len(texts) - MOST_REASONS} more" if len(texts) > MOST_REASONS else ""
    return "; ".join(texts[:MOST_REASONS]) + more
