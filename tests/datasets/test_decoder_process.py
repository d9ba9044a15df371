"""A native decoder that crashes ends its helper process, and costs the one video."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from test_video import number_of, video

from c2vl.datasets.video import backends, decoder_process
from c2vl.datasets.video.backends import VideoError
from c2vl.datasets.video.decode import decode, header
from c2vl.datasets.video.decoder_process import DecoderDiedError, call


def squares(numbers: list[int]) -> dict[int, np.ndarray]:
    return {number: np.full((2, 3), number**2) for number in numbers}


def test_arrays_come_back_whole_and_may_be_written_to() -> None:
    found = call(squares, [2, 3])
    assert {number: square.tolist() for number, square in found.items()} == {
        2: [[4] * 3] * 2,
        3: [[9] * 3] * 2,
    }
    found[2] += 1


@pytest.mark.parametrize("crash", [os.abort, os._exit], ids=["abort", "exit"])
def test_a_crash_in_the_helper_is_an_error_here(crash: object) -> None:
    given = () if crash is os.abort else (3,)
    with pytest.raises(DecoderDiedError, match=r"SIGABRT|exit status 3"):
        call(crash, *given)  # type: ignore[arg-type]
    assert call(os.getpid) != os.getpid()


def crashing(path: Path, wanted: list[int]) -> backends.Decoded:
    if path.name == "poison.avi":
        os.abort()
    return backends.with_opencv(path, wanted)


def test_a_video_that_kills_its_decoder_twice_has_a_reason_and_others_are_decoded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(backends.BACKENDS, "decord", crashing)
    good = video(tmp_path / "good.avi", "XVID")
    (tmp_path / "poison.avi").write_bytes(good.read_bytes())
    with pytest.raises(VideoError, match=r"ends at this video, twice \(SIGABRT\)"):
        decode(tmp_path / "poison.avi", [0], "decord")
    assert number_of(decode(good, [33], "decord").frames[33]) == 33


def test_a_helper_that_is_killed_while_it_waits_is_replaced(tmp_path: Path) -> None:
    good = video(tmp_path / "good.avi", "XVID")
    assert header(good).frames == 90
    os.kill(call(os.getpid), signal.SIGKILL)
    assert header(good).frames == 90


def test_threads_have_a_helper_each(tmp_path: Path) -> None:
    good = video(tmp_path / "good.avi", "XVID")
    with ThreadPoolExecutor(4) as threads:
        found = [*threads.map(lambda index: decode(good, [index]).frames[index], range(40))]
    assert [number_of(image) for image in found] == [*range(40)]


def test_where_no_process_can_be_started_this_one_decodes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    good = video(tmp_path / "good.avi", "XVID")
    with monkeypatch.context() as patch:
        patch.setattr(decoder_process, "_waiting", [])
        patch.setattr(sys, "executable", str(tmp_path / "nowhere"))
        assert number_of(decode(good, [7]).frames[7]) == 7


PARENT = """
import os, sys, time
from c2vl.datasets.video.decoder_process import call
print(call(os.getpid), flush=True)
time.sleep(60)
"""


def test_a_helper_ends_with_a_killed_parent() -> None:
    command = [sys.executable, "-c", PARENT]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdout is not None
        helper = int(parent.stdout.readline())
        parent.kill()
    deadline = time.monotonic() + 60
    while Path(f"/proc/{helper}").exists() and time.monotonic() < deadline:
        status = Path(f"/proc/{helper}/stat").read_text().rpartition(")")[2].split()[0]
        if status == "Z":
            break
        time.sleep(0.05)
    else:
        assert not Path(f"/proc/{helper}").exists()
