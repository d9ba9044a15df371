"""Sub-commands of `c2vl`, one a module: `HELP` (a line), `configure(parser)`, and `run(arguments)`.

`c2vl --help` imports every module here, so whatever is slow to import (torch, pyarrow, pydantic) is imported in `run`.
"""
