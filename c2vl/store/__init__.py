"""The sample store: results by content, published atomically, sealed into reproducible tables."""

from c2vl.store.keys import content_key, fingerprint_of
from c2vl.store.lock import stage_lock
from c2vl.store.run import open_store, plan, run
from c2vl.store.store import Store
from c2vl.store.work import Failure, Row, Unit, Work

__all__ = [
    "Failure",
    "Row",
    "Store",
    "Unit",
    "Work",
    "content_key",
    "fingerprint_of",
    "open_store",
    "plan",
    "run",
    "stage_lock",
]
