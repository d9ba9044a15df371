"""Skeleton files of many kinds: one module a format, all of them give a `Recording`."""
