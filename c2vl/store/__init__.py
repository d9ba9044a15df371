"""The sample store: results by content, published atomically, sealed into reproducible tables.

A stage hands its `work.Work` to `run.run`; `store.Store` is what lies on the disk.
"""
