"""Read published answers files: sentences of somebody's captioner for each clip of a data set.

The format is that of the paper's authors: JSON `{"A013N008V002C048L005": ["He is ...", ...], ...}`,
from a clip's name to its sentences in the order of the frames (16 for each clip). It may be one
file, a ZIP, or several files in a folder or ZIP.
"""

from __future__ import annotations

import hashlib
import json
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from c2vl.core.errors import UserError
from c2vl.core.unicode_text import whole_characters
from c2vl.datasets.hidden_files import is_hidden

# Bytes of JSON in one file. NTU120's would have some 220 MB, so more is damage or malice.
MAX_BYTES = 4 << 30
MAX_SENTENCES = 127  # of a clip; the column `k` is an int8


@dataclass(frozen=True)
class PublishedPrompts:
    """Sentences by clip name, and `digest`, the hex blake2b-128 of the JSON."""

    sentences: dict[str, list[str]]
    digest: str

    @property
    def most(self) -> int:
        """Number of sentences of the clip that has the most."""
        return max(map(len, self.sentences.values()), default=0)


def read_published(path: Path, parameter: str = "") -> PublishedPrompts:
    """Read a JSON file, a ZIP of JSON files, or a folder of either.

    Hidden files are left out. Half a character (a lone surrogate, which UTF-8 cannot hold) becomes
    U+FFFD, as in any decoder.

    Args:
        path: the file or the folder.
        parameter: the key of params.yaml that names the path, for messages; empty: none does.

    Raises:
        UserError: nothing is there, or a file is not of this format.
    """
    sentences: dict[str, list[str]] = {}
    digest = hashlib.blake2b(digest_size=16)
    for name, data in _documents(Path(path), parameter):
        digest.update(data)
        for clip, of_clip in _checked(name, data).items():
            if sentences.setdefault(clip, of_clip) != of_clip:
                raise UserError(
                    f"{name} gives other sentences for {clip[:60]!r} than an earlier file; "
                    "remove one of them."
                )
    if not sentences:
        raise UserError(
            f"{path} holds no sentences; "
            'expected JSON such as {"A013N008V002C048L005": ["He is ..."]}.'
        )
    return PublishedPrompts(sentences, digest.hexdigest())


def _documents(path: Path, parameter: str) -> Iterator[tuple[str, bytes]]:
    """Name for messages and bytes of each JSON document, in the order of the names."""
    if path.is_dir():
        try:
            inside = sorted(path.iterdir())
        except OSError as error:
            raise UserError(
                f"{path} cannot be read ({error.strerror or error}); change its permissions."
            ) from None
        for file in inside:
            if file.suffix.lower() in (".json", ".zip") and not is_hidden(file.name):
                yield from _documents(file, parameter)
        return
    try:
        if path.suffix.lower() == ".zip":
            with zipfile.ZipFile(path) as archive:
                entries = [
                    entry
                    for entry in archive.infolist()
                    if entry.filename.lower().endswith(".json") and not is_hidden(entry.filename)
                ]
                for entry in sorted(entries, key=lambda entry: entry.filename):
                    if entry.file_size > MAX_BYTES:
                        raise UserError(
                            f"{path}: {entry.filename[:60]!r} would unpack to over 4 GiB, "
                            "so it is no answers file; remove it."
                        )
                    yield f"{path}: {entry.filename[:60]!r}", archive.read(entry)
        else:
            yield str(path), path.read_bytes()
    except FileNotFoundError:
        if not parameter:
            raise UserError(f"{path} is not there; name a published answers file.") from None
        raise UserError(
            f"{path} (`{parameter}`) is not there; copy the published file there or set "
            f"`{parameter}` to null."
        ) from None
    except (OSError, zipfile.BadZipFile, NotImplementedError, RuntimeError, EOFError) as error:
        raise UserError(f"{path} cannot be read ({str(error)[:80]}); fetch it again.") from None
    except Exception as error:
        if type(error).__module__ == "zlib":  # zipfile raises zlib's error for a damaged file
            raise UserError(f"{path} is damaged ({error}); fetch it again.") from None
        raise


def _checked(name: str, data: bytes) -> dict[str, list[str]]:
    try:
        # As pairs: a dictionary would keep only the last of several equal names.
        content: Any = json.loads(data, object_pairs_hook=tuple)
    except (ValueError, RecursionError) as error:
        raise UserError(f"{name} is not JSON ({str(error)[:80]}); fetch it again.") from None
    if not isinstance(content, tuple):
        raise UserError(
            f"{name} holds a {type(content).__name__} instead of clip names with their sentences; "
            'write it as {"A013N008V002C048L005": ["He is ..."]}.'
        )
    result: dict[str, list[str]] = {}
    for clip, value in content:
        of_clip = [value] if isinstance(value, str) else value
        if not isinstance(of_clip, list) or not all(isinstance(one, str) for one in of_clip):
            raise UserError(f"{name}: {clip[:60]!r} does not hold a list of sentences.")
        if len(of_clip) > MAX_SENTENCES:
            raise UserError(
                f"{name}: {clip[:60]!r} holds {len(of_clip)} sentences, more than {MAX_SENTENCES}."
            )
        stripped = [whole_characters(sentence).strip() for sentence in of_clip]
        if result.setdefault(whole_characters(clip).strip(), stripped) != stripped:
            raise UserError(
                f"{name} names {clip[:60]!r} twice, with different sentences; remove one of them."
            )
    return result
