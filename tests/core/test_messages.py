"""The library logs; only stages and commands show it."""

from __future__ import annotations

import logging
import subprocess
import sys

import pytest

from c2vl.core.errors import UserError, one_sentence
from c2vl.core.messages import Terminal, show_messages

LOGS = """
import logging, torch
from c2vl.models.resident import Resident
from c2vl.core import errors
torch.cuda.mem_get_info = lambda device: (0, 0)
{}
Resident(torch.zeros(200, 3), torch.device("cuda", 0), "skeletons")
logging.getLogger("c2vl.somewhere").info("half way")
"""


def output_of(code: str) -> tuple[str, str]:
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=120
    )
    return done.stdout, done.stderr


def test_imported_by_others_the_library_says_nothing() -> None:
    assert output_of(LOGS.format("")) == ("", "")


def test_shown_information_goes_to_stdout_and_warnings_to_stderr_once() -> None:
    shown = "from c2vl.core.messages import show_messages; show_messages(); show_messages()"
    out, err = output_of(LOGS.format(shown))
    assert out == "half way\n"
    assert err.startswith("skeletons: 0.0 GiB do not fit on cuda:0") and err.count("\n") == 1


def test_an_entry_point_shows_messages_and_ends_with_one_sentence(
    capsys: pytest.CaptureFixture[str],
) -> None:
    @one_sentence
    def main() -> None:
        logging.getLogger("c2vl.stage").info("3 of %d done", 4)
        raise UserError("100 % of data/raw is missing.")

    with pytest.raises(SystemExit, match="1"):
        main()
    assert capsys.readouterr() == ("3 of 4 done\n", "c2vl: 100 % of data/raw is missing.\n")


def test_a_process_has_one_terminal_handler() -> None:
    show_messages()
    show_messages()
    handlers = logging.getLogger("c2vl").handlers
    assert sum(isinstance(handler, Terminal) for handler in handlers) == 1
