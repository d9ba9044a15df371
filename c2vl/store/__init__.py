"""The sample store: results by content key, published atomically, written as reproducible tables.

A stage subclasses `stage.Stage`; `run.run` computes what is missing and writes its table;
`store.Store` is what lies on the disk.
"""
