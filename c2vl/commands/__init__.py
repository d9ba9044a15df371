"""Sub-commands of `c2vl`: a module a command.

Each module has `HELP` (one line), `configure(parser)` and `run(arguments)`. `c2vl --help` imports
all of them, so `run` imports what is slow to import (torch, pyarrow, pydantic).
"""
