"""Data sets that are lists of files, one or two a sample: known by their names, or a manifest."""
