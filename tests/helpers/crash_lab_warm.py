"""Imported once by the process that attempts are forked from (`multiprocessing`'s forkserver)."""

import crash_lab

crash_lab.warm()
