"""Data sets as people have them on disk: names, splits, class names, raw files and their index.

Import from the modules: a stage then depends on what it uses and on nothing else.
"""
