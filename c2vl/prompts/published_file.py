"""Published answers files: the sentences that somebody's captioner gave for each clip of a data set.

The format is the one of the paper's authors: JSON `{"A013N008V002C048L005": ["He is standing …", …], …}`, clip name to
its sentences in the order of the frames (16 a clip), alone, in a ZIP, or as several files in a folder or ZIP.
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

LARGEST = (
    4 << 30
)  # bytes of JSON in one file; NTU120's would have some 220 MB, so more is damage or malice
MOST_SENTENCES = 127  # prompts of a clip; `k` is an int8


@dataclass(frozen=True)
class PublishedPrompts:
    """What a file holds: `sentences` by clip name, and `digest`, blake2b-128 of its JSON, hex."""

    sentences: dict[str, list[str]]
    digest: str

    @property
    def most(self) -> int:
        """Sentences of the clip that has most."""
        return max(map(len, self.sentences.values()), default=0)


def read_published(path: Path) -> PublishedPrompts:
    """Read a JSON file, a ZIP of JSON files, or a folder of either.

    Raises:
        UserError: nothing is there, or a file is not of this format.
    """
    sentences: dict[str, list[str]] = {}
    digest = hashlib.blake2b(digest_size=16)
    for name, data in _documents(Path(path)):
        digest.update(data)
        for clip, told in _checked(name, data).items():
            if sentences.setdefault(clip, told) != told:
                raise UserError(
                    f"{name} gives other sentences for {clip[:60]!r} than a file before it; remove one of them."
                )
    if not sentences:
        raise UserError(
            f'{path} holds no sentences; expected JSON such as {{"A013N008V002C048L005": ["He is …"]}}.'
        )
    return PublishedPrompts(sentences, digest.hexdigest())


def _documents(path: Path) -> Iterator[tuple[str, bytes]]:
    """(name to say, bytes) of each JSON document, in the order of the names."""
    if path.is_dir():
        for file in sorted(path.iterdir()):
            if file.suffix.lower() in (".json", ".zip"):
                yield from _documents(file)
        return
    try:
        if path.suffix.lower() == ".zip":
            with zipfile.ZipFile(path) as archive:
                inside = [
                    entry
                    for entry in archive.infolist()
                    if entry.filename.lower().endswith(".json")
                ]
                for entry in sorted(inside, key=lambda entry: entry.filename):
                    if entry.file_size > LARGEST:
                        raise UserError(
                            f"{path}: {entry.filename[:60]!r} would unpack to over 4 GiB; that is no answers file."
                        )
                    yield f"{path}: {entry.filename[:60]!r}", archive.read(entry)
        else:
            yield str(path), path.read_bytes()
    except FileNotFoundError:
        raise UserError(
            f"{path} (`caption.published`) is not there; put the published file there or set it to null."
        ) from None
    except (OSError, zipfile.BadZipFile, NotImplementedError, RuntimeError, EOFError) as error:
        raise UserError(f"{path} cannot be read ({str(error)[:80]}); fetch it again.") from None
    except Exception as error:
        if (
            type(error).__module__ == "zlib"
        ):  # a damaged member; zipfile lets the error of zlib through
            raise UserError(f"{path} is damaged ({error}); fetch it again.") from None
        raise


def _checked(name: str, data: bytes) -> dict[str, list[str]]:
    try:
        # Pairs: a dictionary would drop all but the last of equal names in silence.
        content: Any = json.loads(data, object_pairs_hook=tuple)
    except (ValueError, RecursionError) as error:
        raise UserError(f"{name} is not JSON ({str(error)[:80]}); fetch it again.") from None
    if not isinstance(content, tuple):
        raise UserError(
            f"{name} does not hold clip names with their sentences, but a {type(content).__name__}."
        )
    result: dict[str, list[str]] = {}
    for clip, told in content:
        told = [told] if isinstance(told, str) else told
        if not isinstance(told, list) or not all(isinstance(sentence, str) for sentence in told):
            raise UserError(f"{name}: {clip[:60]!r} does not hold a list of sentences.")
        if len(told) > MOST_SENTENCES:
            raise UserError(
                f"{name}: {clip[:60]!r} holds {len(told)} sentences, more than {MOST_SENTENCES}."
            )
        stripped = [sentence.strip() for sentence in told]
        if result.setdefault(clip.strip(), stripped) != stripped:
            raise UserError(
                f"{name} names {clip[:60]!r} twice, with other sentences; remove one of them."
            )
    return result
