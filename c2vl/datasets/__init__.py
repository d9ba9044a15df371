"""Data sets as people have them on disk: names, splits, class names, the index of raw files, `.skeleton` text.

Import from the modules: a stage then depends on what it uses and on nothing else.
"""
